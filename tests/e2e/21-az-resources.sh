#!/usr/bin/env bash
# Debian's Azure CLI, unmodified: tag names, locks and moves.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server

. "$(dirname "$0")/az.sh"

register_cloud
az_login >"$MERLON_TMP/az.json"
nsg=$group/providers/Microsoft.Network/networkSecurityGroups/web-nsg
az_json .name group create --name rg --location local --tags team=blue >/dev/null
az_json .name resource create --resource-group rg --name web-nsg --location local --api-version 2022-01-01 \
  --resource-type Microsoft.Network/networkSecurityGroups --properties '{}' >/dev/null

# -- tag names
equal "tag create of a name" cost "$(az_json .tagName tag create --name cost)"
equal "tag add-value" low "$(az_json .tagValue tag add-value --name cost --value low)"
equal "tag list" '["cost","team"]' "$(az_json '[.[].tagName] | sort | tojson' tag list)"
az tag remove-value --name cost --value low
az tag delete --name cost --yes
az_refused TagInUse tag delete --name team --yes

# -- locks
equal "lock create on a resource" ReadOnly "$(az_json .level lock create --name frozen --lock-type ReadOnly \
  --resource-group rg --resource web-nsg --resource-type Microsoft.Network/networkSecurityGroups --notes why)"
az_refused ScopeLocked resource tag --tags team=red --ids "$nsg"
equal "lock update" CanNotDelete "$(az_json .level lock update --name frozen --lock-type CanNotDelete \
  --resource-group rg --resource web-nsg --resource-type Microsoft.Network/networkSecurityGroups)"
az_refused ScopeLocked group delete --name rg --yes
equal "lock list" '["frozen"]' "$(az_json '[.[].name] | tojson' lock list --resource-group rg)"
az lock delete --ids "$nsg/providers/Microsoft.Authorization/locks/frozen"
equal "lock create on a group" CanNotDelete "$(az_json .level lock create --name keep --lock-type CanNotDelete \
  --resource-group rg)"
az_refused ScopeLocked resource delete --verbose --ids "$nsg" # without --verbose az keeps the reason to itself
equal "lock show" "$group/providers/Microsoft.Authorization/locks/keep" "$(az_json .id lock show --name keep \
  --resource-group rg)"
az lock delete --name keep --resource-group rg
equal "lock create on the subscription" ReadOnly "$(az_json .level lock create --name all --lock-type ReadOnly)"
az_refused ScopeLocked group create --name other --location local
az lock delete --name all

# -- moves
az_json .name group create --name target --location local >/dev/null
az resource move --destination-group target --ids "$nsg"
equal "resource move" '["web-nsg"]' "$(az_json '[.[].name] | tojson' resource list --resource-group target)"
az_refused ResourceNotFound resource show --ids "$nsg"
