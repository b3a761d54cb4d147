#!/usr/bin/env bash
# Just-in-time access with real ssh between namespaces: only the requester's address, only that port, only in time, over
# IPv4 and IPv6; the security group is afterwards what it was, and what a person changed meanwhile stays.
# time limit: 300 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
whole_set_up
version=2022-01-01

show_group() { # what a person sees of it, without what changes by itself
  api GET "$(nsg)"
  is_status "the security group is shown" 200 >/dev/null
  jq -Sc '[.properties.securityRules[] | del(.etag)]' <<<"$answer"
}
add_rule() { # add_rule NAME PRIORITY PORT
  api PUT "$(nsg)/securityRules/$1" "{\"properties\":{\"protocol\":\"Tcp\",\"sourceAddressPrefix\":\"203.0.113.0/24\",
    \"sourcePortRange\":\"*\",\"destinationAddressPrefix\":\"*\",\"destinationPortRange\":\"$3\",\"access\":\"Allow\",
    \"direction\":\"Inbound\",\"priority\":$2}}"
}

add_rule before 100 8080
is_status "a rule of a person's, where just-in-time rules go" 201
wait_for 10 "it has reached the machine" in_step
for client in alice mallory; do
  for family in 4 6; do not can_ssh $client $family || fail "$client gets in over IPv$family before any request"; done
done
ok "closed to everybody before any request"
before=$(show_group)

# -- an agent is small: its two processes together, each page counted once
mapfile -t halves < <(agent_processes)
equal "an agent is two processes" 2 "${#halves[@]}"
took=$("$MERLON_ROOT/bench/fleet/resident" "${halves[@]}")
awk -v took="$took" 'BEGIN {exit !(took * 1.048576 < 30)}' || fail "the agent has $took MiB resident, not less than 30 MB"
ok "the agent has less than 30 MB resident ($took MiB)"
not grep -F 'free memory is kept for longer' "$MERLON_TMP/agent.log" || fail "the allocator refused a setting"

# -- IPv4: the requester's own address is meant when none is named
from=alice
opened=$SECONDS
initiate 20
is_status "alice asks for 20 seconds" 202
equal "for the address that she asks from" "${address4[alice]}" \
  "$(field '.virtualMachines[0].ports[0].allowedSourceAddressPrefix')"
from=server
wait_for 5 "ssh works from alice" can_ssh alice 4
ok "ssh works from alice"
not can_ssh mallory 4 || fail "mallory gets in through alice's opening"
not can_ssh alice 4 2222 || fail "alice gets in at another port"
not can_ssh alice 6 || fail "alice gets in over IPv6, which she did not ask for"
ok "not from mallory, not to port 2222, not over IPv6"
during=$(show_group)
equal "the group shows one allow rule more, as Azure does" 1 "$(jq '[.[] | select(.name |
  startswith("SecurityCenter-JITRule-"))] | length' <<<"$during")"
add_rule during 300 9090
is_status "a person adds a rule while it is open" 201
can_ssh alice 4 || fail "the person's edit closed the opening"
wait_for 25 "it closes by itself" not can_ssh alice 4
took=$((SECONDS - opened))
((took >= 17 && took <= 25)) || fail "it was open for $took s instead of 20"
ok "closed after $took s, without anybody doing anything"
equal "the group is what it was, and the person's rule is there" \
  "$(jq -c '[.[].name]' <<<"$before" | jq -c '. + ["during"] | sort')" "$(show_group | jq -c '[.[].name] | sort')"
api DELETE "$(nsg)/securityRules/during"
[[ $status =~ ^20 ]] || fail "deleting the rule answered $status"
equal "without that rule it is, to the letter, what it was before" "$before" "$(show_group)"

# -- IPv6, and both kinds of source
initiate 30 "${address6[alice]}"
is_status "a request for an IPv6 address" 202
wait_for 5 "ssh works from alice over IPv6" can_ssh alice 6
not can_ssh mallory 6 || fail "mallory gets in over IPv6"
not can_ssh alice 4 || fail "alice gets in over IPv4, which nobody asked for"
ok "IPv6: only alice, only IPv6"
initiate 60 203.0.113.0/24
is_status "a request for a prefix" 202
wait_for 5 "ssh works from the prefix" can_ssh mallory 4
not can_ssh alice 4 || fail "alice gets in through the prefix of others"
ok "a prefix: those inside, nobody else"

# -- revoking
opening=$(merlon jit list --output json | jq -er \
  '.value[] | select(.properties.sources == ["203.0.113.0/24"]) | .name')
merlon jit revoke "$opening" >/dev/null
wait_for 5 "a revoked opening closes" not can_ssh mallory 4
can_ssh alice 6 || fail "revoking one opening closed another"
ok "revoke closes that opening and no other"
wait_for 30 "the IPv6 opening ends by itself" not can_ssh alice 6

# -- the command that opens, runs and closes. The command line runs at alice's, and its requests come from there.
status=0
in_ns alice "$MERLON" jit request web-1 --resource-group rg --port 22 --for 5m --wait -- \
  ssh -F none -i "$MERLON_TMP/id" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=2 \
    -o UserKnownHostsFile="$MERLON_TMP/known_hosts" \
  "admin@${address4[web]}" 'hostname; exit 7' </dev/null >"$MERLON_TMP/wait.out" 2>"$MERLON_TMP/wait.log" ||
  status=$?
grep -qx web-1 "$MERLON_TMP/wait.out" || fail "jit request --wait -- ssh did not run ssh: $(<"$MERLON_TMP/wait.log")"
equal "its exit status is ssh's" 7 "$status"
wait_for 5 "the door closes when the command ends" not can_ssh alice 4
equal "nothing is open any more" 0 "$(merlon jit list --output json | jq '.value | length')"
equal "and the group is still what it was" "$before" "$(show_group)"

# -- a policy's end takes its rules along
version=2020-01-01
api DELETE "$(policy)"
[[ $status =~ ^20 ]] || fail "deleting the policy answered $status"
version=2022-01-01
equal "without the policy no just-in-time rule is left" '["before"]' "$(show_group | jq -c '[.[].name]')"
