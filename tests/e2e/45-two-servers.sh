#!/usr/bin/env bash
# Two servers on one PostgreSQL: what is done at one holds at the other at once, an agent that waits at one hears of it
# within a second, and when one is killed the other goes on, timers and all.
# time limit: 420 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/postgres.sh"
. "$(dirname "$0")/two_servers.sh"
start_postgres
make_network
busy=${MERLON_PATIENCE:-1} # an opening must outlive its own beginning on a busy machine too
# -- the first start, of both at once
launch a
launch b
wait_for 60 "a answers" answers a
wait_for 60 "b answers" answers b
equal "of two first starts at once one made the first credential" 1 \
  "$(find "$MERLON_TMP/a" "$MERLON_TMP/b" -name bootstrap.json | wc -l)"
cmp -s "$MERLON_TMP/a/ca.pem" "$MERLON_TMP/b/ca.pem" || fail "they do not have one authority"
cp "$MERLON_TMP"/[ab]/bootstrap.json "$MERLON_TMP/a/ca.pem" "$state/"
sed -i 's/:8444/:8443/g' "$state/bootstrap.json"
sign_in
ok "and both have one authority and one signing key"

# -- what is done at one holds at the other at once
version=2021-04-01
ask b GET /subscriptions
is_status "a token of a is good at b" 200
for number in 1 2 3 4 5; do
  ask a PUT "/subscriptions/$subscription/resourceGroups/rg$number" '{"location":"local"}'
  ask b GET "/subscriptions/$subscription/resourceGroups/rg$number"
  [[ $status == 200 ]] || fail "rg$number, made at a, is not at b: $status"
done
ok "what a has acknowledged b shows"
merlon app create --name reader --secret --output json >"$MERLON_TMP/reader.json"
own=$token
reader=$(new_token "$(jq -er .clientId "$MERLON_TMP/reader.json")" "$(jq -er .clientSecret "$MERLON_TMP/reader.json")")
token=$reader
ask b GET "/subscriptions/$subscription/resourceGroups/rg1"
is_status "somebody without a role gets nothing at b" 403
merlon role assign --assignee "$(jq -er .objectId "$MERLON_TMP/reader.json")" --role Reader --output json \
  >"$MERLON_TMP/assignment.json"
ask b GET "/subscriptions/$subscription/resourceGroups/rg1"
is_status "a role given at a counts at b at once" 200
token=$own version=2022-04-01
ask a DELETE "$(jq -er .id "$MERLON_TMP/assignment.json")"
is_status "it is taken away at a" 200
token=$reader version=2021-04-01
ask b GET "/subscriptions/$subscription/resourceGroups/rg1"
is_status "and is gone at b at once" 403
token=$own

# -- an agent waits at b, and things are done at a
start_sshd 22
said=$(merlon machine token --resource-group rg --name web-1 --enforce)
on_web env -u MERLON_CLIENT_SECRET "$MERLON" agent enrol --server "https://$domain:8444" --ca "$state/ca.pem" \
  --token "$(tail -n 1 <<<"$said" | awk '{print $NF}')" --state "$MERLON_TMP/agent" >"$MERLON_TMP/enrol.log" 2>&1 ||
  fail "enrolment at b: $(<"$MERLON_TMP/enrol.log")"
launch_agent
wait_for 30 "web-1 enforces its rules" in_step
version=2020-01-01
put_policy 22 PT1H
wait_for 10 "the policy has reached the machine" in_step
not can_connect alice || fail "it is open before anybody asked"
at_once() { # as can_connect(), without half a second of waiting where it is still shut
  # shellcheck disable=SC2016
  in_ns alice timeout 0.1 bash -c 'exec 3<>"/dev/tcp/$0/22"' "${address4[web]}" 2>/dev/null
}
slowest=0
for round in 1 2 3; do
  initiate 600 "${address4[alice]}"
  begun=${EPOCHREALTIME/./}
  is_status "an opening, asked for at a" 202 >/dev/null
  wait_for 5 "the agent at b opens" at_once
  took=$(((${EPOCHREALTIME/./} - begun) / 1000))
  ((took > slowest)) && slowest=$took
  opening=$(merlon jit list --output json | jq -er '.value[0].name')
  merlon jit revoke "$opening" >/dev/null
  wait_for 5 "and closes" not can_connect alice
done
((slowest <= 1000 * busy)) || fail "the agent at b heard of it after $slowest ms"
ok "the agent at b hears of what is done at a: $slowest ms at the most"

# -- both write at once
version=2021-04-01
write_many() { # write_many a|b: until it fails; each acknowledged name into a file
  local number
  for ((number = 1; ; number++)); do
    [[ $(in_ns server curl -sS -o /dev/null -w '%{http_code}' --max-time 10 --cacert "$state/ca.pem" -X PUT \
      -H "Authorization: Bearer $token" -H 'Content-Type: application/json' --data '{"location":"local"}' \
      "https://$domain:${port_of[$1]}/subscriptions/$subscription/resourceGroups/$1-$number?api-version=2021-04-01" \
      2>/dev/null) == 201 ]] || return 0
    echo "$1-$number" >>"$MERLON_TMP/acknowledged"
  done
}
: >"$MERLON_TMP/acknowledged"
write_many a &
writer_a=$!
write_many b &
writer_b=$!
enough() { (($(grep -c "^$1-" "$MERLON_TMP/acknowledged" || true) >= $2)); }
wait_for 60 "a has written" enough a 20
wait_for 60 "b has written" enough b 20

# -- one is killed in the middle of it; an opening runs out meanwhile
version=2020-01-01
initiate $((10 * busy)) "${address4[alice]}"
is_status "a short opening" 202
wait_for 5 "it is open" can_connect alice
kill_dead "${pid_of[a]}"
wait "$writer_a" 2>/dev/null || true
before=$(grep -c "^b-" "$MERLON_TMP/acknowledged" || true)
wait_for 30 "b goes on writing" enough b $((before + 20))
ok "a is dead, b goes on"
ended_by_timer() {
  version=2020-01-01
  ask b GET "$(policy)"
  [[ $(jq -r '.properties.requests[-1].virtualMachines[0].ports[0].statusReason' <<<"$answer") == Expired ]]
}
wait_for 30 "b ends what is due, whoever had the timers" ended_by_timer
not can_connect alice || fail "it is still open"
ok "what was due was ended by b"
launch a
wait_for 60 "a is back" answers a
version=2020-01-01
initiate $((15 * busy)) "${address4[alice]}"
is_status "a short opening, at a" 202
wait_for 5 "it is open" can_connect alice

# -- and the other way round
kill_dead "${pid_of[b]}"
wait "$writer_b" 2>/dev/null || true
ended_by_a() {
  api GET "$(policy)"
  [[ $(jq -r '.properties.requests[-1].virtualMachines[0].ports[0].statusReason' <<<"$answer") == Expired ]]
}
wait_for 40 "a ends what is due" ended_by_a
not can_connect alice || fail "it is still open"
ok "b is dead, a ended what was due"
launch b
wait_for 60 "b is back" answers b

# -- nothing that was acknowledged is lost, and the ledger is one
version=2021-04-01
api GET "/subscriptions/$subscription/resourceGroups?\$top=5000"
jq -r '.value[].name' <<<"$answer" | sort >"$MERLON_TMP/there"
missing=$(sort "$MERLON_TMP/acknowledged" | comm -23 - "$MERLON_TMP/there")
equal "each acknowledged write is there, of $(wc -l <"$MERLON_TMP/acknowledged")" '' "$missing"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null || fail "the ledger of both does not verify"
while read -r name; do
  grep -q "resourceGroups/$name\"" "$MERLON_TMP/ledger.jsonl" || fail "$name was acknowledged and is not in the ledger"
done <"$MERLON_TMP/acknowledged"
ok "the ledger of both verifies and has each of them"

# -- the database goes away and comes back
stop_postgres fast
version=2021-04-01
ask a GET /subscriptions
is_status "without the database there is no answer but this" 503
grep -qi '^retry-after:' "$MERLON_TMP/answer.head" || fail "503 without Retry-After"
ask a PUT "/subscriptions/$subscription/resourceGroups/lost" '{"location":"local"}'
is_status "nor a write" 503
run_postgres
back() {
  ask a PUT "/subscriptions/$subscription/resourceGroups/found" '{"location":"local"}'
  [[ $status == 201 || $status == 200 ]]
}
wait_for 20 "a writes again once the database is back" back
ask b GET "/subscriptions/$subscription/resourceGroups/lost"
is_status "what was refused is not there" 404
ok "both live through a restart of the database"

for name in a b; do
  not grep -q '"STORAGE FAILED' "$MERLON_TMP/$name.log" || fail "$name met an I/O error"
  kill -TERM "${pid_of[$name]}"
  wait_for 15 "$name ends" ended "${pid_of[$name]}"
done
ok "both end cleanly"
