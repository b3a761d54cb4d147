#!/usr/bin/env bash
# Debian's Azure CLI, unmodified: every `az ad` command for users, groups, applications and service principals, against
# Merlon's part of Microsoft Graph; and what the changes mean: who is deleted, disabled or loses a secret is out.
# time limit: 1200 s
# shellcheck source=/dev/null disable=SC2154,SC2034,SC2016
. "$(dirname "$0")/lib.sh"
start_server
url=https://$domain:8443

. "$(dirname "$0")/az.sh"
export HOME=$MERLON_TMP
done_by() { # done_by ARGUMENTS...: az succeeds, whatever it says
  az "$@" >"$MERLON_TMP/az.json" 2>"$MERLON_TMP/az.log" || fail "az $*: $(<"$MERLON_TMP/az.log")"
  ok "az ${*:1:4}"
}
in_ledger() { # in_ledger ACTION: an entry of it, in the export
  grep -q "\"$1\"" "$MERLON_TMP/ledger.jsonl" || fail "the ledger has no $1"
  ok "the ledger has $1"
}
tenant=$(first tenantId)
register_cloud
az_login >/dev/null

# A token for a person by their password, and whether Graph takes it.
password_token() { # password_token NAME PASSWORD: the access token in $token
  in_ns server curl -sf --cacert "$state/ca.pem" "$url/$tenant/oauth2/v2.0/token" \
    --data-urlencode grant_type=password --data-urlencode client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46 \
    --data-urlencode "username=$1" --data-urlencode "password=$2" --data-urlencode "scope=$url/.default openid" |
    jq -er .access_token >"$MERLON_TMP/token" && token=$(<"$MERLON_TMP/token")
}
status_of() { # status_of TOKEN PATH
  in_ns server curl -s -o /dev/null -w '%{http_code}' --cacert "$state/ca.pem" -H "Authorization: Bearer $1" "$url$2"
}
has_status() { [[ $(status_of "$2" "$3") == "$1" ]]; } # has_status STATUS TOKEN PATH

# -- users
ada_name=ada@$domain
ada=$(az_json .id ad user create --display-name 'Ada Lovelace' --user-principal-name "$ada_name" \
  --password 'a Better 1 by far' --mail-nickname countess)
equal "ad user create keeps the mail nickname" countess "$(az_json .mailNickname ad user show --id "$ada")"
equal "ad user show by name" "$ada" "$(az_json .id ad user show --id "$ada_name")"
bob=$(az_json .id ad user create --display-name "Bob O'Hara" --user-principal-name "bob@$domain" --password 'correct Horse 7' \
  --force-change-password-next-sign-in true)
equal "ad user create --force-change-password-next-sign-in" true \
  "$(az_json .passwordProfile.forceChangePasswordNextSignIn ad user show --id "$bob")"
equal "ad user list" '["Ada Lovelace","Bob O'"'"'Hara"]' "$(az_json '[.[].displayName] | sort | tojson' ad user list)"
equal "ad user list --display-name" "$ada" "$(az_json '.[].id' ad user list --display-name Ada)"
equal "ad user list --upn" "$bob" "$(az_json '.[].id' ad user list --upn "BOB@$domain")"
equal "ad user list --filter" "$bob" "$(az_json '.[].id' ad user list --filter "displayName eq 'Bob O''Hara'")"
done_by ad user update --id "$ada_name" --display-name Ada --mail-nickname ada
equal "ad user update" '["Ada","ada"]' "$(az_json '[.displayName, .mailNickname] | tojson' ad user show --id "$ada")"
done_by ad user update --id "$bob" --force-change-password-next-sign-in false
equal "ad user update --force-change-password-next-sign-in" null \
  "$(az_json '.passwordProfile | tojson' ad user show --id "$bob")"
az_refused 'complexity' ad user update --id "$ada" --password weak
az_refused 'already exists' ad user create --display-name x --user-principal-name "$ada_name" --password 'a Better 1 by far'
az_refused 'does not exist' ad user show --id "nobody@$domain"

# -- a person's tokens end with their password, their being enabled, and their account
password_token "bob@$domain" 'correct Horse 7' || fail "bob does not get a token"
equal "a person's token works" 200 "$(status_of "$token" /v1.0/me)"
done_by ad user update --id "$bob" --password 'correct Horse 8' --force-change-password-next-sign-in false
wait_for 1 "the old token has ended with the password" has_status 401 "$token" /v1.0/me
password_token "bob@$domain" 'correct Horse 8' || fail "bob does not get a token by the new password"
done_by ad user update --id "$bob" --account-enabled false
wait_for 1 "the token has ended with the account's being enabled" has_status 401 "$token" /v1.0/me
done_by ad user update --id "$bob" --account-enabled true
equal "and does not come back" 401 "$(status_of "$token" /v1.0/me)"
password_token "bob@$domain" 'correct Horse 8' || fail "bob does not get a token when enabled again"

# -- groups
operators=$(az_json .id ad group create --display-name operators --mail-nickname operators --description 'Who operates')
equal "ad group create again gives the same" "$operators" \
  "$(az_json .id ad group create --display-name operators --mail-nickname operators)"
everyone=$(az_json .id ad group create --display-name everyone --mail-nickname everyone)
equal "ad group show" 'Who operates' "$(az_json .description ad group show --group "$operators")"
equal "ad group list" '["everyone","operators"]' "$(az_json '[.[].displayName] | sort | tojson' ad group list)"
equal "ad group list --display-name" "$operators" "$(az_json '.[].id' ad group list --display-name oper)"
equal "ad group list --filter" "$everyone" "$(az_json '.[].id' ad group list --filter "displayName eq 'everyone'")"
done_by ad group member add --group "$operators" --member-id "$bob"
done_by ad group member add --group "$operators" --member-id "$ada"
done_by ad group member add --group "$everyone" --member-id "$operators"
az_refused 'already exist' ad group member add --group "$operators" --member-id "$bob"
az_refused 'can not become its member' ad group member add --group "$operators" --member-id "$everyone"
equal "ad group member list" 2 "$(az_json length ad group member list --group "$operators")"
equal "ad group member check" true "$(az_json .value ad group member check --group "$operators" --member-id "$bob")"
equal "ad group member check, through a group" true "$(az_json .value ad group member check --group "$everyone" --member-id "$bob")"
equal "ad group get-member-groups" "$everyone" "$(az_json '.[]' ad group get-member-groups --group "$operators")"
equal "ad user get-member-groups, by name" '["everyone","operators"]' \
  "$(az_json '[.[].displayName] | sort | tojson' ad user get-member-groups --id "$ada_name")"
done_by ad group member remove --group "$operators" --member-id "$ada"
equal "ad group member remove" '[false]' "$(az_json '[.value] | tojson' ad group member check --group "$operators" --member-id "$ada")"
az_refused 'does not exist' ad group member remove --group "$operators" --member-id "$ada"

# -- owners write what they own, and nothing else
password_token "bob@$domain" 'correct Horse 8' || fail "bob does not get a token"
add_ada() { # add_ada GROUP: as bob
  in_ns server curl -s -o /dev/null -w '%{http_code}' --cacert "$state/ca.pem" -H "Authorization: Bearer $token" \
    -H 'Content-Type: application/json' -d "{\"@odata.id\": \"$url/v1.0/directoryObjects/$ada\"}" "$url/v1.0/groups/$1/members/\$ref"
}
equal "who does not own a group does not change it" 403 "$(add_ada "$operators")"
done_by ad group owner add --group "$operators" --owner-object-id "$bob"
done_by ad group owner add --group "$operators" --owner-object-id "$bob"
equal "ad group owner list" "$bob" "$(az_json '.[].id' ad group owner list --group "$operators")"
equal "an owner adds a member" 204 "$(add_ada "$operators")"
equal "to their own group alone" 403 "$(add_ada "$everyone")"
done_by ad group owner remove --group "$operators" --owner-object-id "$bob"
done_by ad group member remove --group "$operators" --member-id "$ada"
equal "and no more when they own it no more" 403 "$(add_ada "$operators")"

# -- as a person: az signed in by device code
AZURE_CONFIG_DIR=$MERLON_TMP/azure-person
register_cloud
merlon role assign --role Reader --assignee "$ada_name" --scope "/subscriptions/$subscription" >/dev/null
said_code() { grep -oE '[B-Z]{4}-[B-Z]{4}' "$MERLON_TMP/az-login.log" >"$MERLON_TMP/code"; }
az login --use-device-code >"$MERLON_TMP/az.json" 2>"$MERLON_TMP/az-login.log" &
az_pid=$!
wait_for 60 "az shows a code" said_code
browse() { in_ns server "$MERLON_ROOT/tests/e2e/browser.py" "$state/ca.pem" "$MERLON_TMP/cookies" "$@" >"$MERLON_TMP/page.log"; }
browse "$url/devicelogin" do=sign-in "username=$ada_name" 'password=a Better 1 by far'
browse "$url/devicelogin" do=find-code "user_code=$(<"$MERLON_TMP/code")" -- do=approve
wait "$az_pid" || fail "az login --use-device-code: $(<"$MERLON_TMP/az-login.log")"
equal "ad signed-in-user show" "$ada_name" "$(az_json .userPrincipalName ad signed-in-user show)"
equal "ad signed-in-user list-owned-objects" 0 "$(az_json length ad signed-in-user list-owned-objects)"
az_refused 'Insufficient privileges' ad user create --display-name x --user-principal-name "x@$domain" --password 'a Better 1 by far'
az_refused 'Insufficient privileges' ad group list
equal "a person sees themselves alone" "$ada" "$(az_json '.[].id' ad user list)"
AZURE_CONFIG_DIR=$MERLON_TMP/azure

# -- applications
app=$(az_json .appId ad app create --display-name shop --identifier-uris api://shop --sign-in-audience AzureADMyOrg \
  --web-redirect-uris https://shop.example/callback --public-client-redirect-uris http://localhost)
object=$(az_json .id ad app show --id "$app")
equal "ad app create" '["api://shop","http://localhost","https://shop.example/callback"]' \
  "$(az_json '[.identifierUris[0], .publicClient.redirectUris[0], .web.redirectUris[0]] | tojson' ad app show --id "$app")"
equal "ad app show by identifier URI" "$object" "$(az_json .id ad app show --id api://shop)"
equal "ad app show by object id" "$app" "$(az_json .appId ad app show --id "$object")"
equal "ad app list --app-id" "$object" "$(az_json '.[].id' ad app list --app-id "$app")"
equal "ad app list --display-name" "$object" "$(az_json '.[].id' ad app list --display-name sho)"
equal "ad app list --identifier-uri" "$object" "$(az_json '.[].id' ad app list --identifier-uri API://shop)"
equal "ad app list --all" true "$(az_json "any(.[]; .id == \"$object\") | tojson" ad app list --all)"
done_by ad app update --id "$app" --display-name store --identifier-uris api://store
equal "ad app update" '["store","api://store"]' "$(az_json '[.displayName, .identifierUris[0]] | tojson' ad app show --id "$app")"
az_refused 'AzureADMyOrg' ad app update --id "$app" --sign-in-audience AzureADMultipleOrgs
done_by ad app owner add --id "$app" --owner-object-id "$bob"
equal "ad app owner list" "$bob" "$(az_json '.[].id' ad app owner list --id "$app")"

# -- an owner of an application may write its credentials
password_token "bob@$domain" 'correct Horse 8' || fail "bob does not get a token"
equal "an owner sees their application" 200 "$(status_of "$token" "/v1.0/applications/$object")"
equal "an owner gives it a secret" 200 "$(in_ns server curl -s -o /dev/null -w '%{http_code}' --cacert "$state/ca.pem" \
  -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{}' "$url/v1.0/applications/$object/addPassword")"
done_by ad app owner remove --id "$app" --owner-object-id "$bob"
equal "and sees it no more" 403 "$(status_of "$token" "/v1.0/applications/$object")"

# -- their credentials
done_by ad app credential reset --id "$app" --display-name one
equal "ad app credential list" '["one"]' "$(az_json '[.[].displayName] | tojson' ad app credential list --id "$app")"
done_by ad app credential reset --id "$app" --display-name two --append
equal "ad app credential reset --append" 2 "$(az_json length ad app credential list --id "$app")"
done_by ad app credential reset --id "$app" --create-cert --append
certificate=$(az_json .fileWithCertAndPrivateKey ad app credential reset --id "$app" --create-cert)
equal "ad app credential list --cert" 1 "$(az_json length ad app credential list --id "$app" --cert)"
equal "without --append the secrets are gone" 0 "$(az_json length ad app credential list --id "$app")"

# -- service principals
principal=$(az_json .id ad sp create --id "$app")
az_refused 'already in use' ad sp create --id "$app"
equal "ad sp show by appId" "$principal" "$(az_json .id ad sp show --id "$app")"
equal "ad sp show by identifier URI" "$principal" "$(az_json .id ad sp show --id api://store)"
equal "ad sp show by object id" "$app" "$(az_json .appId ad sp show --id "$principal")"
equal "ad sp list --spn" "$principal" "$(az_json '.[].id' ad sp list --spn "$app")"
equal "ad sp list --display-name" "$principal" "$(az_json '.[].id' ad sp list --display-name store)"
equal "ad sp list --all" true "$(az_json "any(.[]; .id == \"$principal\") | tojson" ad sp list --all)"
equal "ad sp owner list" 0 "$(az_json length ad sp owner list --id "$app")"
merlon role assign --role Reader --assignee "$principal" --scope "/subscriptions/$subscription" >/dev/null
secret=$(az_json .password ad sp credential reset --id "$app" --display-name rolled)
key=$(az_json '.[].keyId' ad sp credential list --id "$app")
sign_in_app() { # sign_in_app DIRECTORY PASSWORD
  AZURE_CONFIG_DIR=$MERLON_TMP/$1 register_cloud
  AZURE_CONFIG_DIR=$MERLON_TMP/$1 az login --service-principal --username "$app" --password "$2" --tenant "$tenant" \
    >/dev/null 2>"$MERLON_TMP/az.log"
}
sign_in_app azure-secret "$secret" || fail "the reset secret does not sign in: $(<"$MERLON_TMP/az.log")"
ok "ad sp credential reset: the secret signs in"
sign_in_app azure-certificate "$certificate" || fail "az's own certificate does not sign in: $(<"$MERLON_TMP/az.log")"
ok "ad app credential reset --create-cert: the certificate signs in"
done_by ad sp credential delete --id "$app" --key-id "$key"
if sign_in_app azure-secret "$secret"; then fail "a deleted secret signs in"; fi
ok "ad sp credential delete: the secret is out"
certificate_key=$(az_json '.[].keyId' ad sp credential list --id "$app" --cert)
done_by ad sp credential delete --id "$app" --key-id "$certificate_key" --cert
equal "ad sp credential delete --cert" 0 "$(az_json length ad sp credential list --id "$app" --cert)"
done_by ad sp update --id "$app" --set accountEnabled=false
equal "ad sp update" false "$(az_json '.accountEnabled | tojson' ad sp show --id "$app")"
done_by ad app credential reset --id "$app" --display-name last
last=$(az_json '.[].keyId' ad app credential list --id "$app")
done_by ad app credential delete --id "$app" --key-id "$last"
equal "ad app credential delete" 0 "$(az_json length ad app credential list --id "$app")"
az_refused 'No password or key credential found' ad app credential delete --id "$app" --key-id "$last"

# -- federated credentials: an expression, pinned keys, and a token that fits them
openssl genrsa -out "$MERLON_TMP/signer.key" 2048 2>/dev/null
modulus=$(openssl rsa -in "$MERLON_TMP/signer.key" -noout -modulus 2>/dev/null | cut -d= -f2 | basenc --base16 -d |
  basenc --base64url -w0 | tr -d =)
jq -n --arg n "$modulus" '{keys: [{kty: "RSA", kid: "k", use: "sig", n: $n, e: "AQAB"}]}' >"$MERLON_TMP/keys.json"
jq -n --slurpfile keys "$MERLON_TMP/keys.json" '{name: "branches", issuer: "https://ci.example", "@merlon.issuerKeys": $keys[0],
  audiences: ["api://AzureADTokenExchange"], claimsMatchingExpression: {languageVersion: 1,
  value: "claims['"'sub'"'] matches '"'repo:shop/*:ref:refs/heads/*'"'"}}' >"$MERLON_TMP/credential.json"
done_by ad sp update --id "$app" --set accountEnabled=true
equal "ad app federated-credential create with an expression" null "$(az_json '.subject | tojson' \
  ad app federated-credential create --id "$app" --parameters "@$MERLON_TMP/credential.json")"
equal "ad app federated-credential list" branches "$(az_json '.[].name' ad app federated-credential list --id "$app")"
done_by ad app federated-credential update --id "$app" --federated-credential-id branches --parameters '{"description": "every branch"}'
equal "ad app federated-credential show" 'every branch' "$(az_json .description ad app federated-credential show --id "$app" \
  --federated-credential-id branches)"
encode() { basenc --base64url -w0 | tr -d =; }
foreign_token() { # foreign_token SUBJECT
  local input
  input=$(printf '{"alg":"RS256","kid":"k"}' | encode).$(jq -cn --arg sub "$1" --argjson now "$(date +%s)" \
    '{iss: "https://ci.example", sub: $sub, aud: "api://AzureADTokenExchange", iat: $now, nbf: $now, exp: ($now + 600)}' |
    tr -d '\n' | encode)
  printf %s "$input.$(printf %s "$input" | openssl dgst -sha256 -sign "$MERLON_TMP/signer.key" | encode)"
}
AZURE_CONFIG_DIR=$MERLON_TMP/azure-federated
register_cloud
equal "a token that fits the expression signs in" "$subscription" "$(az_json '.[].id' login --service-principal \
  --username "$app" --tenant "$tenant" --federated-token "$(foreign_token repo:shop/cart:ref:refs/heads/feature/x)")"
az_refused AADSTS700213 login --service-principal --username "$app" --tenant "$tenant" \
  --federated-token "$(foreign_token repo:shop-attacker/cart:ref:refs/heads/main)"
AZURE_CONFIG_DIR=$MERLON_TMP/azure
merlon app add-federated-credential --app "$app" --name wide --issuer https://ci.example \
  --expression "claims['sub'] matches 'repo:shop*:ref:refs/heads/main'" >"$MERLON_TMP/wide.out"
grep -q "Warning: .*repo:shop-attacker/any" "$MERLON_TMP/wide.out" || fail "no warning: $(<"$MERLON_TMP/wide.out")"
ok "merlon app add-federated-credential warns of another's repository"
equal "merlon app list-federated-credentials" '["branches","wide"]' \
  "$(merlon app list-federated-credentials --app "$app" --output json | jq -c '[.value[].name] | sort')"
merlon app remove-federated-credential --app "$app" --name wide >/dev/null
done_by ad app federated-credential delete --id "$app" --federated-credential-id branches

# -- create-for-rbac, as far as Debian's az goes: its role assignment fails by itself
az_json . ad sp create-for-rbac --name robot >"$MERLON_TMP/robot.json"
robot=$(jq -er .appId "$MERLON_TMP/robot.json")
robot_principal=$(az_json .id ad sp show --id "$robot")
merlon role assign --role Reader --assignee "$robot_principal" --scope "/subscriptions/$subscription" >/dev/null
AZURE_CONFIG_DIR=$MERLON_TMP/azure-robot
register_cloud
equal "ad sp create-for-rbac signs in" "$subscription" "$(az_json '.[].id' login --service-principal --username "$robot" \
  --password "$(jq -er .password "$MERLON_TMP/robot.json")" --tenant "$tenant")"
AZURE_CONFIG_DIR=$MERLON_TMP/azure
equal "ad sp create-for-rbac again is the same application" "$robot" "$(az_json .appId ad sp create-for-rbac --name robot)"
equal "ad sp create-for-rbac --create-cert" true \
  "$(az_json '.fileWithCertAndPrivateKey | test("pem$") | tojson' ad sp create-for-rbac --name robot2 --create-cert)"
done_by ad sp delete --id "$robot"
az_refused 'exist' ad sp show --id "$robot"
AZURE_CONFIG_DIR=$MERLON_TMP/azure-robot
if az group list >/dev/null 2>"$MERLON_TMP/az.log"; then fail "a deleted service principal's token works"; fi
ok "a deleted service principal's token is out"
AZURE_CONFIG_DIR=$MERLON_TMP/azure
done_by ad app delete --id "$app"
az_refused 'exist' ad app show --id "$object"
az_refused 'exist' ad sp show --id "$principal"

# -- pages, counts, and looking ids up
graph() { # graph PATH: as the first administrator
  az rest --method get --url "$url/v1.0/$1" --resource "$url/" --output json
}
for i in 1 2 3 4 5; do merlon user create --username "user$i" >/dev/null; done
equal "\$top makes pages, \$count counts them all" '[3,7,true]' \
  "$(graph 'users?$top=3&$count=true' | jq -c '[(.value | length), .["@odata.count"], has("@odata.nextLink")]')"
equal "users/\$count" 7 "$(az rest --method get --url "$url/v1.0/users/\$count" --resource "$url/" | tr -d '\r\n')"
equal "\$select" '["displayName","id"]' "$(graph "users/$ada?\$select=displayName" | jq -c 'keys - ["@odata.context"]')"
equal "transitiveMembers" 2 "$(graph "groups/$everyone/transitiveMembers" | jq '.value | length')"
equal "transitiveMemberOf" 2 "$(graph "users/$bob/transitiveMemberOf" | jq '.value | length')"
equal "memberOf" "$operators" "$(graph "users/$bob/memberOf" | jq -r '.value[].id')"
equal "getByIds" '["#microsoft.graph.group","#microsoft.graph.user"]' "$(az rest --method post --resource "$url/" \
  --url "$url/v1.0/directoryObjects/getByIds" --body "{\"ids\": [\"$bob\", \"$operators\"]}" | jq -c '[.value[]["@odata.type"]] | sort')"

# -- and their end
password_token "bob@$domain" 'correct Horse 8' || fail "bob does not get a token"
done_by ad user delete --id "$bob"
wait_for 1 "a deleted person's token has ended" has_status 401 "$token" /v1.0/me
if password_token "bob@$domain" 'correct Horse 8'; then fail "a deleted person signs in"; fi
equal "and they are in no group" '[false]' \
  "$(az_json '[any(.[]; .userPrincipalName == "bob@'"$domain"'")] | tojson' ad group member list --group "$operators")"
done_by ad group delete --group "$operators"
az_refused 'does not exist' ad group show --group "$operators"

merlon ledger export >"$MERLON_TMP/ledger.jsonl"
for action in users/create users/delete users/password/update users/disable groups/create groups/members/update \
  groups/owners/update groups/delete applications/create applications/delete applications/credentials/update \
  applications/owners/update servicePrincipals/create servicePrincipals/credentials/update servicePrincipals/delete; do
  in_ledger "microsoft.directory/$action"
done
if grep -qE 'Better|Horse' "$MERLON_TMP/ledger.jsonl"; then fail "a password is in the ledger"; fi
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null
ok "the ledger verifies"
