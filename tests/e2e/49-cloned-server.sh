#!/usr/bin/env bash
# A server whose machine is a clone of another's, on the same PostgreSQL, while the other records: it finds out, leaves the
# other's recordings alone, and keeps its own under an id of its own. What is started again in its own place needs no id.
# time limit: 240 s
# shellcheck source=/dev/null disable=SC2154,SC2034,SC2028
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/postgres.sh"
. "$(dirname "$0")/two_servers.sh"
start_postgres
make_network
launch a
wait_for 60 "a answers" answers a
cp "$MERLON_TMP"/a/{bootstrap.json,ca.pem} "$state/"
sign_in
version=2021-04-01
api PUT "/subscriptions/$subscription/resourceGroups/rg" '{"location":"local"}'
is_status "a resource group" 201
group=/subscriptions/$subscription/resourceGroups/rg

# -- a records
mkfifo "$MERLON_TMP/pipe"
merlon recording import - --scope "$group" <"$MERLON_TMP/pipe" >"$MERLON_TMP/import.log" 2>&1 &
importer=$!
exec 7>"$MERLON_TMP/pipe"
echo '{"version": 3, "term": {"cols": 80, "rows": 24}}' >&7
echo '[0.1, "o", "before the clone\r\n"]' >&7
state_of() { merlon recording show "$1" --output json | jq -r .properties.state; }
runs() { running=$(merlon recording list --output json | jq -er '.value[] | select(.properties.state == "open") | .name'); }
wait_for 20 "a records" runs

# -- its clone: what lies in its directory, on another machine (here: in another directory)
mkdir -p "$MERLON_TMP/b"
cp -a "$MERLON_TMP/a/blobs" "$MERLON_TMP/b/blobs"
echo '[0.1, "o", "after the clone\r\n"]' >&7
shows() { merlon recording play "$1" --at-once 2>/dev/null | grep "$2" >/dev/null; }
wait_for 10 "a goes on" shows "$running" "after the clone"
launch b 7>&-
wait_for 60 "b answers" answers b
grep -q "IS A COPY" "$MERLON_TMP/b.log" || fail "the clone has not found out: $(tail -n 5 "$MERLON_TMP/b.log")"
not cmp -s "$MERLON_TMP/a/blobs/id" "$MERLON_TMP/b/blobs/id" || fail "the clone has the original's id"
sleep 3
equal "the original's recording goes on" open "$(state_of "$running")"
ask b POST "$group/providers/Merlon.Bastion/recordings/$running/verify" '{}'
is_status "the clone does not judge it" 409 RecordingElsewhere
echo '[0.1, "o", "the end\r\n"]' >&7
exec 7>&-
wait "$importer" || fail "the import: $(<"$MERLON_TMP/import.log")"
equal "and ends as it should" closed "$(state_of "$running")"
merlon recording verify "$running" >"$MERLON_TMP/verify.txt" || fail "it does not verify: $(<"$MERLON_TMP/verify.txt")"
shows "$running" "the end" || fail "its end is missing"
ok "whole and sound"

# -- started again where it was, each has its own at once
for name in a b; do
  id=$(<"$MERLON_TMP/$name/blobs/id")
  kill_dead "${pid_of[$name]}"
  launch "$name"
  wait_for 60 "$name is back" answers "$name"
  equal "$name has the id that it had" "$id" "$(<"$MERLON_TMP/$name/blobs/id")"
done
equal "b has said so once" 1 "$(grep -c "IS A COPY" "$MERLON_TMP/b.log")"
not grep -q "WAS DAMAGED" "$MERLON_TMP"/[ab].log || fail "a recording was called damaged"
for name in a b; do
  kill -TERM "${pid_of[$name]}"
  wait_for 15 "$name ends" ended "${pid_of[$name]}"
done
ok "both end cleanly"
