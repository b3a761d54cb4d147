#!/usr/bin/env bash
# Recordings end to end: made through a real server, listed, searched, watched, played (by asciinema too), verified with
# and without the server; what is changed in one, removed, cut or swapped is found; kill -9 and a full disk in the
# middle of one lose nothing that was answered for, and are told apart from tampering.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034,SC2028,SC2016
. "$(dirname "$0")/lib.sh"
start_server
api PUT "$group?api-version=2021-04-01" '{"location":"local"}'
version=2026-11-01
blobs=$state/blobs/recordings

# -- a recording of three parts, hostile sequences and bytes that are no ASCII among them
cast=$MERLON_TMP/session.cast
{
  echo '{"version": 3, "term": {"cols": 90, "rows": 25}, "timestamp": 1700000000, "title": "a session"}'
  echo '[0.1, "o", "\u001b[1;32madmin@web-1\u001b[0m:~$ "]'
  for letter in s u d o ' ' n g i n x; do echo "[0.05, \"o\", \"$letter\"]"; done
  echo '[0.4, "o", "\r\nxylophone żółć\r\n"]'
  echo '[0.1, "o", "\u001b]52;c;cm0gLXJm\u0007\u001b]0;gotcha\u0007\u001b[6n\u001bP$q\"p\u001b\\after\r\n"]'
  echo '[0.1, "r", "100x30"]'
  for number in {1..3000}; do echo "[0.01, \"o\", \"line $number of a long listing that fills chunks\\r\\n\"]"; done
} >"$cast"
import() { merlon recording import "$1" --scope "$group" --output json | jq -er .name; }
id=$(import "$cast")
other=$(import "$cast")
equal "both are listed" 2 "$(merlon recording list --output json | jq '.value | length')"
grep -q "$id.*closed" <<<"$(merlon recording list)" || fail "the table does not show $id"
equal "its length is that of the file" true \
  "$(merlon recording show "$id" --output json | jq '.properties | .durationMs > 30000 and .durationMs < 33000')"

# -- what is exported plays
merlon recording export "$id" >"$MERLON_TMP/out.cast"
equal "the export has every event" 3015 "$(wc -l <"$MERLON_TMP/out.cast")"
script -qec "asciinema play --speed 10000 $MERLON_TMP/out.cast" /dev/null </dev/null >"$MERLON_TMP/played.txt" ||
  fail "asciinema play refuses the export"
grep -q 'xylophone żółć' "$MERLON_TMP/played.txt" || fail "asciinema shows something else"
grep -q 'line 3000 of' "$MERLON_TMP/played.txt" || fail "asciinema did not play to the end"
ok "asciinema plays the export to its end"
events() { tail -n +2 "$1" | jq -c .; }
merlon recording export "$id" --cast-version 3 >"$MERLON_TMP/out3.cast"
diff <(events "$cast") <(events "$MERLON_TMP/out3.cast") >"$MERLON_TMP/diff.log" ||
  fail "version 3 has other events than the original: $(head -n 5 "$MERLON_TMP/diff.log")"
ok "version 3 has the original's events, times and text"

# -- playing it does nothing to the viewer
for name in recording session; do
  merlon "$name" play "$id" --at-once >"$MERLON_TMP/play.txt"
  grep -q 'line 3000 of' "$MERLON_TMP/play.txt" || fail "$name play did not show it all"
  for hostile in ']52;' ']0;gotcha' '[6n' 'P$q'; do
    not grep -qF "$(printf '\033')$hostile" "$MERLON_TMP/play.txt" || fail "$name play lets $hostile through"
  done
  grep -qF "$(printf '\033[1;32m')admin@web-1" "$MERLON_TMP/play.txt" || fail "$name play loses the colours"
done
ok "playing shows the picture, and not what would act on the viewer"

# -- search
equal "text is found once in each" 2 "$(merlon recording search 'XYLOPHONE ż' --output json | jq '.value | length')"
equal "at its place, where its line ends" 1000 "$(merlon recording search 'sudo nginx' --output json | jq '.value[0].atMs')"
equal "what was never there is not found" 0 "$(merlon recording search 'saxophone' --output json | jq '.value | length')"
not merlon recording search ab 2>/dev/null || fail "two letters are searched for"
not grep -rqa 'xylophone\|long listing' "$state" || fail "the text lies in clear somewhere in the state"
ok "nothing of it lies in clear"

# -- who may
merlon app create --name nobody --secret --output json >"$MERLON_TMP/nobody.json"
mine=$token
token=$(new_token "$(jq -er .clientId "$MERLON_TMP/nobody.json")" "$(jq -er .clientSecret "$MERLON_TMP/nobody.json")")
for what in content verify sealed append close; do
  api POST "$group/providers/Merlon.Bastion/recordings/$id/$what" '{}'
  is_status "nobody may not: $what" 403 AuthorizationFailed
done
api POST "$group/providers/Merlon.Bastion/searchRecordings" '{"text":"xylophone"}'
is_status "nobody may not search" 403 AuthorizationFailed
api DELETE "$group/providers/Merlon.Bastion/recordings/$id"
is_status "nobody may not delete" 403 AuthorizationFailed
api GET "$group/providers/Merlon.Bastion/recordings"
equal "and sees none" 0 "$(field '.value | length')"
merlon role assign --assignee "$(jq -er .objectId "$MERLON_TMP/nobody.json")" --role Reader --scope "$group" >/dev/null
api GET "$group/providers/Merlon.Bastion/recordings"
equal "a reader sees that there are some" 2 "$(field '.value | length')"
api POST "$group/providers/Merlon.Bastion/recordings/$id/content" '{}'
is_status "and not what is in them" 403 AuthorizationFailed
token=$mine
api GET "/subscriptions/$subscription/resourceGroups/another/providers/Merlon.Bastion/recordings/$id"
is_status "within another scope there is no such recording" 404 ResourceNotFound
api POST "$group/providers/Merlon.Bastion/recordings/$id/append" '{"events":"[1, \"o\", \"more\"]"}'
is_status "nothing is added to one that has ended" 409 ImportEnded
api POST "$group/providers/Merlon.Bastion/importRecording" '{"header":"{}"}'
is_status "what is no recording is not imported" 400 RecordingNotUnderstood
equal "who looked is in the ledger" true "$(merlon ledger export | jq -s \
  'any(.[]; .entry.action == "Merlon.Bastion/recordings/content/action" and (.entry.resource | endswith("'"$id"'")))')"

# -- verified, with the server and without
merlon recording verify "$id" >"$MERLON_TMP/verify.txt" || fail "it does not verify: $(<"$MERLON_TMP/verify.txt")"
ok "it verifies"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
merlon recording export "$id" --sealed "$MERLON_TMP/sealed" >/dev/null
cmp -s "$MERLON_TMP/sealed" "$blobs/$id" || fail "the sealed export is not the file"
offline() { # offline SEALED OPTION...
  "$MERLON" recording verify "$id" --sealed "$1" --ledger "$MERLON_TMP/ledger.jsonl" "${@:2}" 2>&1 </dev/null
}
offline "$MERLON_TMP/sealed" >"$MERLON_TMP/verify.txt" || fail "it does not verify without the server"
grep -q "Give --key" "$MERLON_TMP/verify.txt" || fail "it does not say whom it believed"
merlon ledger head --output json >"$MERLON_TMP/head"
jq -er .publicKey "$MERLON_TMP/head" >"$MERLON_TMP/key.pem"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
offline "$MERLON_TMP/sealed" --key "$MERLON_TMP/key.pem" --witness "$MERLON_TMP/head" >"$MERLON_TMP/verify.txt" ||
  fail "it does not verify under the server's key: $(<"$MERLON_TMP/verify.txt")"
openssl genpkey -algorithm ed25519 2>/dev/null | openssl pkey -pubout >"$MERLON_TMP/other.pem"
if offline "$MERLON_TMP/sealed" --key "$MERLON_TMP/other.pem" >"$MERLON_TMP/verify.txt"; then
  fail "a ledger that another key has signed is believed"
fi
ok "it verifies without the server"

tamper() { # tamper WHAT PYTHON: on the bytes b, with the offsets of the chunks in o, the last being the end
  cp "$blobs/$id" "$MERLON_TMP/kept"
  python3 - "$blobs/$id" "$blobs/$other" "$2" <<'P'
import sys
path, other, change = sys.argv[1:]
b = bytearray(open(path, "rb").read())
o = [8]
while o[-1] < len(b):
    o.append(o[-1] + 4 + int.from_bytes(b[o[-1] : o[-1] + 4], "little"))
assert len(o) > 4, o
b = eval(change)
open(path, "wb").write(b)
P
  cmp -s "$blobs/$id" "$MERLON_TMP/kept" && fail "$1: the test changed nothing"
  local said status=0
  said=$(merlon recording verify "$id" 2>&1) || status=$?
  [[ $status == 1 && $said == *'NOT SOUND'* ]] || fail "$1 is not found ($status): $said"
  status=0
  offline "$blobs/$id" >"$MERLON_TMP/verify.txt" || status=$?
  [[ $status == 1 ]] || fail "$1 is not found without the server: $(<"$MERLON_TMP/verify.txt")"
  cp "$MERLON_TMP/kept" "$blobs/$id"
  ok "$1 is found: $(grep -E '^(Changed|Cut|Extended|RowChanged):' <<<"$said" | head -n 1)"
}
tamper "a changed byte" 'b[:o[2] + 200] + bytes([b[o[2] + 200] ^ 1]) + b[o[2] + 201:]'
tamper "a changed byte of a chunk's head" 'b[:o[1] + 8] + bytes([b[o[1] + 8] ^ 1]) + b[o[1] + 9:]'
tamper "a removed chunk" 'b[:o[1]] + b[o[2]:]'
tamper "two swapped chunks" 'b[:o[1]] + b[o[2]:o[3]] + b[o[1]:o[2]] + b[o[3]:]'
tamper "a chunk that stands twice" 'b[:o[2]] + b[o[1]:]'
tamper "a cut last chunk" 'b[:o[-2]]'
tamper "a cut within a chunk" 'b[:-5]'
tamper "something added" 'b + b[o[1]:o[2]]'
tamper "another recording in its place" 'open(other, "rb").read()'
tamper "an empty file" 'b""'
merlon recording verify "$id" >/dev/null || fail "put back as it was, it does not verify"
ok "put back as it was, it verifies"

# -- kill -9 in the middle of one, watched while it runs
running=''
is_running() { running=$(merlon recording list --output json | jq -er '[.value[] | select(.properties.running)][0].name'); }
begin_live() {
  rm -f "$MERLON_TMP/pipe"
  mkfifo "$MERLON_TMP/pipe"
  merlon recording import - --scope "$group" <"$MERLON_TMP/pipe" >"$MERLON_TMP/import.log" 2>&1 &
  importer=$!
  exec 7>"$MERLON_TMP/pipe"
  echo '{"version": 3, "term": {"cols": 80, "rows": 24}}' >&7
  echo '[0.1, "o", "before the crash\r\n"]' >&7
  wait_for 10 "the recording runs" is_running
}
shows() { merlon recording play "$1" --at-once 2>/dev/null | grep "$2" >/dev/null; }
begin_live
wait_for 10 "what was sent is there" shows "$running" "before the crash"
merlon recording watch "$running" >"$MERLON_TMP/watch.txt" 2>&1 &
watcher=$!
wait_for 10 "the watcher sees what there is" grep -q 'before the crash' "$MERLON_TMP/watch.txt"
echo '[0.1, "o", "while it is watched\r\n"]' >&7
wait_for 10 "and what comes" grep -q 'while it is watched' "$MERLON_TMP/watch.txt"
not merlon recording delete "$running" 2>"$MERLON_TMP/delete.txt" || fail "a running recording was deleted"
grep -q RecordingInUse "$MERLON_TMP/delete.txt" || fail "it was refused otherwise: $(<"$MERLON_TMP/delete.txt")"
merlon recording verify "$running" >/dev/null || fail "a running recording does not verify"
ok "a running recording is watched, verified, and not deleted"
kill "$watcher" 2>/dev/null || true
kill_dead "$server_pid"
exec 7>&-
wait "$importer" && fail "the import says that it is done"
launch_server
wait_for 15 "the server is back" healthy
sign_in
is_interrupted() { [[ $(merlon recording show "$running" --output json | jq -r .properties.state) == interrupted ]]; }
wait_for 15 "the recording is ended" is_interrupted
merlon recording verify "$running" >"$MERLON_TMP/verify.txt" || fail "after kill -9: $(<"$MERLON_TMP/verify.txt")"
shows "$running" "while it is watched" || fail "what was answered for is lost"
equal "and is found by the search" 1 "$(merlon recording search 'it is watched' --output json | jq '.value | length')"
ok "after kill -9 it ends at its last full chunk, and verifies"

# -- the same, but somebody cuts it while the server is down
begin_live
cut_id=$running
echo '[0.1, "o", "the evidence\r\n"]' >&7
wait_for 10 "the evidence is recorded" shows "$cut_id" "the evidence"
sleep 2.5 # how far it has come is noted once a second
kill_dead "$server_pid"
exec 7>&-
wait "$importer" || true
python3 - "$blobs/$cut_id" <<'P'
import sys
b = open(sys.argv[1], "rb").read()
o = [8]
while o[-1] < len(b):
    o.append(o[-1] + 4 + int.from_bytes(b[o[-1] : o[-1] + 4], "little"))
open(sys.argv[1], "wb").write(b[: o[-2]])
P
launch_server
wait_for 15 "the server is back" healthy
sign_in
running=$cut_id
wait_for 15 "the recording is ended" is_interrupted
said=$(merlon recording verify "$cut_id" 2>&1) && fail "a tail cut while the server was down is taken for a crash: $said"
[[ $said == *'Cut:'* ]] || fail "a cut tail is called otherwise: $said"
grep -q 'DAMAGED' <<<"$(merlon recording show "$cut_id")" || fail "its record does not say so"
ok "a tail cut while the server was down is no crash"

# -- deleting
merlon recording delete "$other" >/dev/null
gone() { [[ ! -e $blobs/$other ]]; }
wait_for 10 "its file goes" gone
not merlon recording play "$other" --at-once 2>/dev/null || fail "a deleted recording plays"
grep -q "$other" <<<"$(merlon ledger tail --action Merlon.Bastion/recordings/delete)" || fail "the ledger does not know"
ok "a deleted recording is gone, and the ledger knows by whom"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null || fail "the ledger does not verify"
stop_server

# -- a full disk: the state on a small one that only the server's mount namespace has
small=$MERLON_TMP/small
mkdir -p "$small"
# shellcheck disable=SC2016
ip netns exec "$MERLON_RUN-server" unshare --mount bash -c 'mount -t tmpfs -o size=64m,mode=700 merlon "$0" &&
  exec "$@"' "$small" "$MERLON" server --state "$small" --domain "$domain" --keep-bootstrap \
  --listen 127.0.0.1:8443 --listen '[::1]:8443' --recordings disk=100 >>"$MERLON_TMP/server.log" 2>&1 &
server_pid=$!
state=/proc/$server_pid/root$small
wait_for 15 "a server on a small disk" healthy
sign_in
begin_live
full_id=$running
dd if=/dev/zero of="$state/filler" bs=64k 2>/dev/null && fail "the disk took everything"
for number in {1..40}; do echo "[0.1, \"o\", \"on the reserve $number\\r\\n\"]" >&7; done
wait_for 20 "what runs goes on, on the reserve" shows "$full_id" "on the reserve 40"
[[ ! -e $state/blobs/reserve ]] || fail "the reserve is still there"
ok "on a full disk what runs goes on, on the reserve"
not merlon recording import "$cast" --scope "$group" 2>"$MERLON_TMP/full.txt" || fail "a new recording began on a full disk"
grep -q StorageFull "$MERLON_TMP/full.txt" || fail "it was refused otherwise: $(<"$MERLON_TMP/full.txt")"
ok "and no new one begins: $(head -n 1 "$MERLON_TMP/full.txt")"
dd if=/dev/zero of="$state/filler2" bs=4k 2>/dev/null || true
head -c 600000 /dev/zero | tr '\0' x | fold -w 1000 | sed 's/.*/[0.1, "o", "&"]/' >&7 2>/dev/null || true
exec 7>&-
importer_ended() { not kill -0 "$importer" 2>/dev/null; }
wait_for 30 "the import ends" importer_ended
wait "$importer" && fail "a recording that could not be written says that it is kept"
grep -q 'StorageFull' "$MERLON_TMP/import.log" || fail "it does not say why: $(<"$MERLON_TMP/import.log")"
wait_for 10 "the operator's log says so" grep -q 'CAN BE RECORDED NO FURTHER' "$MERLON_TMP/server.log"
ok "with the reserve used up, who records is told at once"
rm -f "$state/filler" "$state/filler2"
works() { merlon recording import "$cast" --scope "$group" >/dev/null 2>&1; }
wait_for 30 "with room again recordings begin" works
merlon recording verify "$full_id" >"$MERLON_TMP/verify.txt" || fail "after the full disk: $(<"$MERLON_TMP/verify.txt")"
shows "$full_id" "on the reserve 40" || fail "what was answered for is lost"
[[ -e $state/blobs/reserve ]] || fail "the reserve has not come back"
ok "with room again everything goes on, and what was recorded verifies"
