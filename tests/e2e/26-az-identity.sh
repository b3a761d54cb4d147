#!/usr/bin/env bash
# Debian's Azure CLI, unmodified: user-assigned identities and federated credentials, and `az login --federated-token`
# with a token that another issuer has signed, from a server of its own with a certificate of its own.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

issuer=https://127.0.0.1:9443
(
  cd "$MERLON_TMP" || exit
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=issuer \
    -addext subjectAltName=IP:127.0.0.1 -keyout issuer.key -out issuer.crt 2>/dev/null
  openssl genrsa -out signer.key 2048 2>/dev/null
)
start_server --private-issuer "$issuer"

. "$(dirname "$0")/az.sh"
register_cloud
az_login >/dev/null
az group create --name rg --location local >/dev/null

# -- identities
equal "identity create" shop "$(az_json .name identity create --name shop --resource-group rg)"
client=$(az_json .clientId identity show --name shop --resource-group rg)
principal=$(az_json .principalId identity show --name shop --resource-group rg)
equal "identity list" '["shop"]' "$(az_json '[.[].name] | tojson' identity list --resource-group rg)"
equal "it is a service principal" ManagedIdentity "$(az_json .servicePrincipalType ad sp show --id "$client")"

# -- their federated credentials
equal "federated-credential create" repo:shop/cart:ref:refs/heads/main "$(az_json .subject identity federated-credential create \
  --name main --identity-name shop --resource-group rg --issuer "$issuer" --subject repo:shop/cart:ref:refs/heads/main \
  --audiences api://AzureADTokenExchange)"
equal "federated-credential list" '["main"]' "$(az_json '[.[].name] | tojson' \
  identity federated-credential list --identity-name shop --resource-group rg)"
equal "federated-credential show" "$issuer" "$(az_json .issuer identity federated-credential show --name main --identity-name shop \
  --resource-group rg)"
az identity federated-credential delete --name main --identity-name shop --resource-group rg --yes

# -- the same of an application
equal "ad app create" web "$(az_json .displayName ad app create --display-name web)"
app=$(az_json '.[0].appId' ad app list --display-name web)
jq -n --arg issuer "$issuer" '{name: "main", issuer: $issuer, subject: "s", description: "d", audiences: ["api://AzureADTokenExchange"]}' \
  >"$MERLON_TMP/ci.json"
equal "ad app federated-credential create" main "$(az_json .name ad app federated-credential create --id "$app" \
  --parameters "@$MERLON_TMP/ci.json")"
equal "ad app federated-credential list" '["main"]' "$(az_json '[.[].name] | tojson' ad app federated-credential list --id "$app")"
az ad app federated-credential update --id "$app" --federated-credential-id main --parameters '{"subject": "t"}'
equal "ad app federated-credential show" t "$(az_json .subject ad app federated-credential show --id "$app" \
  --federated-credential-id main)"
az ad app federated-credential delete --id "$app" --federated-credential-id main

# -- a token of the issuer signs the identity in
jwk=$(openssl rsa -in "$MERLON_TMP/signer.key" -noout -modulus 2>/dev/null | cut -d= -f2 | basenc --base16 -d | basenc --base64url -w0 |
  tr -d =)
mkdir -p "$MERLON_TMP/issuer/.well-known"
jq -n --arg issuer "$issuer" '{issuer: $issuer, jwks_uri: ($issuer + "/keys")}' \
  >"$MERLON_TMP/issuer/.well-known/openid-configuration"
jq -n --arg n "$jwk" '{keys: [{kty: "RSA", kid: "k", use: "sig", n: $n, e: "AQAB"}]}' >"$MERLON_TMP/issuer/keys"
in_ns server python3 -c '
import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1] + "/issuer")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 9443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/issuer.crt", sys.argv[1] + "/issuer.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()' "$MERLON_TMP" >"$MERLON_TMP/issuer.log" 2>&1 &
wait_for 10 "the issuer answers" in_ns server curl -sf --cacert "$MERLON_TMP/issuer.crt" -o /dev/null "$issuer/keys"

encode() { basenc --base64url -w0 | tr -d =; }
token() { # token SUBJECT
  local input
  input=$(printf '{"alg":"RS256","kid":"k"}' | encode).$(jq -cn --arg iss "$issuer" --arg sub "$1" --argjson now "$(date +%s)" \
    '{iss: $iss, sub: $sub, aud: "api://AzureADTokenExchange", iat: $now, nbf: $now, exp: ($now + 600)}' | tr -d '\n' | encode)
  printf %s "$input.$(printf %s "$input" | openssl dgst -sha256 -sign "$MERLON_TMP/signer.key" | encode)"
}
identity=/subscriptions/$subscription/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop
jq -n --arg issuer "$issuer" --rawfile ca "$MERLON_TMP/issuer.crt" '{properties: {issuer: $issuer, subject: "cart",
  audiences: ["api://AzureADTokenExchange"], issuerAuthorities: $ca}}' >"$MERLON_TMP/pinned.json"
az rest --method put --url "$identity/federatedIdentityCredentials/cart?api-version=2023-01-31" --body "@$MERLON_TMP/pinned.json" \
  >/dev/null
reader=$(merlon role assign --role Reader --assignee "$principal" --scope "/subscriptions/$subscription" --output json | jq -r .id)
AZURE_CONFIG_DIR=$MERLON_TMP/azure-federated
register_cloud
equal "login by a foreign token shows the subscription" "$subscription" "$(az_json '.[].id' \
  login --service-principal --username "$client" --tenant "$(first tenantId)" --federated-token "$(token cart)")"
equal "and its token works" '["rg"]' "$(az_json '[.[].name] | tojson' group list)"
if az login --service-principal --username "$client" --tenant "$(first tenantId)" --federated-token "$(token other)" \
  >/dev/null 2>"$MERLON_TMP/az.log"; then fail "another subject was signed in"; fi
grep -q AADSTS700213 "$MERLON_TMP/az.log" || fail "another subject is not refused with AADSTS700213"
ok "another subject is refused"

# -- which machines it is assigned to
AZURE_CONFIG_DIR=$MERLON_TMP/azure
net=$group/providers/Microsoft.Network
version=2023-09-01
api PUT "$net/virtualNetworks/net" '{"location":"local","properties":{
  "addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"one","properties":{"addressPrefix":"10.0.0.0/24"}}]}}'
for name in web-1 web-2; do
  version=2023-09-01
  api PUT "$net/networkInterfaces/$name" "{\"location\":\"local\",\"properties\":{\"ipConfigurations\":[{\"name\":\"a\",
    \"properties\":{\"subnet\":{\"id\":\"$net/virtualNetworks/net/subnets/one\"}}}]}}"
  version=2024-07-01
  api PUT "$group/providers/Microsoft.Compute/virtualMachines/$name" "{\"location\":\"local\",\"properties\":{
    \"hardwareProfile\":{\"vmSize\":\"Standard_D1_v2\"},\"networkProfile\":{\"networkInterfaces\":[
    {\"id\":\"$net/networkInterfaces/$name\"}]}}}"
  is_status "the machine $name" 201
done
equal "list-resources of one that nobody has" '[]' \
  "$(az_json tojson identity list-resources --name shop --resource-group rg)"
api PATCH "$group/providers/Microsoft.Compute/virtualMachines/web-2" "{\"identity\":{\"type\":\"UserAssigned\",
  \"userAssignedIdentities\":{\"$identity\":{}}}}"
equal "list-resources" '[["web-2","rg"]]' \
  "$(az_json '[.[] | [.name, .resourceGroup]] | tojson' identity list-resources --name shop --resource-group rg)"
# Whoever may ask, and reads no machine, sees none. Reader on the subscription is taken away for that.
merlon role remove "$reader" >/dev/null
merlon role assign --role Contributor --assignee "$principal" --scope "$identity" >/dev/null
AZURE_CONFIG_DIR=$MERLON_TMP/azure-federated
equal "list-resources without a right on machines" '[]' \
  "$(az_json tojson identity list-resources --name shop --resource-group rg)"

# -- and its end
AZURE_CONFIG_DIR=$MERLON_TMP/azure
az identity delete --name shop --resource-group rg
AZURE_CONFIG_DIR=$MERLON_TMP/azure-federated
if az group list >/dev/null 2>"$MERLON_TMP/az.log"; then fail "the token outlived its identity"; fi
ok "the identity's token ended with it"
