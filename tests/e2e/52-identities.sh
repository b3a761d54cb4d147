#!/usr/bin/env bash
# Identities in the Resource Manager and from the command line: what machines may act as and who on them may ask, and
# federated credentials with claims expressions and pinned keys, by tokens that openssl signs and no issuer serves.
# time limit: 120 s
# shellcheck source=/dev/null disable=SC2154,SC2034,SC2016
. "$(dirname "$0")/lib.sh"
start_server
refused() { # refused WORDS ARGUMENTS...
  local words=$1
  shift
  if merlon "$@" >"$MERLON_TMP/out" 2>"$MERLON_TMP/refused.log"; then fail "merlon $* was not refused"; fi
  grep -q "$words" "$MERLON_TMP/refused.log" || fail "merlon $* does not say $words: $(<"$MERLON_TMP/refused.log")"
  ok "merlon ${*:1:2} is refused: $words"
}
identity() { # identity FILTER ARGUMENTS...: of web-1
  local filter=$1 verb=$2
  shift 2
  merlon identity "$verb" web-1 -g rg "$@" --output json | jq -er "$filter"
}
version=2021-04-01
api PUT "$group" '{"location":"local"}'
is_status "a resource group" 201
version=2023-09-01
api PUT "$group/providers/Microsoft.Network/virtualNetworks/net" '{"location":"local","properties":{
  "addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"one","properties":{"addressPrefix":"10.0.0.0/24"}}]}}'
nic=$group/providers/Microsoft.Network/networkInterfaces/nic
api PUT "$nic" "{\"location\":\"local\",\"properties\":{\"ipConfigurations\":[{\"name\":\"a\",\"properties\":{
  \"subnet\":{\"id\":\"$group/providers/Microsoft.Network/virtualNetworks/net/subnets/one\"}}}]}}"
version=2024-07-01
api PUT "$group/providers/Microsoft.Compute/virtualMachines/web-1" "{\"location\":\"local\",\"properties\":{
  \"hardwareProfile\":{\"vmSize\":\"Standard_D1_v2\"},\"networkProfile\":{\"networkInterfaces\":[{\"id\":\"$nic\"}]}}}"
is_status "a machine" 201
version=2023-01-31
app=$group/providers/Microsoft.ManagedIdentity/userAssignedIdentities/app
api PUT "$app" '{"location":"local"}'
is_status "a user-assigned identity" 201
client=$(field .properties.clientId)

# -- merlon identity
merlon identity list web-1 -g rg | grep -q 'has no identity' || fail "list does not say that there is none"
equal "give --own" SystemAssigned "$(identity .identity.type give --own)"
equal "give --identity, by name" 'SystemAssigned, UserAssigned' "$(identity .identity.type give --identity app)"
equal "its client id is shown" "$client" "$(identity '.identity.userAssignedIdentities[].clientId' list)"
equal "take --own leaves the other" UserAssigned "$(identity .identity.type take --own)"
equal "give it back" 'SystemAssigned, UserAssigned' "$(identity .identity.type give --own)"
refused 'Say which' identity give web-1 -g rg
refused 'not found\|does not exist\|NotFound' identity give web-1 -g rg --identity nobody
merlon identity callers web-1 -g rg | grep -q 'No rules' || fail "callers does not say that there are none"
equal "allow" '[["app",["www-data"],[]]]' \
  "$(identity '[.properties.rules[] | [(.identities[0] | split("/") | last), .users, .units]] | tojson' \
    allow --rule web --user www-data --identity app)"
equal "another rule, and link-local" '["web","job"] true' \
  "$(identity '([.properties.rules[].name] | tojson) + " " + (.properties.linkLocal | tostring)' \
    allow --rule job --unit job.service --own --link-local)"
equal "a rule of the same name is replaced" '["job","web"] true' \
  "$(identity '([.properties.rules[].name] | tojson) + " " + (.properties.linkLocal | tostring)' \
    allow --rule web --user root --own)"
refused 'Say who may ask' identity allow web-1 -g rg --rule x --own
refused 'Say for what' identity allow web-1 -g rg --rule x --user root
refused 'unit' identity allow web-1 -g rg --rule x --unit 'a b.service' --own
equal "what was refused changed nothing" '["job","web"]' "$(identity '[.properties.rules[].name] | tojson' callers)"
equal "forbid" '["web"]' "$(identity '[.properties.rules[].name] | tojson' forbid --rule job)"
refused RuleNotFound identity forbid web-1 -g rg --rule job
merlon identity clear web-1 -g rg >/dev/null
merlon identity callers web-1 -g rg | grep -q 'No rules' || fail "clear leaves rules"
equal "take the last ones" None "$(identity '.identity.type // "None"' take --own --identity app)"

# -- federated credentials of an identity: expressions and pinned keys
cd "$MERLON_TMP" || exit 1
encode() { basenc --base64url -w0 | tr -d =; }
keys_of() { # keys_of KEY KID
  openssl rsa -in "$1" -noout -modulus 2>/dev/null | cut -d= -f2 | basenc --base16 -d | encode |
    jq -R --arg kid "$2" '{keys: [{kty: "RSA", kid: $kid, use: "sig", n: ., e: "AQAB"}]}'
}
openssl genrsa -out one.key 2048 2>/dev/null
openssl genrsa -out two.key 2048 2>/dev/null
issuer=https://issuer.invalid
assertion() { # assertion KEY KID SUBJECT
  local input
  input=$(printf '{"alg":"RS256","kid":"%s"}' "$2" | encode).$(jq -cn --arg iss "$issuer" --arg sub "$3" --argjson now "$(date +%s)" \
    '{iss: $iss, sub: $sub, aud: "api://AzureADTokenExchange", iat: $now, nbf: $now, exp: ($now + 600)}' | tr -d '\n' | encode)
  printf %s "$input.$(printf %s "$input" | openssl dgst -sha256 -sign "$1" | encode)"
}
sign_in_with() { # sign_in_with KEY KID SUBJECT: "token", or the error's code
  in_ns server curl -sS --max-time 10 --cacert "$state/ca.pem" "https://$domain:8443/$(first tenantId)/oauth2/v2.0/token" \
    -d grant_type=client_credentials -d "client_id=$client" --data-urlencode scope=https://management.azure.com/.default \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    -d "client_assertion=$(assertion "$@")" | jq -r 'if .access_token then "token" else (.error_description | split(":")[0]) end'
}
credential() { # credential PROPERTIES-FILTER...
  api PUT "$app/federatedIdentityCredentials/main-branch" "$(jq -cn --arg iss "$issuer" --argjson keys "$(<keys.json)" "{properties: $1}")"
}
keys_of one.key k1 >keys.json
expression='{languageVersion: 1, value: "claims['"'sub'"'] matches '"'repo:shop/cart:ref:refs/heads/*'"'"}'
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], issuerKeys: \$keys, claimsMatchingExpression: $expression}"
is_status "an expression and pinned keys" 201
equal "both are shown" 'k1 1' "$(field '.properties.issuerKeys.keys[0].kid + " " + (.properties.claimsMatchingExpression.languageVersion | tostring)')"
equal "a subject that fits" token "$(sign_in_with one.key k1 repo:shop/cart:ref:refs/heads/main)"
equal "one that does not" AADSTS700213 "$(sign_in_with one.key k1 repo:shop/cart:pull_request)"
equal "a key that is not pinned" AADSTS700027 "$(sign_in_with two.key k1 repo:shop/cart:ref:refs/heads/main)"
equal "or that nobody knows" AADSTS700027 "$(sign_in_with two.key k2 repo:shop/cart:ref:refs/heads/main)"
keys_of two.key k2 >keys.json
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], issuerKeys: \$keys, claimsMatchingExpression: $expression}"
is_status "other keys" 200
equal "the new key is believed" token "$(sign_in_with two.key k2 repo:shop/cart:ref:refs/heads/dev)"
equal "the old one is not" AADSTS700027 "$(sign_in_with one.key k1 repo:shop/cart:ref:refs/heads/dev)"
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], subject: \"exactly\"}"
is_status "a later write without keys, as an SDK does, and with a subject" 200
equal "keeps the keys" k2 "$(field '.properties.issuerKeys.keys[0].kid')"
equal "and the subject decides" 'token AADSTS700213' \
  "$(sign_in_with two.key k2 exactly) $(sign_in_with two.key k2 repo:shop/cart:ref:refs/heads/dev)"
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], subject: \"s\", claimsMatchingExpression: $expression}"
is_status "a subject and an expression at once" 400
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"]}"
is_status "neither" 400
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], claimsMatchingExpression: {languageVersion: 1, value: \"claims[\"}}"
is_status "an expression that is none" 400
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], subject: \"s\", issuerKeys: {keys: [{kty: \"oct\", k: \"AAAA\"}]}}"
is_status "keys that are none" 400
api GET "$app/federatedIdentityCredentials/main-branch"
equal "what was refused changed nothing" exactly "$(field .properties.subject)"
wide='{languageVersion: 1, value: "claims['"'sub'"'] matches '"'repo:shop*'"'"}'
credential "{issuer: \$iss, audiences: [\"api://AzureADTokenExchange\"], claimsMatchingExpression: $wide}"
is_status "an expression that admits others" 200
equal "is warned of" AnotherOwnerAdmitted "$(field '.properties.warnings[0].code')"
stop_server
