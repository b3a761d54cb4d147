#!/usr/bin/env bash
# The simulator as people run it: as many histories as forty seconds give hold, the same seeds give the same traces, a wrong
# command line is told of, and nothing is left behind. With MERLON_LONG (./test --all): an hour of other seeds.
# time limit: 5400 s
# shellcheck source=/dev/null disable=SC2154
. "$(dirname "$0")/lib.sh"

play() { "$MERLON" simulate "$@" 2>>"$MERLON_TMP/simulate.log"; }
left() { find /dev/shm "${TMPDIR:-/tmp}" -maxdepth 1 -name 'merlon-simulate-*' 2>/dev/null | sort; }

jobs=$(nproc)
before=$(left)

# -- the same seeds give the same traces
said=$(play --seed 1 --histories 20 --steps 50 --jobs "$jobs") || fail "a history failed: $said"
grep -q '^20 histories of 50 steps, .* every invariant held; traces [0-9a-f]*$' <<<"$said" || fail "it says: $said"
again=$(play --seed 1 --histories 20 --steps 50 --jobs 1)
equal "the same seeds, one at a time, give the same traces" "$said" "$again"
other=$(play --seed 1001 --histories 20 --steps 50)
[[ ${other##* } != "${said##* }" ]] || fail "other seeds give the same traces"
ok "other seeds give other traces"

# -- many: first the seeds of every run, then some that nobody has played
play_for() { # play_for SECONDS FIRST-SEED STEPS
  local end=$((SECONDS + $1)) seed=$2 batch=50
  while ((SECONDS < end)); do
    said=$(play --seed "$seed" --histories "$batch" --steps "$3" --jobs "$jobs") || fail "a history failed: $said"
    grep -q 'every invariant held' <<<"$said" || fail "it says: $said"
    seed=$((seed + batch))
  done
  played=$((seed - $2))
}
play_for 30 2000 50
ok "$played histories of 50 steps: every invariant held"
fresh=$((10#$(date +%s%N | cut -c 6-15) * 100000))
play_for 10 "$fresh" 50
ok "$played histories that nobody has played, from seed $fresh"
if [[ -n ${MERLON_LONG:-} ]]; then
  fresh=$((fresh + 50000))
  play_for 3600 "$fresh" 200
  ok "$played histories of 200 steps, $((played * 200)) steps, from seed $fresh"
fi

play --seed 7 --steps 20 --trace >"$MERLON_TMP/once"
play --seed 7 --steps 20 --trace >"$MERLON_TMP/twice"
cmp "$MERLON_TMP/once" "$MERLON_TMP/twice" || fail "a seed does not replay exactly"
[[ $(wc -l <"$MERLON_TMP/once") -gt 20 ]] || fail "--trace prints nothing"
ok "a trace replays line by line"

for wrong in '--seed x' '--steps -1' '--histories 1.5' '--jobs many' '--servers 9'; do
  status=0
  # shellcheck disable=SC2086
  "$MERLON" simulate $wrong >"$MERLON_TMP/wrong" 2>&1 || status=$?
  equal "'simulate $wrong' is wrong usage" 2 "$status"
done
equal "nothing is left behind" "$before" "$(left)"
