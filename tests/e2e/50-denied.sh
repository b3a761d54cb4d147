#!/usr/bin/env bash
# Who has no right is refused with Azure's words and a ledger entry; what is asked for wrongly is refused, names its
# field, and opens nothing; a token that is not ours, not for us, or not in time is no token.
# time limit: 240 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
whole_set_up
owner=$token

nothing_open() {
  [[ $(merlon jit list --output json | jq '.value | length') == 0 ]] ||
    fail "$1: something is open: $(merlon jit list)"
  not can_ssh alice || fail "$1: alice gets in"
  not can_ssh mallory || fail "$1: mallory gets in"
}
ledger_has() { # ledger_has DECISION ACTION OBJECT-ID: newest entries
  token=$owner
  version=2024-01-01
  api GET "/providers/Merlon.Ledger/entries?\$top=50"
  version=2020-01-01
  jq -e --arg d "$1" --arg a "$2" --arg o "$3" '.value[] | select(.decision == $d and
    (.action | ascii_downcase) == ($a | ascii_downcase) and .actor.objectId == $o)' >/dev/null <<<"$answer"
}

# -- no right at all, and too few
merlon app create --name nobody --secret --output json >"$MERLON_TMP/nobody.json"
nobody=$(jq -er .objectId "$MERLON_TMP/nobody.json")
nobody_client=$(jq -er .clientId "$MERLON_TMP/nobody.json")
nobody_secret=$(jq -er .clientSecret "$MERLON_TMP/nobody.json")
as_nobody() { token=$(new_token "$nobody_client" "$nobody_secret"); }
initiate_action=Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action
refused_as_azure() { # refused_as_azure ACTION
  equal "403" 403 "$status"
  equal "its code" AuthorizationFailed "$(field .error.code)"
  local text
  text=$(field .error.message)
  for part in "The client '" \
    "with object id '$nobody' does not have authorization to perform action '$1' over scope '"; do
    [[ ${text,,} == *"${part,,}"* ]] || fail "the message lacks \"$part\": $text"
  done
  ok "Azure's 403 for $1"
}
as_nobody
initiate 600 "${address4[alice]}"
refused_as_azure $initiate_action
ledger_has denied $initiate_action "$nobody" || fail "the refusal is not in the ledger"
ok "and it is in the ledger"
nothing_open "without any right"

merlon role assign --role Reader --assignee "$nobody" --scope "$group" >/dev/null
as_nobody
api GET "$(policy)"
is_status "a Reader reads the policy" 200
initiate 600 "${address4[alice]}"
refused_as_azure $initiate_action
api PUT "$(policy)" '{"kind":"Basic","properties":{"virtualMachines":[]}}'
refused_as_azure Microsoft.Security/locations/jitNetworkAccessPolicies/write
version=2024-01-01
api POST "$group/providers/Merlon.Machines/enrolmentTokens" '{"name":"evil"}'
refused_as_azure Merlon.Machines/enrolmentTokens/write
version=2022-01-01
api DELETE "$(nsg)"
refused_as_azure Microsoft.Network/networkSecurityGroups/delete
version=2022-04-01
api PUT "$group/providers/Microsoft.Authorization/roleAssignments/$(cat /proc/sys/kernel/random/uuid)" \
  "{\"properties\":{\"principalId\":\"$nobody\",\"roleDefinitionId\":
  \"/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635\"}}"
refused_as_azure Microsoft.Authorization/roleAssignments/write
version=2020-01-01
nothing_open "a Reader"
status=0
MERLON_CLIENT_ID=$nobody_client MERLON_CLIENT_SECRET=$nobody_secret merlon jit request web-1 \
  --resource-group rg --port 22 --for 5m --from "${address4[alice]}" >"$MERLON_TMP/cli.log" 2>&1 ||
  status=$?
equal "the command line's exit status" 1 "$status"
grep -q AuthorizationFailed "$MERLON_TMP/cli.log" ||
  fail "the command line does not say why: $(<"$MERLON_TMP/cli.log")"
status=0
merlon role why --help >/dev/null 2>&1 || status=$?
equal "merlon role why exists" 0 "$status"

# -- with every right, but asked for wrongly
token=$owner
put_policy 22 PT30M 192.0.2.0/24
bad() { # bad WHAT CODE FIELD BODY-FILTER: a good request changed by the filter
  api POST "$(policy)/initiate" "$(jq -n --arg id "$(vm)" --arg until "$(rfc3339_in 600)" \
    "{virtualMachines: [{id: \$id, ports: [{number: 22, endTimeUtc: \$until,
      allowedSourceAddressPrefix: \"192.0.2.10\"}]}]} | $4")"
  is_status "$1" 400 "$2"
  [[ $(jq -r '[.error.target, .error.details[]?.target] | join(" ")' <<<"$answer") == *"$3"* ]] ||
    fail "$1: the answer does not name $3: $answer"
}
port='.virtualMachines[0].ports[0]'
bad "longer than the policy allows" JitRequestTooLong endTimeUtc "$port.endTimeUtc = \"$(rfc3339_in 3600)\""
bad "a duration longer than the policy allows" JitRequestTooLong duration \
  "$port.duration = \"PT31M\" | del($port.endTimeUtc)"
bad "an end in the past" JitRequestInThePast endTimeUtc "$port.endTimeUtc = \"2020-01-01T00:00:00Z\""
bad "no time at all" '[A-Za-z]+' endTimeUtc "del($port.endTimeUtc)"
bad "an end that is no time" 'Invalid[A-Za-z]+' endTimeUtc "$port.endTimeUtc = \"tomorrow\""
bad "a port that is not in the policy" JitPortNotInPolicy number "$port.number = 2222"
bad "a port that is none" 'Invalid[A-Za-z]+' number "$port.number = 65536"
bad "a port that is a text" 'Invalid[A-Za-z]+' number "$port.number = \"22\""
bad "a source that the policy does not allow" JitSourceNotAllowed allowedSourceAddressPrefix \
  "$port.allowedSourceAddressPrefix = \"${address4[mallory]}\""
bad "a source wider than the policy allows" JitSourceNotAllowed allowedSourceAddressPrefix \
  "$port.allowedSourceAddressPrefix = \"*\""
bad "an IPv6 source where only IPv4 is allowed" JitSourceNotAllowed allowedSourceAddressPrefix \
  "$port.allowedSourceAddressPrefix = \"${address6[alice]}\""
bad "a source that is no address" 'Invalid[A-Za-z]+' allowedSourceAddressPrefix \
  "$port.allowedSourceAddressPrefix = \"anywhere\""
bad "one good port and one bad one" JitPortNotInPolicy number \
  '.virtualMachines[0].ports += [.virtualMachines[0].ports[0] | .number = 2222]'
bad "the same port twice" 'Invalid[A-Za-z]+' ports '.virtualMachines[0].ports += .virtualMachines[0].ports'
bad "no machine" 'Invalid[A-Za-z]+' virtualMachines '.virtualMachines = []'
api POST "$(policy)/initiate" "$(jq -n --arg id "$(vm)x" --arg until "$(rfc3339_in 600)" \
  '{virtualMachines: [{id: $id, ports: [{number: 22, endTimeUtc: $until}]}]}')"
is_status "a machine that is not in the policy" 404 '[A-Za-z]+'
api POST "$(policy)/initiate" '{"virtualMachines": ['
is_status "a body that is no JSON" 400 InvalidRequestContent
from=mallory
initiate 600
is_status "the requester's own address, when the policy does not allow it" 400 JitSourceNotAllowed
from=server
initiate 600
is_status "the server's own address is no requester's" 400 'JitSource[A-Za-z]+'
nothing_open "after all of these"

# -- tokens
unauthenticated() { # unauthenticated WHAT
  api GET "$(policy)"
  is_status "$1" 401 '[A-Za-z]*Authenticat[A-Za-z]*'
}
good=$owner
base64url() { base64 -w0 | tr '/+' '_-' | tr -d =; }
claims() { # claims FILTER: the token's claims, changed
  jq -Rr "split(\".\")[1] | gsub(\"-\"; \"+\") | gsub(\"_\"; \"/\") | @base64d | fromjson | $1 | tojson" <<<"$good" |
    tr -d '\n' | base64url
}
IFS=. read -r header body signature <<<"$good"
unknown_key=$(printf '%s' '{"typ":"JWT","alg":"RS256","kid":"unknown"}' | base64url)
none=$(printf '%s' '{"typ":"JWT","alg":"none"}' | base64url)
for case in "nothing in it|" "garbage|garbage" "two parts|$header.$body" \
  "a changed signature|$header.$body.${signature:0:-4}AAAA" \
  "another tenant|$header.$(claims '.tid = "99999999-9999-9999-9999-999999999999"').$signature" \
  "a longer life|$header.$(claims '.exp += 86400').$signature" \
  "another person|$header.$(claims '.oid = "99999999-9999-9999-9999-999999999999"').$signature" \
  "no signature algorithm|$none.$body." "an unknown key|$unknown_key.$body.$signature"; do
  token=${case#*|}
  unauthenticated "a token with ${case%%|*}"
done
token=$(new_token "$(first clientId)" "$(first clientSecret)" https://graph.microsoft.com/.default)
unauthenticated "a token for another audience"
status=0
in_ns server curl -sS -D "$MERLON_TMP/headers" -o /dev/null --cacert "$state/ca.pem" \
  "https://$domain:8443$(policy)?api-version=2020-01-01"
grep -qi "^www-authenticate: Bearer .*$(first tenantId)" "$MERLON_TMP/headers" ||
  fail "no WWW-Authenticate with the tenant"
ok "401 says where to sign in"

# -- who loses the right, loses it at once
token=$owner
merlon role assign --role Contributor --assignee "$nobody" --scope "$group" >/dev/null
as_nobody
with_right=$token
initiate 600 "${address4[alice]}"
is_status "with the right it opens" 202
wait_for 5 "it is open" can_ssh alice
merlon app disable nobody >/dev/null
token=$with_right
unauthenticated "a token of an application that was disabled"
not new_token "$nobody_client" "$nobody_secret" 2>/dev/null ||
  fail "a disabled application gets a token"
ok "and it gets no new one"
