#!/usr/bin/env bash
# Debian's Azure CLI, unmodified, against Merlon: registered from `merlon cloud-config`, signed in by secret and by
# certificate, and used for what it can be used for.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server
version=2021-04-01

. "$(dirname "$0")/az.sh"

register_cloud
equal "the registered cloud" "https://$domain:8443" \
  "$(az_json '.endpoints.resourceManager | sub("/$"; "")' cloud show)"

# -- signing in
az_refused AADSTS7000215 login --service-principal --username "$(first clientId)" --password wrong \
  --tenant "$(first tenantId)"
equal "login by secret shows the subscription" "$subscription" "$(az_json '.[].id' \
  login --service-principal --username "$(first clientId)" --password "$(first clientSecret)" \
    --tenant "$(first tenantId)")"

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=az-test -keyout "$MERLON_TMP/app.key" \
  -out "$MERLON_TMP/app.crt" 2>/dev/null
cat "$MERLON_TMP/app.key" "$MERLON_TMP/app.crt" >"$MERLON_TMP/app.pem"
merlon app create --name az-test --certificate "$MERLON_TMP/app.crt" --output json >"$MERLON_TMP/app.json"
app=$(jq -er .clientId "$MERLON_TMP/app.json")
merlon role assign --role Contributor --assignee "$(jq -er .objectId "$MERLON_TMP/app.json")" \
  --scope "/subscriptions/$subscription" >/dev/null
AZURE_CONFIG_DIR=$MERLON_TMP/azure-certificate
register_cloud
equal "login by certificate shows the subscription" "$subscription" "$(az_json '.[].id' \
  login --service-principal --username "$app" --password "$MERLON_TMP/app.pem" --tenant "$(first tenantId)")"
equal "and its token works" rg0 "$(az_json .name group create --name rg0 --location local)"
AZURE_CONFIG_DIR=$MERLON_TMP/azure

# -- resource groups
equal "group create" Succeeded "$(az_json .properties.provisioningState group create --name rg --location local \
  --tags env=test)"
equal "group list" '["rg","rg0"]' "$(az_json '[.[].name] | sort | tojson' group list)"
equal "group list by tag" '["rg"]' "$(az_json '[.[].name] | tojson' group list --tag env=test)"
equal "group show" "$group" "$(az_json .id group show --name rg)"
equal "group exists" true "$(az group exists --name rg)"
az_refused ResourceGroupNotFound group show --name nothing
az group delete --name rg0 --yes
equal "group delete" false "$(az group exists --name rg0)"

# -- resources
rule='{"name":"https","properties":{"protocol":"Tcp","sourceAddressPrefix":"*","sourcePortRange":"*",
  "destinationAddressPrefix":"*","destinationPortRange":"443","access":"Allow","direction":"Inbound","priority":200}}'
equal "resource create" Succeeded "$(az_json .properties.provisioningState resource create \
  --resource-group rg --name web-nsg \
  --resource-type Microsoft.Network/networkSecurityGroups --location local --api-version 2022-01-01 \
  --properties "{\"securityRules\":[$rule]}")"
equal "resource show, with an api-version that az finds out" 443 "$(az_json \
  '.properties.securityRules[0].properties.destinationPortRange' resource show --resource-group rg --name web-nsg \
  --resource-type Microsoft.Network/networkSecurityGroups)"
equal "resource list" web-nsg "$(az_json '.[].name' resource list --resource-group rg)"
equal "resource list by type" '[]' "$(az_json tojson resource list --resource-type Microsoft.Compute/virtualMachines)"
equal "resource tag" '{"team":"blue"}' "$(az_json '.tags | tojson' resource tag --tags team=blue --resource-group rg \
  --name web-nsg --resource-type Microsoft.Network/networkSecurityGroups --api-version 2022-01-01)"
equal "tagging changed nothing else" 443 "$(az_json '.properties.securityRules[0].properties.destinationPortRange' \
  resource show --ids "$group/providers/Microsoft.Network/networkSecurityGroups/web-nsg")"
az_refused ResourceNotFound resource show --resource-group rg --name nothing \
  --resource-type Microsoft.Network/networkSecurityGroups
az_refused InvalidRequestContent resource create --resource-group rg --name bad \
  --resource-type Microsoft.Network/networkSecurityGroups --location local --api-version 2022-01-01 \
  --properties '{"securityRules":[{"name":"x","properties":{"protocol":"Carrier pigeon"}}]}'

# -- tags of a scope
equal "tag create" '{"a":"1","b":"2"}' "$(az_json '.properties.tags | tojson' tag create --resource-id "$group" \
  --tags a=1 b=2)"
equal "tag list" '{"a":"1","b":"2"}' "$(az_json '.properties.tags | tojson' tag list --resource-id "$group")"
equal "tag update" '{"a":"1","b":"2","c":"3"}' "$(az_json '.properties.tags | tojson' tag update \
  --resource-id "$group" --operation merge --tags c=3)"
equal "tag list of the subscription" true "$(az_json '[.[].tagName] | contains(["a","team"])' tag list)"
az resource delete --resource-group rg --name web-nsg --resource-type Microsoft.Network/networkSecurityGroups
equal "resource delete" '[]' "$(az_json tojson resource list --resource-group rg)"
equal "provider list" Registered "$(az_json '.[] | select(.namespace == "Microsoft.Security") | .registrationState' \
  provider list)"
equal "account list-locations" true "$(az_json '[.[].name] | contains(["local"])' account list-locations)"

# -- just-in-time access: a machine that a person described, without an agent
api PUT "$group/providers/Microsoft.Network/networkSecurityGroups/web-1-nsg?api-version=2022-01-01" \
  '{"location":"local"}'
is_status "a security group" 201
api PUT "$group/providers/Microsoft.Network/virtualNetworks/net?api-version=2022-01-01" \
  '{"location":"local","properties":{"addressSpace":{"addressPrefixes":["198.51.100.0/24"]},
    "subnets":[{"name":"default","properties":{"addressPrefix":"198.51.100.0/24"}}]}}'
is_status "a virtual network" 201
network=$group/providers/Microsoft.Network
api PUT "$network/networkInterfaces/web-1-nic?api-version=2022-01-01" "{\"location\":\"local\",\"properties\":{
  \"networkSecurityGroup\":{\"id\":\"$network/networkSecurityGroups/web-1-nsg\"},
  \"ipConfigurations\":[{\"name\":\"ipconfig1\",\"properties\":{
  \"privateIPAddress\":\"198.51.100.10\",\"privateIPAllocationMethod\":\"Static\",
  \"subnet\":{\"id\":\"$network/virtualNetworks/net/subnets/default\"}}}]}}"
is_status "a network interface" 201
api PUT "$(vm)?api-version=2022-03-01" \
  "{\"location\":\"local\",\"properties\":{\"networkProfile\":{\"networkInterfaces\":[
  {\"id\":\"$network/networkInterfaces/web-1-nic\"}]}}}"
is_status "a virtual machine" 201
url="https://$domain:8443$(policy)?api-version=2020-01-01"
body="{\"kind\":\"Basic\",\"properties\":{\"virtualMachines\":[{\"id\":\"$(vm)\",\"ports\":[{
  \"number\":22,\"protocol\":\"*\",\"allowedSourceAddressPrefix\":\"*\",\"maxRequestAccessDuration\":\"PT3H\"}]}]}}"
equal "az rest puts a policy" Succeeded "$(az_json .properties.provisioningState rest --method put --url "$url" \
  --body "$body")"
equal "security jit-policy list" default "$(az_json '.[].name' security jit-policy list)"
equal "security jit-policy show" PT3H "$(az_json '.virtualMachines[0].ports[0].maxRequestAccessDuration' \
  security jit-policy show --resource-group rg --location local --name default)"
soon=$(rfc3339_in 600)
request="{\"virtualMachines\":[{\"id\":\"$(vm)\",\"ports\":[{\"number\":22,\"endTimeUtc\":\"$soon\",
  \"allowedSourceAddressPrefix\":\"192.0.2.10\"}]}],\"justification\":\"from az\"}"
equal "az rest initiates" Initiated "$(az_json '.virtualMachines[0].ports[0].status' rest --method post \
  --url "${url/\?/\/initiate?}" --body "$request")"
equal "the request is in the policy" "from az" "$(az_json '.requests[0].justification' security jit-policy show \
  --resource-group rg --location local --name default)"
az_refused JitRequestTooLong rest --method post --url "${url/\?/\/initiate?}" \
  --body "${request/$soon/$(rfc3339_in 90000)}"
equal "activity-log knows it" true "$(az_json '[.[].operationName.value] | any(test("initiate/action$"; "i"))' \
  monitor activity-log list --resource-group rg --offset 1h)"
