#!/usr/bin/env bash
# A backup taken while the server is being written to, restored elsewhere: what was acknowledged before is there, what
# was open is not, tokens are void, the agent takes the new epoch by itself, and the ledger tells of it. Then the same
# backup into PostgreSQL.
# time limit: 420 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/postgres.sh"
whole_set_up
initiate 900 "${address4[alice]}"
is_status "an opening, long enough to outlive this test" 202
wait_for 5 "it is open" can_ssh alice
spare=$(merlon machine token --resource-group rg --name web-2 | tail -n 1 | awk '{print $NF}')
merlon ledger head >"$MERLON_TMP/head-before"

write_many() {
  local number
  for ((number = 1; ; number++)); do
    [[ -e $MERLON_TMP/stop ]] && return
    [[ $(in_ns server curl -sS -o /dev/null -w '%{http_code}' --max-time 10 --cacert "$state/ca.pem" -X PUT \
      -H "Authorization: Bearer $token" -H 'Content-Type: application/json' --data '{"location":"local"}' \
      "https://$domain:8443/subscriptions/$subscription/resourceGroups/w$1-$number?api-version=2021-04-01") == 201 ]] ||
      return 1
    echo "w$1-$number" >>"$MERLON_TMP/acknowledged"
  done
}
: >"$MERLON_TMP/acknowledged"
writers=()
for writer in 1 2 3; do
  write_many "$writer" &
  writers+=($!)
done
enough() { (($(wc -l <"$MERLON_TMP/acknowledged") >= $1)); }
wait_for 60 "some are written" enough 30
cp "$MERLON_TMP/acknowledged" "$MERLON_TMP/acknowledged-before"
mkdir "$MERLON_TMP/backups"
"$MERLON" state backup "$MERLON_TMP/backups" --state "$state" >"$MERLON_TMP/backup.log" 2>&1 ||
  fail "the backup: $(<"$MERLON_TMP/backup.log")"
wait_for 60 "writing goes on" enough $(($(wc -l <"$MERLON_TMP/acknowledged") + 10))
touch "$MERLON_TMP/stop"
wait "${writers[@]}" || fail "a write failed while the backup was made"
backup=$(echo "$MERLON_TMP"/backups/*)
equal "a backup beside running writers, its owner's alone" 600 "$(stat -c %a "$backup")"
not grep -qF "$(first clientSecret)" "$backup" || fail "the first secret is in the backup"
not grep -qF "$(od -An -v -tx1 "$state/root.key" | tr -d ' \n')" "$backup" || fail "the root key is in the backup"
not grep -qF "$(base64 -w0 "$state/root.key")" "$backup" || fail "the root key is in the backup"
ok "and no secret is in it"
version=2021-04-01
api PUT "/subscriptions/$subscription/resourceGroups/after" '{"location":"local"}'
is_status "something that the backup does not have" 201
merlon ledger head >"$MERLON_TMP/head-after"
read_machine
epoch_before=$(jq -er .properties.desiredVersion.epoch <<<"$machine")

# -- restored elsewhere, the first one gone for good
kill_dead "$server_pid"
can_ssh alice || fail "the death of the server closed the opening early"
restored=$MERLON_TMP/restored
status=0
"$MERLON" state restore "$backup" --state "$restored" >"$MERLON_TMP/restore.log" 2>&1 || status=$?
equal "without the root key nothing is restored" 1 "$status"
grep -q 'root.key' "$MERLON_TMP/restore.log" || fail "it does not say that the root key is missing"
install -m 600 "$state/root.key" "$restored/root.key"
"$MERLON" state restore "$backup" --state "$restored" >"$MERLON_TMP/restore.log" 2>&1 ||
  fail "the restore: $(<"$MERLON_TMP/restore.log")"
status=0
"$MERLON" state restore "$backup" --state "$restored" >"$MERLON_TMP/again.log" 2>&1 || status=$?
equal "nothing is restored over a state" 1 "$status"
cp "$state/bootstrap.json" "$restored/bootstrap.json"
old_token=$token state=$restored
launch_server
wait_for 15 "the restored server answers" healthy
token=$old_token version=2021-04-01
api GET /subscriptions
is_status "a token from before is void" 401
sign_in
version=2021-04-01
api GET "/subscriptions/$subscription/resourceGroups?\$top=5000"
is_status "whoever has a credential signs in again" 200
missing=$(jq -r '.value[].name' <<<"$answer" | sort | comm -13 - <(sort "$MERLON_TMP/acknowledged-before"))
equal "each write acknowledged before the backup is there" '' "$missing"
api GET "/subscriptions/$subscription/resourceGroups/after"
is_status "and what came after it is not" 404

# -- the agent, which knows nothing of all this, takes the new epoch from the authority that it pinned
wait_for 60 "the agent has found the restored server" in_step
epoch_now=$(jq -er .properties.desiredVersion.epoch <<<"$machine")
((epoch_now > epoch_before)) || fail "the epoch is $epoch_now, and was $epoch_before"
wait_for 10 "what was open is closed" not can_ssh alice
not can_connect alice || fail "alice still gets in"
equal "no opening is left" 0 "$(merlon jit list --output json | jq '.value | length')"
initiate 300 "${address4[alice]}"
is_status "a new opening" 202
wait_for 10 "works in the new epoch" can_ssh alice
status=0
on_web env -u MERLON_CLIENT_SECRET "$MERLON" agent enrol --server "https://$domain:8443" --ca "$state/ca.pem" \
  --token "$spare" --state "$MERLON_TMP/agent-2" >"$MERLON_TMP/enrol-2.log" 2>&1 || status=$?
equal "an enrolment token from before is void" 1 "$status"

# -- the ledger
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
verify() { "$MERLON" ledger verify "$@" >"$MERLON_TMP/verify.log" 2>&1 </dev/null; }
verify "$MERLON_TMP/ledger.jsonl" --witness "$MERLON_TMP/head-before" ||
  fail "it does not verify with a head from before the backup: $(<"$MERLON_TMP/verify.log")"
grep -q 'Merlon.State/restore/action' "$MERLON_TMP/ledger.jsonl" || fail "the ledger does not show the restore"
machine_told() {
  merlon ledger export >"$MERLON_TMP/ledger.jsonl" && grep -q 'observations/restored' "$MERLON_TMP/ledger.jsonl"
}
wait_for 20 "the machine tells of the new epoch" machine_told
status=0
verify "$MERLON_TMP/ledger.jsonl" --witness "$MERLON_TMP/head-after" || status=$?
equal "a head from after the backup shows the fork" 1 "$status"
ok "the ledger verifies up to the fork, and shows the restore"

# -- a changed backup
cp "$backup" "$MERLON_TMP/changed.backup"
printf '!' | dd of="$MERLON_TMP/changed.backup" bs=1 seek=$(($(stat -c %s "$backup") / 2)) conv=notrunc 2>/dev/null
mkdir -m 700 "$MERLON_TMP/changed"
install -m 600 "$restored/root.key" "$MERLON_TMP/changed/root.key"
status=0
"$MERLON" state restore "$MERLON_TMP/changed.backup" --state "$MERLON_TMP/changed" >"$MERLON_TMP/changed.log" 2>&1 ||
  status=$?
equal "a changed backup is refused" 1 "$status"
[[ ! -e $MERLON_TMP/changed/merlon.db ]] || fail "and something of it was written"

# -- the same backup, into PostgreSQL
stop_server
start_postgres
moved=$MERLON_TMP/moved
mkdir -m 700 "$moved"
"$MERLON" state restore "$backup" --state "$moved" --store "$database" --root-key "$restored/root.key" \
  >"$MERLON_TMP/restore.log" 2>&1 || fail "the restore into PostgreSQL: $(<"$MERLON_TMP/restore.log")"
cp "$state/bootstrap.json" "$moved/bootstrap.json"
state=$moved
root_key=$restored/root.key
launch_server --store "$database" --root-key "$root_key"
wait_for 20 "the server on PostgreSQL answers" healthy
sign_in
version=2021-04-01
api GET "/subscriptions/$subscription/resourceGroups?\$top=5000"
missing=$(jq -r '.value[].name' <<<"$answer" | sort | comm -13 - <(sort "$MERLON_TMP/acknowledged-before"))
equal "everything is there too" '' "$missing"
wait_for 60 "the agent follows once more" in_step
later=$(jq -er .properties.desiredVersion.epoch <<<"$machine")
((later > epoch_now)) || fail "the epoch is $later, and was $epoch_now"
not can_connect alice || fail "the opening of the epoch before is still open"
"$MERLON" state backup "$MERLON_TMP/second.backup" --state "$state" --store "$database" --root-key "$root_key" \
  >"$MERLON_TMP/backup.log" 2>&1 || fail "a backup of PostgreSQL: $(<"$MERLON_TMP/backup.log")"
ok "and a backup can be made of it again"
stop_server
