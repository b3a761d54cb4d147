#!/usr/bin/env bash
# The simulator as people run it: sixty histories hold, the same seeds give the same traces, a wrong command line
# is told of, and nothing is left behind.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154
. "$(dirname "$0")/lib.sh"

play() { "$MERLON" simulate "$@" 2>>"$MERLON_TMP/simulate.log"; }
left() { find /dev/shm "${TMPDIR:-/tmp}" -maxdepth 1 -name 'merlon-simulate-*' 2>/dev/null | sort; }

before=$(left)
said=$(play --seed 1 --histories 60 --steps 50 --jobs 2) || fail "a history failed: $said"
grep -q '^60 histories of 50 steps, .* every invariant held; traces [0-9a-f]*$' <<<"$said" || fail "it says: $said"
ok "60 histories: ${said##*; }"
again=$(play --seed 1 --histories 60 --steps 50 --jobs 1)
equal "the same seeds, one at a time, give the same traces" "$said" "$again"
other=$(play --seed 1001 --histories 20 --steps 50)
[[ ${other##* } != "${said##* }" ]] || fail "other seeds give the same traces"
ok "other seeds give other traces"

play --seed 7 --steps 20 --trace >"$MERLON_TMP/once"
play --seed 7 --steps 20 --trace >"$MERLON_TMP/twice"
cmp "$MERLON_TMP/once" "$MERLON_TMP/twice" || fail "a seed does not replay exactly"
[[ $(wc -l <"$MERLON_TMP/once") -gt 20 ]] || fail "--trace prints nothing"
ok "a trace replays line by line"

for wrong in '--seed x' '--steps -1' '--histories 1.5' '--jobs many'; do
  status=0
  # shellcheck disable=SC2086
  "$MERLON" simulate $wrong >"$MERLON_TMP/wrong" 2>&1 || status=$?
  equal "'simulate $wrong' is wrong usage" 2 "$status"
done
equal "nothing is left behind" "$before" "$(left)"
