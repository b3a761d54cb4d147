#!/usr/bin/env bash
# The bastion's tunnel with real ssh between namespaces: a machine whose port is closed to everybody is reached through
# it, by a client that was written from the contract alone and by Merlon's own; only who may, only once with each token,
# only as many at once as the SKU has, and only in time.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
mkdir -p "$MERLON_TMP/sshd"
# So that it hangs up on none of the hundred below, which would make room for another.
echo 'MaxStartups 200' >"$MERLON_TMP/sshd/sshd_config.more"
whole_set_up
version=2025-05-01
network_provider=$group/providers/Microsoft.Network
host_path=$network_provider/bastionHosts/front

# -- a bastion in the machine's own network
api GET "$network_provider/networkInterfaces/web-1-nic"
network=$(jq -r '[.properties.ipConfigurations[].properties.subnet.id][0] | sub("/subnets/.*"; "")' <<<"$answer")
api GET "$network"
widened=$(jq -c '.properties.addressSpace.addressPrefixes += ["10.99.0.0/24"]
  | .properties.subnets += [{name: "AzureBastionSubnet", properties: {addressPrefix: "10.99.0.0/26"}}]' <<<"$answer")
api PUT "$network" "$widened"
[[ $status =~ ^20 ]] || fail "the network takes a subnet for the bastion: $status $answer"
api PUT "$network_provider/publicIPAddresses/front-ip" '{"location":"local","sku":{"name":"Standard"},
  "properties":{"publicIPAllocationMethod":"Static"}}'
is_status "a public address for it" 201
merlon bastion create -n front -g rg --network "$network" --public-ip front-ip --enable Tunneling \
  --output json >"$MERLON_TMP/front.json"
bastion=$(jq -er .properties.dnsName "$MERLON_TMP/front.json")
bastion=${bastion%:*}
ok "merlon bastion create: $bastion"
printf '%s %s\n' "${address4[server]}" "$bastion" | tee -a "/etc/netns/$MERLON_RUN-alice/hosts" \
  >>"/etc/netns/$MERLON_RUN-server/hosts"

client() { # client WHAT [ARGUMENT...]: from alice, who is nobody to the machine's firewall
  in_ns alice python3 "$MERLON_ROOT/tests/e2e/tunnel_client.py" --address "${address4[server]}" --host "$bastion" \
    --ca "$state/ca.pem" --resource "${resource:-$(vm)}" --token "${az_token:-$token}" "$@"
}
through() { # through COMMAND...: on web-1, by ssh through the tunnel
  in_ns alice ssh -F none -i "$MERLON_TMP/id" -o IdentitiesOnly=yes -o BatchMode=yes \
    -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$MERLON_TMP/known_tunnel" \
    -o "ProxyCommand=python3 $MERLON_ROOT/tests/e2e/tunnel_client.py --address ${address4[server]} --host $bastion \
      --ca $state/ca.pem --resource $(vm) --token $token proxy" \
    admin@web-1 "$@" 2>>"$MERLON_TMP/through.log"
}
openings() { merlon jit list --output json | jq -c '[.value[].properties.sources[]]'; }
nothing_open() { [[ $(openings) == '[]' ]]; }
running() { merlon bastion session list -n front --output json |
  jq -e --argjson wanted "$1" '[.value[] | select(.properties.state == "Active")] | length == $wanted' >/dev/null; }

not can_ssh alice || fail "alice gets in directly"
equal "through the tunnel it is web-1" web-1 "$(through hostname)"
wait_for 10 "nothing stays open" nothing_open
head -c 3000000 /dev/urandom >"$MERLON_TMP/payload"
equal "three megabytes each way arrive as they were" "$(sha256sum <"$MERLON_TMP/payload")" \
  "$(through cat <"$MERLON_TMP/payload" | sha256sum)"

# -- what is open meanwhile is open for the bastion's own address alone
{ through sleep 60 || exit $?; } &
long=$!
wait_for 15 "a session runs" running 1
equal "the port is open for the bastion's own address alone" "[\"${address4[server]}\"]" "$(openings)"
not can_ssh alice || fail "alice gets in directly while her session runs"
not can_ssh mallory || fail "mallory gets in while alice's session runs"
ok "nobody gets in beside it"
session=$(merlon bastion session list -n front --output json | jq -er '.value[] | select(.properties.state == "Active") | .name')
merlon bastion session kill "$session" -n front >/dev/null
wait_for 10 "a killed session ends at the client" ended "$long"
wait_for 10 "and on the record" running 0
wait_for 10 "its opening is closed" nothing_open
api GET "$host_path/providers/Merlon.Bastion/sessions/$session"
equal "with its reason" Disconnected "$(field .properties.endReason)"

# -- tokens
first_answer=$(client tokens)
once=$(jq -er .websocketToken <<<"$first_answer")
auth=$(jq -er .authToken <<<"$first_answer")
said=$(client connect "$once" </dev/null 2>&1 | head -c 4 || true)
not grep -q 401 <<<"$said" || fail "a fresh token is not taken: $said"
status=0
client connect "$once" </dev/null >"$MERLON_TMP/replay.out" 2>&1 || status=$?
equal "a token that was used is not taken again" 3 "$status"
grep -q '^401 .*TokenNotValid' "$MERLON_TMP/replay.out" || fail "$(<"$MERLON_TMP/replay.out")"
equal "a token for another port is another person's word" 403 \
  "$(client --workload-port 2222 --last "$auth" tokens | jq .status)"
equal "the same machine and port takes it" 200 "$(client --last "$auth" tokens | jq .status)"
equal "one that was made up is refused" 403 "$(client --last made-up tokens | jq .status)"
equal "a machine that is not there" 404 "$(resource=$(vm)x client tokens | jq .status)"
equal "no sign-in, no token" 401 "$(az_token=nonsense client tokens | jq .status)"
equal "a bad port is said so" 400 "$(client --workload-port 70000 tokens | jq .status)"
equal "the token is deleted" 204 "$(client delete "$auth")"
equal "and then it is unknown" 404 "$(client delete "$auth")"

# -- a hundred at once
mkfifo "$MERLON_TMP/hold"
exec 9<>"$MERLON_TMP/hold"
{ client race 100 <"$MERLON_TMP/hold" >"$MERLON_TMP/race.out" 2>"$MERLON_TMP/race.log" || exit $?; } 9>&- &
racing=$!
raced() { [[ -s $MERLON_TMP/race.out ]]; }
wait_for 120 "a hundred have tried" raced
equal "eighty are let in, as the scale units have it" '{"BastionSessionLimitReached":20,"in":80}' \
  "$(jq -c . "$MERLON_TMP/race.out")"
running 80 || fail "there are not eighty sessions"
exec 9>&- # what they wait for
wait_for 20 "the hundred leave" ended "$racing"
wait_for 60 "all of them are ended on the record" running 0

# -- Merlon's own client
equal "merlon bastion tunnel --stdio is a ProxyCommand" web-1 "$(in_ns alice ssh -F none -i "$MERLON_TMP/id" \
  -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new \
  -o UserKnownHostsFile="$MERLON_TMP/known_tunnel" \
  -o "ProxyCommand=$MERLON bastion tunnel web-1 --stdio" admin@web-1 hostname </dev/null 2>>"$MERLON_TMP/own.log")"
in_ns alice "$MERLON" bastion tunnel web-1 --port 2022 >"$MERLON_TMP/tunnel.out" 2>"$MERLON_TMP/tunnel.log" &
tunnel=$!
wait_for 10 "merlon bastion tunnel listens" listens alice 2022
local_ssh() {
  in_ns alice ssh -F none -i "$MERLON_TMP/id" -o IdentitiesOnly=yes -o BatchMode=yes -p 2022 \
    -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$MERLON_TMP/known_tunnel" \
    admin@127.0.0.1 "$@" </dev/null 2>>"$MERLON_TMP/own.log"
}
equal "through its port it is web-1" web-1 "$(local_ssh hostname)"
kill -TERM "$tunnel"
wait_for 10 "it ends when it is told to" ended "$tunnel"

# -- time
api PUT "$host_path/providers/Merlon.Bastion/sessionPolicies/short" '{"properties":{"maximumTime":"PT6S"}}'
is_status "a policy: six seconds at most" 201
began=$SECONDS
status=0
through sleep 60 || status=$?
took=$((SECONDS - began))
((took >= 5 && took <= 6 + 20 * ${MERLON_PATIENCE:-1})) || fail "the session lasted $took s instead of 6"
grep -q 'time of this session is over' "$MERLON_TMP/through.log" || fail "the person was not told why"
ok "cut after $took s, and told why"

# -- a server that dies in mid-session
api DELETE "$host_path/providers/Merlon.Bastion/sessionPolicies/short"
{ through sleep 60 || exit $?; } &
long=$!
wait_for 15 "a session runs" running 1
session=$(merlon bastion session list -n front --output json | jq -er '.value[] | select(.properties.state == "Active") | .name')
kill_dead "$server_pid"
wait_for 10 "its connection is gone with the server" ended "$long"
start_server
wait_for 10 "after the restart it is ended on the record" running 0
api GET "$host_path/providers/Merlon.Bastion/sessions/$session"
equal "with an honest reason" ServerDied "$(field .properties.endReason)"
wait_for 20 "and its opening is closed" nothing_open
