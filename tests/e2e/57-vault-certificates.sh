#!/usr/bin/env bash
# Certificates from the command line: an authority of a vault's own, a server that uses what it issues, requests that
# openssl signs, and what the ledger says of all that.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034,SC2016
. "$(dirname "$0")/lib.sh"
start_server
merlon_json() { # merlon_json FILTER ARGUMENTS...
  local filter=$1
  shift
  merlon "$@" --output json | jq -er "$filter"
}
refused() { # refused CODE ARGUMENTS...
  local code=$1
  shift
  if merlon "$@" >"$MERLON_TMP/out" 2>"$MERLON_TMP/refused.log"; then fail "merlon $* was not refused"; fi
  grep -q "$code" "$MERLON_TMP/refused.log" || fail "merlon $* does not say $code: $(<"$MERLON_TMP/refused.log")"
  ok "merlon ${*:1:2} is refused with $code"
}
version=2021-04-01
cd "$MERLON_TMP" || exit 1
api PUT "$group" '{"location":"local"}'
is_status "a resource group" 201
merlon vault create -n web -g rg --retention-days 7 >/dev/null
refused 'does not allow the data action' cert list --vault web
merlon role assign --assignee "$(first clientId)" --role 'Key Vault Administrator' -g rg >/dev/null

# -- an authority, and a server with a certificate of its
merlon ca create --vault web -n house --subject 'CN=House CA, O=Example' >/dev/null
equal "ca list" '["house"]' "$(merlon_json '[.value[].id | split("/") | last] | tojson' ca list --vault web)"
merlon ca show --vault web -n house >house.pem
if merlon secret get --vault web -n house | base64 -d | openssl pkcs12 -passin pass: -nodes | grep -q PRIVATE; then
  fail "the authority's key is out"
fi
ok "the authority's key stays in its vault"
merlon cert create --vault web -n www --dns www.example.org --issuer house --type EC --pem >/dev/null
merlon secret get --vault web -n www >www.pem
openssl verify -x509_strict -CAfile house.pem -purpose sslserver -verify_hostname www.example.org www.pem >verify.log 2>&1 ||
  fail "openssl does not accept it: $(<verify.log)"
ok "openssl accepts what the authority issued"
if openssl verify -CAfile "$state/ca.pem" www.pem >/dev/null 2>&1; then fail "Merlon's own authority signed it"; fi
ok "Merlon's own authority has nothing to do with it"
openssl s_server -accept 127.0.0.1:9444 -cert www.pem -key www.pem -www >s_server.log 2>&1 &
tls=$!
for _ in $(seq 50); do
  if curl -sS --resolve www.example.org:9444:127.0.0.1 --cacert house.pem https://www.example.org:9444/ >page 2>curl.log; then break; fi
  sleep 0.1
done
kill "$tls"
grep -q 'Cipher' page || fail "no client trusts the server: $(<curl.log)"
ok "a client that trusts the authority trusts a server with its certificate"
# -- revoked: the list is at the address that the certificate names, for everybody, and openssl believes it
url=$(openssl x509 -in www.pem -noout -ext crlDistributionPoints | sed -n 's/^ *URI://p')
[[ $url == https://web.vault.*"/crl/house/"* ]] || fail "the certificate names no list: $url"
crl() { in_ns server curl -sS --cacert "$state/ca.pem" --resolve "$(sed -E 's|^https://([^/]+)/.*|\1|' <<<"$url"):127.0.0.1" "$url"; }
crl >house.crl
openssl crl -inform DER -in house.crl -CAfile house.pem -noout 2>&1 | grep -q 'verify OK' || fail "the list is not signed"
openssl crl -inform DER -in house.crl -outform PEM -out house.crl.pem
checked() { openssl verify -x509_strict -CAfile house.pem -CRLfile house.crl.pem -crl_check www.pem >verify.log 2>&1; }
checked || fail "openssl does not accept what is not revoked: $(<verify.log)"
ok "openssl accepts the authority's list, on which nothing stands"
refused BadParameter cert revoke --vault web -n www --reason boredom
refused BadParameter cert revoke --vault web -n house
merlon cert revoke --vault web -n www --reason keyCompromise >/dev/null
crl | openssl crl -inform DER -outform PEM -out house.crl.pem
if checked; then fail "openssl accepts what is revoked"; fi
grep -q 'certificate revoked' verify.log || fail "openssl says something else: $(<verify.log)"
ok "openssl refuses what is revoked"
openssl crl -in house.crl.pem -noout -text >crl.txt
grep -q 'Key Compromise' crl.txt || fail "the list does not say why"
next=$(openssl crl -in house.crl.pem -noout -nextupdate | sed 's/.*=//')
(($(date -d "$next" +%s) > $(date +%s) + 86400)) || fail "the next list is due on $next"
ok "it says why, and when the next one is due"
refused Conflict cert revoke --vault web -n www
refused BadParameter cert create --vault web -n x --dns x.example.org --issuer nobody
refused Forbidden secret delete --vault web -n www
refused Forbidden key rotate --vault web -n www

# -- a request that another authority signs
openssl req -x509 -newkey rsa:2048 -nodes -keyout outer.key -out outer.pem -days 30 -subj '/CN=Outer CA' 2>/dev/null
merlon cert create --vault web -n shop --dns shop.example.org --issuer Unknown >/dev/null
merlon cert request --vault web -n shop >shop.csr
openssl req -in shop.csr -verify -noout 2>/dev/null || fail "the request is not good"
refused BadParameter cert merge --vault web -n shop --file outer.pem
openssl x509 -req -in shop.csr -CA outer.pem -CAkey outer.key -CAcreateserial -days 20 -out shop.pem 2>/dev/null
cat shop.pem outer.pem | merlon cert merge --vault web -n shop --file - >/dev/null
equal "merged" "$(openssl x509 -in shop.pem -noout -fingerprint -sha1 | tr -d : | sed 's/.*=//' | tr 'A-F' 'a-f')" \
  "$(merlon cert show --vault web -n shop --pem | openssl x509 -noout -fingerprint -sha1 | tr -d : | sed 's/.*=//' | tr 'A-F' 'a-f')"
refused Conflict cert merge --vault web -n shop --file shop.pem

# -- import, deletion, recovery
openssl pkcs12 -export -inkey outer.key -in outer.pem -out outer.pfx -passout pass:
merlon cert import --vault web -n old --file outer.pfx >/dev/null
equal "cert list" '["house","old","shop","www"]' \
  "$(merlon_json '[.value[].id | split("/") | last] | sort | tojson' cert list --vault web)"
merlon cert delete --vault web -n old >/dev/null
refused SecretNotFound secret get --vault web -n old
merlon cert recover --vault web -n old >/dev/null
merlon secret get --vault web -n old >/dev/null
ok "its secret is back with it"
merlon cert delete --vault web -n old >/dev/null
merlon cert purge --vault web -n old >/dev/null
refused CertificateNotFound cert recover --vault web -n old
merlon cert contacts --vault web --email ops@example.org >/dev/null
equal "contacts" ops@example.org "$(merlon_json '.contacts[0].email' cert contacts --vault web)"
merlon ca delete --vault web -n house >/dev/null
refused BadParameter cert create --vault web -n x --dns x.example.org --issuer house

# -- the ledger
merlon ledger export >ledger.json
for action in create import delete recover purge revoke; do
  grep -q "Microsoft.KeyVault/vaults/certificates/$action" ledger.json || fail "the ledger has no $action"
done
ok "each operation is in the ledger"
if grep -q 'PRIVATE KEY' ledger.json; then fail "a key is in the ledger"; fi
ok "and no key"
stop_server
