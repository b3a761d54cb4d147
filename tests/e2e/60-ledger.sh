#!/usr/bin/env bash
# The ledger of a run verifies without the server; whatever is changed in it, removed, swapped or cut, is found.
# time limit: 120 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server
version=2021-04-01
ledger=$MERLON_TMP/ledger.jsonl
secret=$(first clientSecret)

for number in 1 2 3 4 5 6 7 8; do
  api PUT "/subscriptions/$subscription/resourceGroups/rg$number" '{"location":"local"}'
done
api DELETE "/subscriptions/$subscription/resourceGroups/rg8"
merlon ledger export >"$ledger"
lines=$(wc -l <"$ledger")
((lines > 10)) || fail "the export has only $lines lines"
ok "an export of $lines lines"
merlon ledger head >"$MERLON_TMP/old-head"
last=$(tail -n 1 "$ledger")

verify() { "$MERLON" ledger verify "$@" >"$MERLON_TMP/verify.log" 2>&1 </dev/null; } # needs no server
stop_server
verify "$ledger" || fail "the export does not verify: $(<"$MERLON_TMP/verify.log")"
ok "it verifies with the server gone"
not grep -qF "$secret" "$ledger" || fail "the first secret is in the ledger"
ok "no secret is in it"

found() { # found WHAT [OPTIONS...]: the changed copy is refused, with exit status 1 and a reason
  local what=$1 status=0
  shift
  not cmp -s "$ledger" "$MERLON_TMP/changed.jsonl" || fail "$what: the test changed nothing"
  verify "$MERLON_TMP/changed.jsonl" "$@" || status=$?
  [[ $status == 1 ]] || fail "$what: verify ended with $status: $(<"$MERLON_TMP/verify.log")"
  [[ -s $MERLON_TMP/verify.log ]] || fail "$what: verify does not say what is wrong"
  ok "$what is found: $(head -n 1 "$MERLON_TMP/verify.log" | cut -c 1-100)"
}
change() { "$@" "$ledger" >"$MERLON_TMP/changed.jsonl"; }

change sed '4s/rg/rh/'
if cmp -s "$ledger" "$MERLON_TMP/changed.jsonl"; then change sed '4s/"time/"tyme/'; fi
found "a changed entry"
# One byte at a time, through the whole of one entry and of the head.
for line in 5 "$lines"; do
  length=$(sed -n "${line}p" "$ledger" | tr -d '\n' | wc -c)
  step=$((length / 24 + 1))
  for ((at = 1; at <= length; at += step)); do
    awk -v line="$line" -v at="$at" 'NR == line {
      c = substr($0, at, 1); $0 = substr($0, 1, at - 1) (c == "x" ? "y" : "x") substr($0, at + 1) } { print }' \
      "$ledger" >"$MERLON_TMP/changed.jsonl"
    if verify "$MERLON_TMP/changed.jsonl"; then fail "byte $at of line $line may be changed unseen"; fi
  done
  ok "one changed byte in line $line, at $(((length + step - 1) / step)) places"
done
change sed 6d
found "a removed entry"
# shellcheck disable=SC2016
change awk 'NR == 6 { kept = $0; next } { print } NR == 7 { print kept }'
found "two swapped entries"
change awk '{ print } NR == 6 { print }'
found "an entry that stands twice"
change head -n $((lines - 1))
found "a missing head"
{ head -n $((lines - 3)) "$ledger" && echo "$last"; } >"$MERLON_TMP/changed.jsonl"
found "entries cut at the end, under the old head"

# -- an older, whole export of the same ledger is consistent in itself: only a head kept elsewhere shows the cut
launch_server
wait_for 10 "the server is back" healthy
api PUT "/subscriptions/$subscription/resourceGroups/rg9" '{"location":"local"}'
merlon ledger export >"$MERLON_TMP/newer.jsonl"
verify "$MERLON_TMP/newer.jsonl" || fail "the newer export does not verify: $(<"$MERLON_TMP/verify.log")"
merlon ledger head >"$MERLON_TMP/kept-head"
verify "$MERLON_TMP/newer.jsonl" --witness "$MERLON_TMP/old-head" ||
  fail "the newer export does not contain the older head: $(<"$MERLON_TMP/verify.log")"
ok "the newer export grew out of the older head"
status=0
verify "$ledger" --witness "$MERLON_TMP/kept-head" || status=$?
equal "a ledger cut back to an older state is found against a kept head" 1 "$status"

# -- another server's ledger is not this one's
merlon ledger head --output json | jq -er .publicKey >"$MERLON_TMP/key.pem"
verify "$MERLON_TMP/newer.jsonl" --key "$MERLON_TMP/key.pem" ||
  fail "it does not verify under its own key: $(<"$MERLON_TMP/verify.log")"
openssl genpkey -algorithm ed25519 2>/dev/null | openssl pkey -pubout >"$MERLON_TMP/other.pem"
status=0
verify "$MERLON_TMP/newer.jsonl" --key "$MERLON_TMP/other.pem" || status=$?
equal "under another key it does not verify" 1 "$status"
status=0
verify "$MERLON_TMP/no-such-file" || status=$?
equal "a file that is not there" 1 "$status"

# -- what was refused is in it
merlon app create --name nobody --secret --output json >"$MERLON_TMP/nobody.json"
token=$(new_token "$(jq -er .clientId "$MERLON_TMP/nobody.json")" "$(jq -er .clientSecret "$MERLON_TMP/nobody.json")")
version=2021-04-01
api PUT "/subscriptions/$subscription/resourceGroups/evil" '{"location":"local"}'
is_status "somebody without a right is refused" 403 AuthorizationFailed
merlon ledger export >"$MERLON_TMP/newer.jsonl"
verify "$MERLON_TMP/newer.jsonl" || fail "it does not verify any more: $(<"$MERLON_TMP/verify.log")"
nobody=$(jq -er .objectId "$MERLON_TMP/nobody.json")
grep -q "$nobody.*denied\|denied.*$nobody" "$MERLON_TMP/newer.jsonl" || fail "the refusal is not in the export"
not grep -qF "$(jq -er .clientSecret "$MERLON_TMP/nobody.json")" "$MERLON_TMP/newer.jsonl" ||
  fail "a secret is in the ledger"
ok "and the refusal is entered"
