#!/usr/bin/env bash
# ./run's demo: it shows what it promises, takes everything down, cleans up after a killed one, and never touches the
# firewall of the machine that it runs on.
# time limit: 300 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
export MERLON_DEMO_DIR=$MERLON_TMP/demo
demo=$MERLON_ROOT/scripts/demo

# A namespace stands for the machine that somebody types ./run on; nsenter, because the demo's own namespaces must be
# as visible as they are without it.
new_namespace host
as_host() { nsenter --net="/run/netns/$MERLON_RUN-host" "$@"; }
machine_state() { # everything of that machine's own which a careless demo could change
  as_host nft list ruleset
  as_host ip -4 rule
  as_host ip -6 rule
  as_host ip route show table all
  as_host ip -o link | sed 's/@.*//; s/^[0-9]*: //'
  find /etc/netns -mindepth 1 -maxdepth 1 2>/dev/null | grep -v "/$MERLON_RUN" || true
  sha256sum /etc/passwd /etc/group /etc/shadow /etc/hosts
  as_host sysctl -n net.ipv4.ip_forward
}
marks() { # those that the processes of demos of this test carry
  local entry
  for entry in /proc/[0-9]*/environ; do
    if grep -qzxF "MERLON_RUN=$MERLON_RUN" "$entry" 2>/dev/null; then
      tr '\0' '\n' 2>/dev/null <"$entry" | grep '^MERLON_DEMO=' || true
    fi
  done | sort -u
}
left_behind() {
  ip netns list | grep "^$MERLON_RUN-" | grep -v -- '-host' || true
  as_host ip -o link | grep " $MERLON_RUN-" || true
  marks
}
as_host nft -f - <<'NFT'
table inet mine {
  set blocked { type ipv4_addr; elements = { 203.0.113.7 } }
  chain input { type filter hook input priority 0; policy accept; ip saddr @blocked counter drop; }
  chain forward { type filter hook forward priority 0; policy drop; }
}
NFT

real_before=$(nft list ruleset) before=$(machine_state)
# Its port is taken: it must find another and say so.
as_host python3 -m http.server 8443 --bind 127.0.0.1 >/dev/null 2>&1 &
taken=$!
wait_for 5 "port 8443 is taken" listens host 8443
as_host "$demo" "$MERLON" --once --for 12s >"$MERLON_TMP/demo.log" 2>&1 || fail "the demo failed"
kill "$taken"
for words in 'port 8443 is taken' 'logged in to web-1 as admin' 'no way in' 'alice' 'mallory'; do
  grep -q "$words" "$MERLON_TMP/demo.log" || fail "the demo does not say '$words'"
done
equal "alice got in once, mallory never" 1 "$(grep -c 'logged in to web-1' "$MERLON_TMP/demo.log")"
not grep -q $'\e' "$MERLON_TMP/demo.log" || fail "there are colours in what goes to a file"
equal "it leaves nothing behind" '' "$(left_behind)"
equal "this machine is what it was" "$before" "$(machine_state)"

# -- kill -9 in the middle; the next start cleans up
touch "$MERLON_TMP/killed.log" "$MERLON_TMP/second.log"
nsenter --net="/run/netns/$MERLON_RUN-host" "$demo" "$MERLON" >"$MERLON_TMP/killed.log" 2>&1 &
victim=$!
wait_for 60 "the demo is up" grep -q 'Ctrl-C' "$MERLON_TMP/killed.log"
kill_dead "$victim"
old=$(marks)
[[ -n $old ]] || fail "a killed demo left no process behind: this test proves nothing"
ok "a killed demo leaves $(left_behind | wc -l) things behind"
# A background process of a script ignores what Ctrl-C sends, unless told otherwise.
nsenter --net="/run/netns/$MERLON_RUN-host" env --default-signal=INT "$demo" "$MERLON" \
  >"$MERLON_TMP/second.log" 2>&1 &
second=$!
wait_for 60 "the next demo is up" grep -q 'Ctrl-C' "$MERLON_TMP/second.log"
equal "the processes of one demo run" 1 "$(marks | wc -l)"
[[ $(marks) != "$old" ]] || fail "they are those of the killed one"
equal "and its four namespaces" 4 "$(ip netns list | grep "^$MERLON_RUN-" | grep -vc -- '-host')"
equal "and its one interface" 1 "$(as_host ip -o link | grep -c " $MERLON_RUN-")"
status=0
as_host "$demo" "$MERLON" --once >"$MERLON_TMP/third.log" 2>&1 || status=$?
equal "two demos do not run from one directory" 1 "$status"

# -- what it tells people to type works
. "$MERLON_DEMO_DIR/env"
equal "its credential is for its owner alone" 600 "$(stat -c %a "$MERLON_DEMO_DIR/env")"
as_host "$MERLON" machine list | grep -q web-1 || fail "merlon machine list does not show web-1"
ok "the credential that it leaves for a second terminal works"

kill -INT "$second"
wait_for 15 "Ctrl-C ends it" ended "$second"
equal "Ctrl-C leaves nothing behind" '' "$(left_behind)"
equal "this machine is what it was" "$before" "$(machine_state)"
equal "so is the firewall of the machine that the test runs on" "$real_before" "$(nft list ruleset)"
