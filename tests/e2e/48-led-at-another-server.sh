#!/usr/bin/env bash
# Two servers on one PostgreSQL, and a machine that neither can reach: its agent asks b for news, and whoever comes to a
# is led there all the same. The agent calls no server but those that its owner has named, and what it does not do is
# said to whoever waits at the other server. When a is killed, b goes on.
# time limit: 420 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/postgres.sh"
. "$(dirname "$0")/two_servers.sh"

bastion=${address4[server]}
declare -A ssh_port=([a]=2022 [b]=2023)
start_postgres
make_network
start() { # start a|b
  launch "$1" --bastion-ssh "$bastion:${ssh_port[$1]}" --advertise "$bastion:${port_of[$1]}"
  wait_for 60 "$1 answers" answers "$1"
}
start a
start b
cp "$MERLON_TMP"/a/{bootstrap.json,ca.pem} "$state/"
sign_in

# -- a machine behind a router that translates its address and lets nothing in; its agent asks b alone
merlon ssh known-hosts --pattern "*" >"$MERLON_TMP/bastion_hosts"
api GET /providers/Merlon.Bastion/sshAuthorities
mkdir -p "$MERLON_TMP/sshd"
field '.value[] | select(.name == "machines") | .properties.publicKey' >"$MERLON_TMP/sshd/authority"
: >"$MERLON_TMP/sshd/principals"
chmod 644 "$MERLON_TMP/sshd/authority" "$MERLON_TMP/sshd/principals"
chmod 755 "$MERLON_TMP" "$MERLON_TMP/sshd"
cat >"$MERLON_TMP/sshd/sshd_config.more" <<TEXT
TrustedUserCAKeys $MERLON_TMP/sshd/authority
AuthorizedPrincipalsFile $MERLON_TMP/sshd/principals
StrictModes no
TEXT
start_sshd 22
in_ns router nft -f - <<TEXT
table ip translation {
  chain post {
    type nat hook postrouting priority srcnat
    iifname "to-web" masquerade
  }
  chain forward {
    type filter hook forward priority filter
    oifname "to-web" ct state new drop
  }
}
TEXT
said=$(merlon machine token --resource-group rg --name web-1 --enforce)
on_web env -u MERLON_CLIENT_SECRET "$MERLON" agent enrol --server "https://$domain:${port_of[b]}" --ca "$state/ca.pem" \
  --token "$(tail -n 1 <<<"$said" | awk '{print $NF}')" --state "$MERLON_TMP/agent" >"$MERLON_TMP/enrol.log" 2>&1 ||
  fail "enrolment at b: $(<"$MERLON_TMP/enrol.log")"
launch_agent
wait_for 30 "web-1 enforces its rules" in_step
echo "admin@$(jq -er .properties.machineId <<<"$machine")" >"$MERLON_TMP/sshd/principals"
merlon ssh host-keys web-1 --file "$MERLON_TMP/sshd/host_key.pub" >/dev/null
not can_connect server || fail "the servers reach the machine by themselves, so the test below proves nothing"

# -- a bastion, the right to log in, and rules: ssh from the machine's own address, and outbound nothing to the servers
version=2024-05-01
api GET "$group/providers/Microsoft.Network/networkInterfaces"
subnet=$(field '[.value[].properties.ipConfigurations[].properties.subnet.id][0]')
api PUT "$group/providers/Microsoft.Network/bastionHosts/bst" "$(jq -n --arg id "${subnet%/subnets/*}" '
  {location: "local", sku: {name: "Developer"}, properties: {virtualNetwork: {id: $id}}}')"
[[ $status =~ ^20 ]] || fail "the bastion: $status $answer"
merlon role assign --role "Virtual Machine Administrator Login" --assignee "$(first clientId)" \
  --scope "$group" >/dev/null
rule() { # rule NAME PRIORITY DIRECTION ACCESS SOURCE DESTINATION PORTS
  api PUT "$(nsg)/securityRules/$1" "$(jq -n --argjson priority "$2" --arg direction "$3" --arg access "$4" \
    --arg source "$5" --arg destination "$6" --arg ports "$7" '{properties: {protocol: "Tcp", priority: $priority,
    direction: $direction, access: $access, sourceAddressPrefix: $source, sourcePortRange: "*",
    destinationAddressPrefix: $destination, destinationPortRange: $ports}}')"
  [[ $status =~ ^20 ]] || fail "the security rule $1: $status $answer"
}
rule own 100 Inbound Allow "${address4[web]}" '*' 22
rule servers 100 Outbound Deny '*' "$bastion" '*'
wait_for 15 "the rules have reached the machine" in_step

export MERLON_CONFIG_DIR=$MERLON_TMP/config
merlon ssh cert --for 1h >/dev/null
options=(-F none -o BatchMode=yes -o ConnectTimeout=30 -o UserKnownHostsFile="$MERLON_TMP/bastion_hosts"
  -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o LogLevel=ERROR -i "$MERLON_CONFIG_DIR/ssh/id_merlon")
by_ssh() { # by_ssh a|b COMMAND
  local at=$1
  shift
  in_ns alice ssh "${options[@]}" -p "${ssh_port[$at]}" "admin+web-1@$bastion" "$@"
}
equal "at b, whom the agent asks for news" web-1 "$(by_ssh b hostname)"

# -- at a
code=0
said=$(by_ssh a hostname 2>&1) || code=$?
[[ $code == 255 && $said == *'"servers"'* ]] || fail "the agent called a server that nobody has named: $code, '$said'"
ok "a server that the machine's owner has not named is not called, and it is said why"
name_servers() { # name_servers ADDRESS:PORT...
  jq '.servers = $ARGS.positional' --args "$@" <"$MERLON_TMP/agent/local.json" >"$MERLON_TMP/local.json"
  cp "$MERLON_TMP/local.json" "$MERLON_TMP/agent/local.json"
  kill_agent
  launch_agent
  wait_for 30 "the agent is back" in_step
}
name_servers "${bastion%.*}.0/24:${port_of[a]}"
can_call() { # as anybody but the agent
  # shellcheck disable=SC2016
  in_ns web timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$bastion" "${port_of[a]}" 2>/dev/null
}
not can_call || fail "the machine's rules let anybody go to a"
equal "at a, whom its agent does not ask" web-1 "$(by_ssh a hostname)"
begun=${EPOCHREALTIME/./}
for n in 1 2 3 4 5; do by_ssh a true || fail "connection $n"; done
ok "five more, one after the other: $(((${EPOCHREALTIME/./} - begun) / 5000)) ms each"
head -c 3000000 /dev/urandom >"$MERLON_TMP/payload"
equal "three megabytes each way" "$(sha256sum <"$MERLON_TMP/payload")" \
  "$(by_ssh a cat <"$MERLON_TMP/payload" | sha256sum)"
pids=()
for n in 1 2; do
  by_ssh a "echo $n" >"$MERLON_TMP/said.$n" &
  pids+=($!)
done
wait "${pids[@]}"
equal "two at once" "1 2" "$(cat "$MERLON_TMP"/said.[12] | xargs)"
merlon bastion session list -n bst --output json >"$MERLON_TMP/sessions.json"
jq -e '[.value[].properties | select(.reachedBy == "agent")] | length >= 9' "$MERLON_TMP/sessions.json" >/dev/null ||
  fail "the sessions do not say how the machine was reached: $(head -c 600 "$MERLON_TMP/sessions.json")"
ok "the sessions say that the agent led there"
nothing_left() { [[ $(in_database 'select count(*) from merlon.t_machines_calls') == 0 ]]; }
wait_for 10 "no call is left in the database" nothing_left
ok "no call is left in the database"

# -- a dies in the middle, and a call of its is left; b goes on and takes it back
in_ns alice ssh "${options[@]}" -p "${ssh_port[a]}" "admin+web-1@$bastion" "echo there; sleep 100" \
  >"$MERLON_TMP/cut" 2>/dev/null &
cut=$!
is_there() { grep -q there "$MERLON_TMP/cut"; }
wait_for 20 "a session at a" is_there
kill_dead "${pid_of[a]}"
ends() { ! kill -0 "$cut" 2>/dev/null; }
wait_for 20 "the session of a is over" ends
equal "at b, as before" web-1 "$(by_ssh b hostname)"
start a
equal "and at a, once it is back" web-1 "$(by_ssh a hostname)"
for name in a b; do
  kill -TERM "${pid_of[$name]}"
  wait_for 15 "$name ends" ended "${pid_of[$name]}"
done
ok "both end cleanly"
