#!/usr/bin/env bash
# kill -9 of agent, of server and of both during an opening: it still ends on time, by the kernel alone; nothing reopens
# it, and the rules stay in force.
# time limit: 420 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
whole_set_up

open_for() { # open_for SECONDS: from alice; leaves the time of its end in $deadline
  deadline=$((${EPOCHREALTIME%.*} + $1))
  initiate "$1" "${address4[alice]}"
  is_status "an opening of $1 s" 202
  wait_for 5 "it is open" can_ssh alice
}
closes_in_time() { # not two seconds before the end, and no connection a second after it
  wait_for $((deadline - ${EPOCHREALTIME%.*} + 1)) "$1: it closes on time" not can_connect alice
  local early=$((deadline - ${EPOCHREALTIME%.*}))
  ((early <= 2)) || fail "$1: it closed $early s early"
  ok "$1: closed on time"
}
still_shut() { # still_shut WHAT: neither open again, nor open to others
  holds 3 "$1: it stays closed" not can_ssh alice
  not can_ssh mallory || fail "$1: mallory gets in"
  ok "$1: stays closed"
}

# -- the agent
open_for 15
kill_agent
can_ssh alice || fail "killing the agent closed the opening early"
not can_ssh mallory || fail "killing the agent opened the machine"
closes_in_time "agent dead"
still_shut "agent dead"
launch_agent
wait_for 30 "the agent is back" in_step
still_shut "agent restarted"

# -- the server
open_for 15
kill_dead "$server_pid"
can_ssh alice || fail "killing the server closed the opening early"
closes_in_time "server dead"
still_shut "server dead"
start_server
wait_for 40 "agent and server have found each other" in_step
still_shut "server restarted"
api GET "$(policy)"
equal "the policy's record says why it ended" Expired \
  "$(field '.properties.requests[-1].virtualMachines[0].ports[0].statusReason')"

# -- the server, back before the end
open_for 20
kill_dead "$server_pid"
start_server
can_ssh alice || fail "the restarted server closed the opening early"
wait_for 40 "agent and server have found each other" in_step
closes_in_time "server restarted during the opening"
still_shut "server restarted during the opening"

# -- the agent, back before the end
open_for 20
kill_agent
launch_agent
wait_for 15 "the agent is back" in_step
can_ssh alice || fail "the restarted agent closed the opening early"
closes_in_time "agent restarted during the opening"
still_shut "agent restarted during the opening"

# -- both
open_for 15
kill_agent
kill_dead "$server_pid"
can_ssh alice || fail "killing both closed the opening early"
closes_in_time "both dead"
still_shut "both dead"
start_server
launch_agent
wait_for 40 "both are back" in_step
still_shut "both restarted"
open_for 10
closes_in_time "and everything still works"

# -- cut off: the machine keeps its rules, and no new opening reaches it
in_ns router ip link set to-server down
not can_ssh alice || fail "a machine cut off from its server opened"
not can_ssh mallory || fail "a machine cut off from its server opened"
initiate 120 "${address4[alice]}"
is_status "the server takes a request for a machine that it cannot reach" 202
holds 3 "cut off: nothing opens" not can_ssh alice
in_ns router ip link set to-server up
in_ns router ip -6 address replace fd77::1/64 dev to-server nodad
wait_for 60 "once connected again, the opening arrives" can_ssh alice
ok "cut off: rules stay, and it catches up"

version=2022-01-01
api GET "$(nsg)"
api_rules=$(field '[.properties.securityRules[].name | select(startswith("SecurityCenter-JITRule_") or
  startswith("SecurityCenter-JITRule-") | not)] | length')
equal "after all of it the group has no rule that a person did not make" 0 "$api_rules"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null || fail "the ledger does not verify after the kills"
ok "the ledger verifies"
