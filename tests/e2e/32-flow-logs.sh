#!/usr/bin/env bash
# Flow logs: real connections to a real machine are in Azure's files with the rule that decided, allowed, ended and
# denied, just-in-time openings by their own name; while no log is on the machine's rules report nothing.
# time limit: 300 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
whole_set_up
version=2024-05-01
network=$group/providers/Microsoft.Network
watcher=$network/networkWatchers/NetworkWatcher_local
log=$watcher/flowLogs/web
storage=$group/providers/Microsoft.Storage/storageAccounts/flowlogs

rules_of_web() { in_ns web nft list table inet merlon; }
not grep -q 'log prefix' <(rules_of_web) || fail "the rules report flows although no flow log is on"
ok "without a flow log nothing in the rules reports flows"

flow_log() { # flow_log ENABLED
  api PUT "$log" "$(jq -n --arg target "$(nsg)" --arg storage "$storage" --argjson enabled "$1" '{location: "local",
    properties: {targetResourceId: $target, storageId: $storage, enabled: $enabled,
      retentionPolicy: {days: 7, enabled: true}, format: {type: "JSON", version: 2}}}')"
}
api PUT "$watcher" '{"location":"local"}'
is_status "a network watcher" 201
flow_log true
is_status "a flow log of the machine's security group" 201
wait_for 15 "it has reached the machine" in_step
grep -q 'log prefix' <(rules_of_web) || fail "the rules do not report flows"

records() {
  local version=2026-11-01
  api GET "$log/providers/Merlon.Network/records"
  [[ $status == 200 ]] || fail "reading the flow log answered $status: $answer"
}
logged() { # logged FROM PORT DECISION STATE RULE
  records
  jq -e --arg tuple ",${address4[$1]},${address4[web]},[0-9]+,$2,T,I,$3,$4," --arg rule "$5" \
    'any(.value[]; (.flowTuple | test($tuple)) and (.rule | test($rule)))' <<<"$answer" >/dev/null
}

# -- denied, allowed, ended
not can_ssh mallory || fail "mallory gets in"
wait_for 20 "mallory's try is logged as denied, by the rule of just-in-time access" \
  logged mallory 22 D B '^UserRule_SecurityCenter-JITRule'
ok "a denied flow, with the rule that denied it"
in_ns mallory timeout 1 bash -c "exec 3<>/dev/tcp/${address4[web]}/9999" 2>/dev/null || true
wait_for 20 "a try at another port is logged by the default rule" \
  logged mallory 9999 D B '^DefaultRule_DenyAllInBound$'
ok "a denied flow, with Azure's default rule"

version=2020-01-01 from=alice
initiate 60
is_status "alice asks for a minute" 202
from=server version=2024-05-01
wait_for 10 "ssh works from alice" can_ssh alice
wait_for 20 "alice's session is logged as allowed, by her opening" logged alice 22 A B \
  '^UserRule_SecurityCenter-JITRule'
ok "an allowed flow, with the just-in-time rule"
in_ns web conntrack -D -s "${address4[alice]}" >/dev/null 2>&1 || true
wait_for 20 "its end is logged" logged alice 22 A E '^UserRule_SecurityCenter-JITRule'
records
jq -e --arg from "${address4[alice]}" 'any(.value[]; (.flowTuple | split(",")) as $f
  | $f[1] == $from and $f[8] == "E" and ($f[9] | tonumber) > 5 and ($f[12] | tonumber) > 500)' <<<"$answer" >/dev/null ||
  fail "the ended session has no packets and bytes: $answer"
ok "its end, with packets and bytes"

# -- Azure's files
mac=$(in_ns web cat /sys/class/net/eth0/address | tr -d : | tr a-f A-F)
upper=$(nsg)
folder="$state/flow-logs/flowlogs/insights-logs-networksecuritygroupflowevent/resourceId=${upper^^}"
file=$(find "$folder" -path "*/y=*/m=*/d=*/h=*/m=00/macAddress=$mac/PT1H.json" | head -n 1)
[[ -n $file ]] || fail "no file below $folder: $(find "$state/flow-logs" -type f)"
equal "the file is Azure's form" 'NetworkSecurityGroupFlowEvent 2' \
  "$(jq -r '.records[0] | "\(.category) \(.properties.Version)"' "$file")"
equal "nobody else may read it" 600 "$(stat -c %a "$file")"

# -- the command line
merlon network flow-log show web | grep -q "${address4[mallory]}.*denied" || fail "'flow-log show' does not show mallory"
merlon network flow-log list | grep -q 'web .*true' || fail "'flow-log list' does not show the log"
ip netns exec "$MERLON_RUN-server" "$MERLON" network flow-log tail web >"$MERLON_TMP/tail.txt" 2>&1 &
tail_pid=$!
new_in_tail() {
  in_ns mallory timeout 0.3 bash -c "exec 3<>/dev/tcp/${address4[web]}/7777" 2>/dev/null || true
  grep -q "${address4[web]}:7777.*denied" "$MERLON_TMP/tail.txt"
}
wait_for 25 "'flow-log tail' shows what comes" new_in_tail
kill -INT "$tail_pid"
wait "$tail_pid" || fail "'flow-log tail' does not end well after Ctrl-C"
ok "show, list and tail"

# -- who may not read the machine may not read its flows
api POST "$watcher/queryFlowLogStatus" "{\"targetResourceId\":\"$(nsg)\"}"
is_status "Azure's question whether flows are logged" 200
equal "they are" true "$(field .properties.enabled)"

# -- off
flow_log false
is_status "the flow log is turned off" 200
no_log() { in_step && not grep -q 'log prefix' <(rules_of_web); }
wait_for 15 "the rules report nothing any more" no_log
ok "off it is gone from the rules"
