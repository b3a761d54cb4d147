#!/usr/bin/env bash
# Vaults' keys in a hardware token (SoftHSM), from the command line and by curl: made and used there, destroyed when they
# are purged, and after a kill at any moment nothing is in the token that no version names.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034,SC2016
. "$(dirname "$0")/lib.sh"
mkdir -p "$MERLON_TMP/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$MERLON_TMP/tokens" \
  >"$MERLON_TMP/softhsm2.conf"
export SOFTHSM2_CONF=$MERLON_TMP/softhsm2.conf
softhsm2-util --init-token --free --label merlon --pin 1234 --so-pin 5678 >/dev/null
(umask 077 && echo 1234 >"$MERLON_TMP/pin")
token_uri="pkcs11:token=merlon?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:$MERLON_TMP/pin"
objects() { # how many keys the token has
  find "$MERLON_TMP/tokens" -name '*.object' ! -name token.object | wc -l
}
status=0
in_ns_free() { "$MERLON" server --state "$MERLON_TMP/never" --hsm "$1" 2>&1; }
out=$(in_ns_free 'pkcs11:token=merlon?module-path=/x&pin-value=1234') || status=$?
equal "a PIN on the command line ends the start" 1 "$status"
grep -q 'pin-source' <<<"$out" || fail "and it does not say why: $out"

start_server --hsm "$token_uri"
version=2021-04-01
api PUT "$group" '{"location":"local"}'
is_status "a resource group" 201
merlon vault create -n web -g rg --sku premium >/dev/null
merlon role assign --assignee "$(first clientId)" --role 'Key Vault Administrator' -g rg >/dev/null
vault_token=$(new_token "" "" https://vault.azure.net/.default)
at() { # at METHOD PATH [BODY]: the answer's status; its body in answer.json
  in_ns server curl -sS -o "$MERLON_TMP/answer.json" -w '%{http_code}' --max-time 60 --cacert "$state/ca.pem" \
    -X "$1" -H "Authorization: Bearer $vault_token" -H 'Content-Type: application/json' ${3:+-d "$3"} \
    "https://web.vault.$domain:8443$2?api-version=7.4" || true
}

equal "a key is made in the token" RSA-HSM \
  "$(merlon key create --vault web -n rsa --type RSA-HSM --output json | jq -r .key.kty)"
equal "one object is in it" 1 "$(objects)"
digest=$(printf 'what was meant' | openssl dgst -sha256 -binary | basenc --base64url | tr -d '=\n')
equal "it signs" 200 "$(at POST /keys/rsa/sign "{\"alg\":\"RS256\",\"value\":\"$digest\"}")"
jq -r .value "$MERLON_TMP/answer.json" | tr -- '-_' '+/' | awk '{while (length($0) % 4) $0 = $0 "="; print}' |
  base64 -d >"$MERLON_TMP/signature"
python3 - "$(merlon key show --vault web -n rsa --output json)" >"$MERLON_TMP/public.pem" <<'PY'
import base64, json, subprocess, sys
key = json.loads(sys.argv[1])["key"]
number = lambda text: int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
asn1 = ("asn1=SEQUENCE:k\n[k]\na=SEQUENCE:id\nb=BITWRAP,SEQUENCE:n\n[id]\no=OID:rsaEncryption\np=NULL\n"
        f"[n]\nn=INTEGER:{number(key['n'])}\ne=INTEGER:{number(key['e'])}\n")
openssl = lambda text, *words: subprocess.run(["openssl", *words], input=text, capture_output=True, check=True).stdout
der = openssl(asn1.encode(), "asn1parse", "-genconf", "/dev/stdin", "-noout", "-out", "/dev/stdout")
sys.stdout.buffer.write(openssl(der, "pkey", "-pubin", "-inform", "DER"))
PY
printf 'what was meant' >"$MERLON_TMP/data"
openssl dgst -sha256 -verify "$MERLON_TMP/public.pem" -signature "$MERLON_TMP/signature" "$MERLON_TMP/data" >/dev/null ||
  fail "openssl does not verify it"
ok "and openssl verifies it"
merlon key rotate --vault web -n rsa >/dev/null
equal "a rotation makes another" 2 "$(objects)"
merlon key delete --vault web -n rsa >/dev/null
equal "deleting keeps both" 2 "$(objects)"
equal "purging" 204 "$(at DELETE /deletedkeys/rsa)"
equal "destroys both before it is answered" 0 "$(objects)"
equal "a backup is refused" 501 "$(merlon key create --vault web -n kept --type EC-HSM >/dev/null && at POST /keys/kept/backup)"

# -- another key from the same token, after a restart
stop_server
start_server --hsm "$token_uri"
equal "the key is found again" 200 "$(at POST /keys/kept/sign "{\"alg\":\"ES256\",\"value\":\"$digest\"}")"

# -- killed while keys are made: what the token has and no version names goes by itself
for round in $(seq 1 4); do
  for n in 1 2 3 4; do at POST "/keys/k$round-$n/create" '{"kty":"EC-HSM"}' >/dev/null 2>&1 & done
  sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
  kill_dead "$server_pid"
  wait
  start_server --hsm "$token_uri"
done
named=$(merlon key list --vault web --output json | jq '.value | length')
ok "after four kills $named keys are there, and $(objects) objects"
(($(objects) >= named)) || fail "a version names an object that is not in the token"
for name in $(merlon key list --vault web --output json | jq -r '.value[].kid | split("/") | last'); do
  equal "$name signs" 200 "$(at POST "/keys/$name/sign" "{\"alg\":\"ES256\",\"value\":\"$digest\"}")"
done
# Each other object has its row, with the time at which it goes (services_vault_test has that time come).
rows=$(sqlite3 "file:$state/merlon.db?mode=ro" "SELECT count(*) FROM t_vault_token_objects" 2>/dev/null || echo missing)
[[ $rows != missing ]] || fail "no table of what may be left in the token"
(($(objects) <= named + rows)) || fail "$(objects) objects, $named versions and $rows rows: something is nobody's"
ok "whatever else is in the token is known, and waits to be destroyed"

# -- without the token
stop_server
start_server
equal "its keys wait" 503 "$(at POST /keys/kept/sign "{\"alg\":\"ES256\",\"value\":\"$digest\"}")"
equal "new ones are refused" 501 "$(at POST /keys/new/create '{"kty":"EC-HSM"}')"
equal "everything else is served" 200 "$(at POST /keys/soft/create '{"kty":"EC"}')"
stop_server
