# Debian's Azure CLI, unmodified, in the server's namespace: for tests that have sourced lib.sh and started the server.
# Whoever wants another sign-in beside the first changes AZURE_CONFIG_DIR and registers the cloud again.
# shellcheck shell=bash disable=SC2034,SC2154
export AZURE_CONFIG_DIR=$MERLON_TMP/azure REQUESTS_CA_BUNDLE=$state/ca.pem AZURE_CORE_COLLECT_TELEMETRY=0
export AZURE_CORE_NO_COLOR=1 AZURE_CORE_ONLY_SHOW_ERRORS=1

az() { in_ns server /usr/bin/az "$@"; }
az_json() { # az_json FILTER ARGUMENTS...: the answer through jq
  local filter=$1
  shift
  az "$@" --output json >"$MERLON_TMP/az.json" 2>"$MERLON_TMP/az.log" || fail "az $*: $(<"$MERLON_TMP/az.log")"
  jq -er "$filter" "$MERLON_TMP/az.json" || fail "az $*: $filter is not in $(head -c 600 "$MERLON_TMP/az.json")"
}
az_refused() { # az_refused TEXT ARGUMENTS...: az fails and says it, Azure's code for example
  local text=$1
  shift
  if az "$@" >"$MERLON_TMP/az.json" 2>"$MERLON_TMP/az.log"; then fail "az $* was not refused"; fi
  grep -q -e "$text" "$MERLON_TMP/az.log" || fail "az $* does not say '$text': $(<"$MERLON_TMP/az.log")"
  ok "az ${*:1:3} is refused: $text"
}
register_cloud() {
  merlon cloud-config >"$MERLON_TMP/cloud.json"
  az cloud register --name merlon --cloud-config "@$MERLON_TMP/cloud.json"
  az cloud set --name merlon
}
az_login() { # as who may do everything
  az login --service-principal --username "$(first clientId)" --password "$(first clientSecret)" \
    --tenant "$(first tenantId)" --output json
}
