#!/usr/bin/env bash
# Approval by a second person, with real ssh: nothing opens before somebody else agrees, also when the server is killed
# meanwhile; what opens can be made to last longer, be ended early, and take its connections along.
# time limit: 300 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
whole_set_up
version=2026-11-01

make_person() { # make_person NAME ROLE: an identity that `as` can take
  merlon app create --name "$1" --secret --output json >"$MERLON_TMP/$1.json"
  merlon role assign --role "$2" --assignee "$(jq -er .objectId "$MERLON_TMP/$1.json")" --scope "$group" >/dev/null
}
as() { # as NAME NAMESPACE ARGUMENT...: the command line, as that person, from there
  local who=$1 where=$2
  shift 2
  in_ns "$where" env MERLON_CLIENT_ID="$(jq -er .clientId "$MERLON_TMP/$who.json")" \
    MERLON_CLIENT_SECRET="$(jq -er .clientSecret "$MERLON_TMP/$who.json")" "$MERLON" "$@"
}
pending() { as bob server jit pending --resource-group rg --output json | jq -r '.value[].name'; }
one_pending() { [[ $(pending | wc -l) == 1 ]]; }
nothing_open() { [[ $(merlon jit list --output json | jq '.value | length') == 0 ]]; }
make_person ada Owner
make_person bob Owner
make_person eve Reader

merlon jit policy options --machine web-1 --approvals 1 --approval-waits 10m --justification required \
  --own-address only >"$MERLON_TMP/options.out"
grep -q '^Approval: *1 of: whoever has the right' "$MERLON_TMP/options.out" ||
  fail "the options are not shown: $(<"$MERLON_TMP/options.out")"
ok "the policy asks for one approval"

# -- nothing opens before somebody else agrees
status=0
as ada alice jit request web-1 -g rg --port 22 --for 5m >"$MERLON_TMP/reason.out" 2>&1 || status=$?
equal "without a reason it fails" 1 "$status"
grep -q JitJustificationRequired "$MERLON_TMP/reason.out" || fail "it does not say why: $(<"$MERLON_TMP/reason.out")"
as ada alice jit request web-1 -g rg --port 22 --for 2m --justification "look at the log" -- \
  ssh -F none -i "$MERLON_TMP/id" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=2 \
  -o UserKnownHostsFile="$MERLON_TMP/known_hosts" "admin@${address4[web]}" 'hostname; exit 7' \
  </dev/null >"$MERLON_TMP/run.out" 2>"$MERLON_TMP/run.log" || exit $? &
runner=$!
wait_for 15 "the request waits" one_pending
request=$(pending)
not can_ssh alice || fail "alice gets in before anybody has agreed"
nothing_open || fail "something is open before anybody has agreed"
for who in ada eve; do
  not as "$who" server jit approve "$request" >"$MERLON_TMP/approve.out" 2>&1 || fail "$who could approve it"
done
grep -q 'JitApproverIsRequester' <(as ada server jit approve "$request" 2>&1 || true) ||
  fail "ada is not told that it is her own"
ok "neither whoever asked nor a Reader can approve"
not can_ssh alice || fail "a refused approval has opened the port"

# -- the server dies and comes back: the request waits on
kill_dead "$server_pid"
start_server
one_pending || fail "the request did not outlive the server"
wait_for 40 "agent and server have found each other" in_step
as bob server jit approve "$request" --justification "go ahead" >"$MERLON_TMP/approve.out"
grep -q 'Approved: port 22 of web-1 is open' "$MERLON_TMP/approve.out" || fail "bob is told: $(<"$MERLON_TMP/approve.out")"
status=0
wait "$runner" || status=$?
grep -qx web-1 "$MERLON_TMP/run.out" || fail "the command did not run: $(<"$MERLON_TMP/run.log")"
equal "once bob has agreed the command runs, and its exit status is ssh's" 7 "$status"
wait_for 5 "the door closes when the command ends" not can_ssh alice
api GET "/providers/Merlon.Ledger/entries?\$top=100"
for action in initiate/action requests/approve/action openings/open/action openings/revoke/action; do
  jq -e --arg a "$action" '.value[] | select((.action | endswith($a)) and .decision == "allowed")' \
    >/dev/null <<<"$answer" || fail "the ledger has no $action"
done
equal "the ledger has who agreed and why" "go ahead" \
  "$(jq -r '[.value[] | select((.action | endswith("approve/action")) and .decision == "allowed")][0].justification' \
    <<<"$answer")"

# -- a no
as ada alice jit request web-1 -g rg --port 22 --for 5m --justification again --wait \
  >"$MERLON_TMP/denied.out" 2>&1 || exit $? &
runner=$!
wait_for 15 "the second request waits" one_pending
as bob server jit deny "$(pending)" --justification "not today" >/dev/null
status=0
wait "$runner" || status=$?
equal "who was refused is told so by the exit status" 1 "$status"
grep -q 'denied by bob (not today)' "$MERLON_TMP/denied.out" ||
  fail "and not by whom and why: $(<"$MERLON_TMP/denied.out")"
not can_ssh alice || fail "a denied request has opened the port"

# -- whoever stops waiting takes the request back
as ada alice jit request web-1 -g rg --port 22 --for 5m --justification again --wait \
  >"$MERLON_TMP/stopped.out" 2>&1 || exit $? &
runner=$!
wait_for 15 "the third request waits" one_pending
kill -TERM "$(pgrep -P "$runner" -f 'jit request' || echo "$runner")"
wait "$runner" || true
equal "a request that nobody waits for does not wait" "" "$(pending)"

# -- longer, within the maximum, and again only when somebody agrees
as ada alice jit request web-1 -g rg --port 22 --for 20s --justification work >/dev/null
as bob server jit approve "$(pending)" >/dev/null
wait_for 5 "the port is open" can_ssh alice
opened=$SECONDS
as ada alice jit extend web-1 -g rg --for 40s --justification "not done" >"$MERLON_TMP/extend.out"
grep -q 'waits for the approval' "$MERLON_TMP/extend.out" || fail "the extension: $(<"$MERLON_TMP/extend.out")"
as bob server jit approve "$(pending)" >/dev/null
status=0
as ada alice jit extend web-1 -g rg --for 2h --justification "too long" >"$MERLON_TMP/extend.out" 2>&1 || status=$?
equal "more than the policy's maximum is refused" 1 "$status"
grep -q JitRequestTooLong "$MERLON_TMP/extend.out" || fail "not with its reason: $(<"$MERLON_TMP/extend.out")"
while ((SECONDS - opened < 26)); do sleep 0.5; done
can_ssh alice || fail "the extended opening closed at its first end"
ok "it is open beyond its first end"

# -- early
merlon jit revoke web-1 >/dev/null
wait_for 5 "a revoked opening closes" not can_ssh alice
nothing_open || fail "something is still listed"

# -- connections end with the opening, when the policy says so
merlon jit policy options --machine web-1 --approvals 0 --justification optional --established cut >/dev/null
as ada alice jit request web-1 -g rg --port 22 --for 15s >/dev/null
wait_for 5 "the port is open" can_ssh alice
in_ns alice ssh -F none -i "$MERLON_TMP/id" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=2 \
  -o UserKnownHostsFile="$MERLON_TMP/known_hosts" "admin@${address4[web]}" \
  'while :; do echo alive; sleep 0.2; done' </dev/null >"$MERLON_TMP/session.out" 2>/dev/null &
session=$!
wait_for 5 "a session runs" test -s "$MERLON_TMP/session.out"
still_talks() {
  local before after
  before=$(wc -l <"$MERLON_TMP/session.out")
  sleep 1
  after=$(wc -l <"$MERLON_TMP/session.out")
  ((after > before))
}
still_talks || fail "the session does not run while the port is open"
wait_for 20 "the port closes" not can_connect alice
wait_for 5 "and the session with it" not still_talks
kill "$session" 2>/dev/null || true
ok "the established session was cut"
