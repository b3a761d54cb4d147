#!/usr/bin/env bash
# Sessions that somebody else decides over, with a real ssh: one that waits for a moderator, runs while they look on, and is
# held when they leave; one that is cut when the time of its opening is over; one whose server is killed. Each is recorded,
# says to the person what happened, and its recording verifies.
# time limit: 200 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/bastion.sh"
machine_behind_bastion
make_front Premium Tunneling SessionRecording
api DELETE "$(nsg)/securityRules/bastion" # what opens the port is just-in-time access alone
version=2020-01-01
put_policy 22 PT1H
version=2025-05-01
wait_for 20 "the policy has reached the machine" in_step
to="admin+web-1@$bastion"
for name in ada bob carl eve; do
  new_person "$name"
  if [[ $name != eve ]]; then
    may "$person_id" Owner "$group"
    may "$person_id" 'Virtual Machine Administrator Login' "$(vm)"
    as "$name" ssh cert --for 1h --scope "$(vm)" >"$MERLON_TMP/$name.cert" || fail "no certificate for $name"
  fi
  declare "${name}_id=$person_id"
done
policy_for() { # policy_for NAME OBJECT-ID PROPERTIES
  api PUT "$front/providers/Merlon.Bastion/sessionPolicies/$1" \
    "{\"properties\":{\"appliesTo\":{\"principalIds\":[\"$2\"]},$3}}"
  is_status "a session policy: $3" 201
}
policy_for moderated "$ada_id" '"moderation":"pause"'
policy_for short "$carl_id" '"maximumTime":"PT8S"'
begin() { # begin NAME COMMAND: an ssh that reads from $MERLON_TMP/NAME.in; $ssh_pid
  rm -f "$MERLON_TMP/$1.in"
  mkfifo "$MERLON_TMP/$1.in"
  { ssh_as "$1" "$to" "$2" <"$MERLON_TMP/$1.in" >"$MERLON_TMP/$1.out" 2>"$MERLON_TMP/$1.err"; } 7>&- 8>&- &
  ssh_pid=$!
}
says() { grep -q -- "$2" "$MERLON_TMP/$1"; } # says FILE WORDS

# -- carl's time runs meanwhile
begin carl 'echo begun; cat'
carl=$ssh_pid
exec 7>"$MERLON_TMP/carl.in"

# -- ada waits for somebody who looks on
begin ada 'echo begun; cat'
ada=$ssh_pid
exec 8>"$MERLON_TMP/ada.in"
wait_for 20 "ada is told that she waits" says ada.err 'merlon bastion session join'
session=$(sed -n 's/.*session join \([0-9a-f-]*\)).*/\1/p' "$MERLON_TMP/ada.err" | head -n 1)
echo typed-while-waiting >&8
join_says() { # join_says NAME: why this person may not moderate
  { as "$1" bastion session join "$session" >/dev/null; } 2>&1 && fail "$1 moderates"
  true
}
said=$(join_says ada)
[[ $said == *"session of their own"* ]] || fail "ada moderates herself, or is refused otherwise: $said"
ok "nobody moderates themselves"
said=$(join_says eve)
[[ -n $said ]] || fail "eve is told nothing"
ok "nor does somebody without the right: ${said:0:60}"
holds 2 "nothing passes while nobody looks on" not says ada.out .
ok "the command has not begun"

join() { # bob looks on
  { as bob bastion session join "$session" >>"$MERLON_TMP/bob.out" 2>>"$MERLON_TMP/bob.err"; } 7>&- 8>&- &
}
leave() {
  local pid
  for pid in $(ip netns pids "$MERLON_RUN-server"); do
    # One whose session has ended goes by itself.
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'bastion session join'; then kill -TERM "$pid" 2>/dev/null || true; fi
  done
}
join
wait_for 20 "ada is told that bob has joined" says ada.err 'bob has joined'
wait_for 20 "it begins" says ada.out begun
wait_for 20 "what was typed meanwhile arrives" says ada.out typed-while-waiting
echo under-his-eyes >&8
wait_for 20 "and goes on" says ada.out under-his-eyes
wait_for 20 "bob sees it" says bob.out under-his-eyes
wait_for 20 "and what was sent" says bob.err '\[input\] under-his-eyes'
says bob.err '\[command\]' || fail "bob is not told which command runs: $(<"$MERLON_TMP/bob.err")"
leave
wait_for 30 "ada is told that he has left" says ada.err 'moderator has left'
echo typed-when-alone >&8
holds 2 "nothing passes" not says ada.out typed-when-alone
ok "when he leaves it is held"
join
wait_for 30 "he is back, and it goes on" says ada.out typed-when-alone
exec 8>&-
wait_for 20 "ada ends" ended "$ada"
leave

# -- carl's opening has ended meanwhile
wait_for 30 "carl's session ends" ended "$carl"
exec 7>&-
says carl.out begun || fail "carl's session has not begun"
says carl.err 'time of this session is over' || fail "carl was not told why: $(<"$MERLON_TMP/carl.err")"
recordings() { merlon recording list --output json; }
of() { recordings | jq -er --arg name "$1" '[.value[] | select(.properties | tostring | contains("\"" + $name + "\""))][0].name'; }
closed() { recordings | jq -e '[.value[] | select(.properties.state == "open")] | length == 0' >/dev/null; }
wait_for 20 "both recordings are closed" closed
for name in ada carl; do
  merlon recording verify "$(of "$name")" >"$MERLON_TMP/verify.txt" || fail "$name's recording: $(<"$MERLON_TMP/verify.txt")"
done
merlon recording play "$(of ada)" --at-once >"$MERLON_TMP/played"
says played typed-when-alone || fail "ada's recording lacks what she did"
[[ $(merlon recording show "$(of carl)" --output json | jq -r .properties.reason) == DeadlinePassed ]] ||
  fail "carl's recording: $(merlon recording show "$(of carl)")"
ok "both are on the record, with how they ended"

# -- a server that is killed while carl works, with the time of his opening running
# shellcheck disable=SC2016
begin carl 'for ((n = 0;; ++n)); do echo "line-$n."; sleep 0.1; done'
carl=$ssh_pid
exec 7>"$MERLON_TMP/carl.in"
running() { running=$(recordings | jq -er '[.value[] | select(.properties.running)][0].name'); }
wait_for 20 "it is recorded" running
shows() { merlon recording play "$running" --at-once 2>/dev/null | grep "$1" >/dev/null; }
wait_for 20 "the record has the fifth line" shows 'line-5\.'
can_connect server || fail "the port is not open for the bastion, so the test below proves nothing"
kill_dead "$server_pid"
wait_for 20 "his session ends with the server" ended "$carl"
exec 7>&-
says carl.err 'gone away' || fail "carl was not told why: $(<"$MERLON_TMP/carl.err")"
wait_for 30 "without server, the opening ends at its time" not can_connect server
launch_server --bastion-ssh "$bastion:$ssh_port"
wait_for 15 "the server is back" healthy
sign_in
is_interrupted() { [[ $(merlon recording show "$running" --output json | jq -r .properties.state) == interrupted ]]; }
wait_for 20 "the recording is ended" is_interrupted
merlon recording verify "$running" >"$MERLON_TMP/verify.txt" || fail "after kill -9: $(<"$MERLON_TMP/verify.txt")"
merlon recording play "$running" --at-once | tr -d '\r' | grep -o 'line-[0-9]*\.' >"$MERLON_TMP/recorded"
grep -qx 'line-5\.' "$MERLON_TMP/recorded" || fail "what was on the record is lost"
head -n "$(wc -l <"$MERLON_TMP/recorded")" "$MERLON_TMP/carl.out" >"$MERLON_TMP/seen"
cmp "$MERLON_TMP/recorded" "$MERLON_TMP/seen" || fail "the record is not the beginning of what he saw"
ok "the record is what he saw, up to its last full chunk, and verifies"
died() { merlon bastion session list -n front --output json | jq -e '[.value[].properties.endReason] | index("ServerDied")' >/dev/null; }
wait_for 20 "his session is ended on the record as what happened" died
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null || fail "the ledger does not verify"
for what in joined left; do
  grep 'sessions/moderate/action' "$MERLON_TMP/ledger.jsonl" | grep -q "\"moderation\":\"$what\"" || fail "the ledger lacks it: $what"
done
ok "who looked on, and when, is in the ledger"
