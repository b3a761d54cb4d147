#!/usr/bin/env bash
# The bastion against somebody who means harm: what is no SSH and messages out of order, in each state of a connection; one
# token for many; a machine that one may not reach; commands dressed as file transfers; files and terminals full of escape
# sequences; a machine that shows another key. All of it is refused in words, entered where that is promised, and whoever
# works meanwhile goes on.
# time limit: 200 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/bastion.sh"
sshd_more='AcceptEnv *' # the bastion is what lets no variable through
server_more=(--recordings burst=4)
machine_behind_bastion
make_front Standard Tunneling
web_2=$group/providers/Microsoft.Compute/virtualMachines/web-2
api PUT "$provider/networkInterfaces/web-2-nic" "{\"location\":\"local\",\"properties\":{\"ipConfigurations\":[
  {\"name\":\"one\",\"properties\":{\"subnet\":{\"id\":\"$subnet\"}}}]}}"
[[ $status =~ ^20 ]] || fail "an interface for web-2: $status $answer"
api PUT "$web_2" "{\"location\":\"local\",\"properties\":{\"networkProfile\":{\"networkInterfaces\":[
  {\"id\":\"$provider/networkInterfaces/web-2-nic\"}]}}}"
[[ $status =~ ^20 ]] || fail "web-2: $status $answer"

# -- eve may reach web-1, and not web-2; ada works all the while
for name in ada eve; do
  new_person "$name"
  for scope in "$(vm)" "$provider/networkInterfaces/web-1-nic" "$front"; do may "$person_id" Reader "$scope"; done
  may "$person_id" 'Virtual Machine Administrator Login' "$(vm)"
  as "$name" ssh cert --for 1h --scope "$(vm)" >"$MERLON_TMP/$name.cert" || fail "no certificate for $name"
done
eve_id=$person_id
eve_token=$(new_token "$(jq -er .clientId "$MERLON_TMP/eve.json")" "$(jq -er .clientSecret "$MERLON_TMP/eve.json")")
client() { # client RESOURCE WHAT...: the tunnel, as eve
  in_ns alice python3 "$MERLON_ROOT/tests/e2e/tunnel_client.py" --address "$bastion" --host "$front_name" \
    --ca "$state/ca.pem" --token "$eve_token" --resource "$@"
}

# -- one token for twenty at once
equal "one token lets one in" '{"TokenNotValid":19,"in":1}' "$(client "$(vm)" replay 20 </dev/null | jq -c .)"

# -- what a policy limits inside holds in a tunnel of a bastion that records nothing, and for the session that runs
inside() { # inside CHANNELS: what eve may not do
  api PUT "$front/providers/Merlon.Bastion/sessionPolicies/inside" \
    "{\"properties\":{\"appliesTo\":{\"principalIds\":[\"$eve_id\"]},\"channels\":{$1}}}"
  [[ $status =~ ^20 ]] || fail "a session policy: $status $answer"
}
by_tunnel() { as eve bastion ssh web-1 -g rg --user admin "$@"; }
inside '"shell":false'
equal "a command goes through her tunnel" web-1 "$(by_tunnel -- hostname 2>>"$MERLON_TMP/tunnel.log" </dev/null)"
not by_tunnel </dev/null >"$MERLON_TMP/shell.log" 2>&1 || fail "a shell, which the policy forbids"
grep -q 'policy lets' "$MERLON_TMP/shell.log" || fail "she is not told why: $(<"$MERLON_TMP/shell.log")"
{ by_tunnel -- 'echo inside; sleep 60' </dev/null >"$MERLON_TMP/inside.out" 2>"$MERLON_TMP/inside.log" || true; } &
inside=$!
wait_for 20 "her command runs" grep -q inside "$MERLON_TMP/inside.out"
inside '"shell":false,"commands":false'
wait_for 10 "a policy that is changed ends it" ended "$inside"
put_out() { merlon bastion session list -n front --output json | jq -e 'any(.value[].properties; .endReason == "SessionPolicyChanged")' >/dev/null; }
wait_for 10 "and that is on the record" put_out
api DELETE "$front/providers/Merlon.Bastion/sessionPolicies/inside"
is_status "the policy is lifted" 200
set_front Premium Tunneling SessionRecording

to="admin+web-1@$bastion"
mkfifo "$MERLON_TMP/ada.in"
{ ssh_as ada "$to" cat <"$MERLON_TMP/ada.in" >"$MERLON_TMP/ada.out" 2>"$MERLON_TMP/ada.err" || true; } 8>&- &
exec 8>"$MERLON_TMP/ada.in"
ada_works() { # ada_works WORD: what she types comes back
  echo "$1" >&8
  wait_for 15 "ada's session goes on ($1)" grep -qx "$1" "$MERLON_TMP/ada.out"
}
ada_works begun

# -- no protocol, and messages out of order, in each state
in_ns alice /usr/bin/python3 "$MERLON_ROOT/tests/e2e/hostile_ssh.py" "$bastion" "$ssh_port" "$MERLON_TMP/eve/ssh/id_merlon" \
  admin+web-1 2>"$MERLON_TMP/hostile.log" || fail "the bastion's SSH: $(tail -n 3 "$MERLON_TMP/hostile.log")"
ada_works after-garbage
only_ada() { [[ $(pgrep -c -P "$server_pid" -f bastion-session) == 1 ]]; }
wait_for 20 "no process of a connection is left but ada's" only_ada
ssh-keygen -q -t ed25519 -N '' -f "$MERLON_TMP/stranger"
not in_ns alice ssh "${ssh_options[@]}" -i "$MERLON_TMP/stranger" -p "$ssh_port" "$to" true 2>/dev/null ||
  fail "a key that nobody has registered lets somebody in"

# -- a machine that eve may not reach
refused() { # refused WHAT WORDS ARGUMENT...: by ssh, and it is said why
  local code=0 said
  said=$(ssh_as eve "${@:3}" </dev/null 2>&1) || code=$?
  [[ $code == 25[45] && $said == *"$2"* ]] || fail "$1: status $code, '$said'"
  ok "$1"
}
equal "eve reaches web-1" web-1 "$(ssh_as eve "$to" hostname)"
refused "web-2 is not there for eve" "web-2" "admin+web-2@$bastion" hostname
refused "by the bastion's name neither" "web-2" "admin+web-2+front@$bastion" hostname
refused "nor by its id" "web-2" "admin+$web_2@$bastion" hostname
refused "nor inside -J" "web-2" -o "ProxyCommand=ssh ${ssh_options[*]} -i $MERLON_TMP/eve/ssh/id_merlon -p $ssh_port \
  -W web-2:22 x@$bastion" admin@web-2 hostname
equal "nor by a tunnel" 404 "$(client "$web_2" tokens | jq .status)"
for odd in "$(vm)/../web-2" "$(vm)%2f..%2fweb-2" "$(vm)/extensions/x" "/subscriptions/../$web_2" "$(vm)?x=$web_2"; do
  given=$(client "$odd" tokens | jq -r .status)
  [[ $given == 40[04] ]] || fail "a tunnel to '$odd': $given"
done
ok "nor by a crooked name"

# -- commands dressed as file transfers: files may be sent, and nothing may be run
api PUT "$front/providers/Merlon.Bastion/sessionPolicies/eve" "{\"properties\":{\"appliesTo\":{\"principalIds\":[\"$eve_id\"]},
  \"channels\":{\"shell\":false,\"commands\":false,\"forwarding\":false,\"upload\":true,\"download\":false}}}"
is_status "eve may send files to web-1, and nothing else" 201
echo payload >"$MERLON_TMP/payload"
in_ns alice scp -O "${ssh_options[@]}" -i "$MERLON_TMP/eve/ssh/id_merlon" -P "$ssh_port" "$MERLON_TMP/payload" "$to:sent" ||
  fail "eve cannot send a file"
# shellcheck disable=SC2016
for trick in 'scp -t x; touch owned' 'scp -t x && touch owned' 'scp -t $(touch owned)' 'scp -t x
touch owned' 'scp -oProxyCommand=touch\ owned -o t=t a h:b' './scp -t x' 'rsync --server --daemon --config=t .' \
  'git-receive-pack x; touch owned'; do
  refused "no command: ${trick%%$'\n'*}" "no commands" "$to" "$trick"
done
refused "no shell" "no shell" "$to"
refused "nothing is fetched" "no files be fetched" "$to" "scp -f sent"
cat >"$MERLON_TMP/sftp" <<'TEXT'
-get sent /dev/null
-ln -s /etc/passwd link
-rename sent moved
TEXT
said=$(in_ns alice sftp "${ssh_options[@]}" -i "$MERLON_TMP/eve/ssh/id_merlon" -P "$ssh_port" -b "$MERLON_TMP/sftp" "$to" 2>&1 || true)
grep -q "remote open.*Permission denied" <<<"$said" || fail "sftp fetches, or is refused otherwise: $said"
not ssh_as ada "$to" test -e owned || fail "a command was run"
equal "and what may be done is done" "moved payload" "$(ssh_as ada "$to" 'ls moved; cat moved' | xargs)"
api DELETE "$front/providers/Merlon.Bastion/sessionPolicies/eve"

# -- what acts on the one who looks on
hostile=$'\e]52;c;cm0gLXJm\a\e]0;gotcha\a\e[6n\eP$q"p\e\\'
name=$'x\e]0;gotcha\a'
printf '%s' "$hostile" >"$MERLON_TMP/$name"
in_ns alice scp "${ssh_options[@]}" -i "$MERLON_TMP/eve/ssh/id_merlon" -P "$ssh_port" "$MERLON_TMP/$name" "$to:" ||
  fail "a file with a hostile name is not sent"
# -- who sends what nothing echoes is on the record all the same
ssh_as eve -T "$to" <<<'echo marked-one > hidden-one' >/dev/null 2>&1 || fail "a shell without a terminal"
ssh_as eve "$to" 'bash -s' <<<'echo marked-two > hidden-two' || fail "a shell that reads what to do"
for number in one two; do
  equal "it ran ($number)" "marked-$number" "$(ssh_as eve "$to" "cat hidden-$number" </dev/null)"
  typed() { merlon recording search "> hidden-$number" --output json | jq -e '.value | length == 1' >/dev/null; }
  wait_for 15 "what was typed is found ($number)" typed
  ok "what was typed is found ($number)"
done

# -- who pours is as slow as the recording, which has every byte; who types meanwhile does not wait
head -c 12000000 /dev/urandom >"$MERLON_TMP/noise"
digest=$(sha256sum <"$MERLON_TMP/noise")
in_ns alice scp "${ssh_options[@]}" -i "$MERLON_TMP/ada/ssh/id_merlon" -P "$ssh_port" "$MERLON_TMP/noise" "$to:" ||
  fail "the noise is not sent"
began=$(date +%s%N)
ssh_as eve "$to" 'cat noise' </dev/null 8>&- >"$MERLON_TMP/poured" &
pouring=$!
ada_works while-eve-pours
wait "$pouring" || fail "pouring ends by itself"
took=$((($(date +%s%N) - began) / 1000000))
equal "what is poured comes whole" "$digest" "$(sha256sum <"$MERLON_TMP/poured")"
((took >= 2000)) || fail "twelve megabytes came in $took ms, so that four in a second are recorded is not true"
ok "twelve megabytes, sixteen of a recording, took $took ms"
poured() {
  merlon recording search 'cat noise' --output json | jq -er '.value[0].name' >"$MERLON_TMP/poured.id" &&
    [[ $(merlon recording show "$(<"$MERLON_TMP/poured.id")" --output json | jq -r .properties.state) == closed ]]
}
wait_for 15 "its recording is closed" poured
cat >"$MERLON_TMP/exact.py" <<'TEXT'
import base64, hashlib, json, sys
digest, exact = hashlib.sha256(), None
for line in sys.stdin:
    if line.startswith("{"): continue
    _, code, data = json.loads(line)
    if code == "b": exact = base64.b64decode(data)
    if code == "o": digest.update(data.encode() if exact is None else exact); exact = None
print(digest.hexdigest() + "  -")
TEXT
equal "and on the record it is exactly what it was" "$digest" "$(merlon recording export "$(<"$MERLON_TMP/poured.id")" \
  --cast-version 3 | python3 "$MERLON_TMP/exact.py")"
equal "in a third more than it was" true "$(merlon recording show "$(<"$MERLON_TMP/poured.id")" --output json |
  jq '.properties.bytes < 16600000')"

ssh_as eve "$to" "cat x*; echo seen-by-eve; : '$hostile'" >/dev/null
found() { merlon recording search seen-by-eve --output json | jq -e '.value | length > 0' >/dev/null; }
wait_for 15 "her session is recorded" found
recording=$(merlon recording search seen-by-eve --output json | jq -er '.value[0].recording // .value[0].name')
{
  merlon recording play "$recording" --at-once
  merlon recording search seen-by-eve
  merlon recording list
  merlon recording show "$recording"
  merlon bastion session list -n front
  merlon ledger tail
} >"$MERLON_TMP/shown" 2>&1
grep -q seen-by-eve "$MERLON_TMP/shown" || fail "her session is not shown"
for part in $'\e]' $'\eP' $'\e[6n'; do
  not grep -qF "$part" "$MERLON_TMP/shown" || fail "what is shown of it has $(printf %q "$part")"
done
ok "escape sequences in output, commands and names of files do nothing to who looks on"

merlon recording export "$recording" >"$MERLON_TMP/seen.cast"
equal "a recording's header says how eve signed in" certificate "$(head -n 1 "$MERLON_TMP/seen.cast" | jq -r .merlon.signedInBy)"
script -qec "asciinema play --speed 10000 $MERLON_TMP/seen.cast" /dev/null </dev/null >"$MERLON_TMP/played.txt" ||
  fail "asciinema play refuses the export"
grep -q seen-by-eve "$MERLON_TMP/played.txt" || fail "asciinema shows something else"

# -- a machine that shows another key
ssh-keygen -q -t ed25519 -N '' -f "$MERLON_TMP/other_host"
merlon ssh host-keys web-1 --file "$MERLON_TMP/other_host.pub" >/dev/null
refused "a machine that shows another key" "none of those that are known" "$to" 'touch owned'
merlon ssh host-keys web-1 --file "$MERLON_TMP/sshd/host_key.pub" >/dev/null
not ssh_as eve "$to" test -e owned || fail "a command was run"
merlon bastion session list -n front --output json | jq -e '[.value[].properties.endReason] | index("HostKeyChanged")' \
  >/dev/null || fail "the session's record does not say that the host key was another"
ok "and nothing was sent to it"

# -- who worked meanwhile, and what is entered
ada_works after-all
exec 8>&-
healthy || fail "the server does not answer"
not grep -qE 'AddressSanitizer|runtime error|asked out of order|broken the rules' "$MERLON_TMP/server.log" ||
  fail "a process of a connection broke its rules"
merlon recording verify "$recording" >"$MERLON_TMP/verify.txt" || fail "the recording does not verify: $(<"$MERLON_TMP/verify.txt")"
stop_server # denials are entered by the minute, and at the end

# -- a disk fuller than the operator wants: nobody is recorded, so nobody gets in, but who can make room
used=$(df --output=pcent "$state" | tail -n 1 | tr -dc 0-9)
start_server --bastion-ssh "$bastion:$ssh_port" --recordings disk=1
if ((used > 2)); then
  refused_full() {
    local code=0 said
    said=$(ssh_as ada "$to" true </dev/null 2>&1) || code=$?
    [[ $code == 25[45] && $said == *"must be recorded"*"% full, and beyond 1 % nothing new is recorded"* ]] || fail "status $code, '$said'"
  }
  refused_full
  ok "on a disk that is too full nobody is let in unrecorded, and it is said why"
fi
if ((used > 2 && used < 50)); then # beyond that what runs ends as well
  may "$(first clientId)" 'Virtual Machine Administrator Login' "$(vm)"
  MERLON_CONFIG_DIR=$MERLON_TMP/boss merlon ssh cert --for 1h --scope "$(vm)" >/dev/null
  equal "an administrator gets in, to make room" web-1 "$(ssh_as boss "$to" hostname)"
fi
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
denied() { # denied ACTION NAME WORD: those of one minute are one entry, with samples of what was asked for
  jq -es --arg action "$1" --arg name "$2" --arg word "$3" 'any(.[].entry; .action? == $action and .decision == "denied"
    and (.actor.name // "") == $name and (tostring | contains($word)))' "$MERLON_TMP/ledger.jsonl" >/dev/null ||
    fail "the ledger does not have it, $1 by '$2': $(grep -F "$1" "$MERLON_TMP/ledger.jsonl" | grep denied)"
}
denied Merlon.Bastion/sessions/start/action eve web-2
denied Merlon.Bastion/ssh/signIn '' SshSignInRefused
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null || fail "the ledger does not verify"
ok "refusals are in the ledger, under the name of who tried"
