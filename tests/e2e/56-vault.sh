#!/usr/bin/env bash
# The key vault from the command line, from Debian's az, by curl, and its secrets in a program's environment.
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
api PUT "$group" '{"location":"local"}'
is_status "a resource group" 201

# -- vault and secrets
equal "vault create" web "$(merlon_json .name vault create -n web -g rg --purge-protection --retention-days 7)"
refused PreconditionFailed vault create -n web -g rg
refused 'does not allow the data action' secret list --vault web
merlon role assign --assignee "$(first clientId)" --role 'Key Vault Administrator' -g rg >/dev/null
value='correct horse; "battery" $staple'
printf %s "$value" | merlon secret set --vault web -n db --file - >"$MERLON_TMP/out"
if grep -q horse "$MERLON_TMP/out"; then fail "secret set shows the value"; fi
equal "secret get prints exactly the value" "$value" "$(merlon secret get --vault web -n db)"
printf second-value | merlon secret set --vault web -n db --file - >/dev/null
first_version=$(merlon_json '.value | sort_by(.attributes.created) | length' secret list --vault web)
equal "one secret, whatever its versions" 1 "$first_version"
equal "the program finds it in its environment" second-value "$(merlon run --secret DB=web/db -- sh -c 'printf %s "$DB"')"
equal "and nothing of it in its arguments" "" \
  "$(merlon run --secret DB=web/db -- sh -c 'tr "\0" " " </proc/$$/cmdline | grep -o "[s]econd-value" || true')"
if merlon run --secret DB=web/db -- false; then fail "merlon run hides the exit status"; fi
refused SecretNotFound run --secret DB=web/absent -- true
refused 'VARIABLE=VAULT/NAME' run --secret DB -- true
merlon secret delete --vault web -n db >/dev/null
refused SecretNotFound secret get --vault web -n db
refused Forbidden secret purge --vault web -n db
merlon secret recover --vault web -n db >/dev/null
equal "recovered" second-value "$(merlon secret get --vault web -n db)"

# -- keys
equal "key create" P-384 "$(merlon_json .key.crv key create --vault web -n signing --type EC --curve P-384)"
before=$(merlon_json .key.kid key show --vault web -n signing)
after=$(merlon_json .key.kid key rotate --vault web -n signing)
[[ $before != "$after" ]] || fail "rotation made no version"
ok "key rotate"
equal "key list" '["signing"]' "$(merlon_json '[.value[].kid | split("/") | last] | tojson' key list --vault web)"

# -- names are planes
vault_token=$(new_token "" "" https://vault.azure.net/.default)
at() { # at NAME PATH TOKEN: the status that a host of the server answers
  in_ns server curl -sS -o "$MERLON_TMP/answer.json" -w '%{http_code}' --max-time 20 --cacert "$state/ca.pem" \
    -H "Authorization: Bearer $3" "https://$1:8443$2"
}
equal "the vault answers at its name" 200 "$(at "web.vault.$domain" '/secrets/db?api-version=7.4' "$vault_token")"
equal "not at the server's own" 404 "$(at "$domain" '/secrets/db?api-version=2021-04-01' "$token")"
equal "the control plane is not at the vault's" 404 \
  "$(at "web.vault.$domain" '/subscriptions?api-version=2021-04-01' "$vault_token")"
equal "nor is sign-in" 401 "$(at "web.vault.$domain" "/$(first tenantId)/v2.0/.well-known/openid-configuration" "")"
equal "a name of two labels is nobody's" 421 "$(in_ns server curl -sS -o /dev/null -w '%{http_code}' --cacert \
  "$state/ca.pem" -H "Host: a.web.vault.$domain:8443" "https://web.vault.$domain:8443/secrets?api-version=7.4")"

# -- az
. "$(dirname "$0")/az.sh"
register_cloud
az_json '.[].id' login --service-principal --username "$(first clientId)" --password "$(first clientSecret)" \
  --tenant "$(first tenantId)" >/dev/null
equal "az keyvault list" web "$(az_json '.[0].name' keyvault list)"
equal "az keyvault show" "7 true" "$(az_json \
  '.properties | "\(.softDeleteRetentionInDays) \(.enablePurgeProtection)"' keyvault show --name web)"

# -- a kill keeps what was acknowledged, and nothing lies in clear
for i in 1 2 3; do printf 'planted-%s-xyzzy' "$i" | merlon secret set --vault web -n "planted-$i" --file - >/dev/null; done
kill_dead "$server_pid"
if grep -rqa 'planted-[123]-xyzzy' "$state"; then fail "a secret lies in the state directory"; fi
ok "nothing secret in the state directory"
launch_server
wait_for 15 "the server answers again" healthy
equal "after kill -9" planted-3-xyzzy "$(merlon secret get --vault web -n planted-3)"

# -- the ledger
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
for action in setSecret/action getSecret/action delete recover/action; do
  grep -q "Microsoft.KeyVault/vaults/secrets/$action" "$MERLON_TMP/ledger.jsonl" || fail "$action is not in the ledger"
done
if grep -qE 'xyzzy|battery' "$MERLON_TMP/ledger.jsonl" "$MERLON_TMP/server.log"; then fail "a value is in the ledger or the log"; fi
ok "every use is in the ledger, and no value"
stop_server
