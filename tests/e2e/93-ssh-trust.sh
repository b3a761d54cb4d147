#!/usr/bin/env bash
# What an enrolled machine needs so that plain ssh reaches it through the bastion: nothing by hand. Its agent reports
# the host keys of its sshd and, where the machine's owner lets it, makes sshd trust Merlon's authority. Another host key
# is refused, another principal is refused, and a removed machine is as it was.
# time limit: 300 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

port=2022
bastion=${address4[server]}
make_network
start_server --bastion-ssh "$bastion:$port"

# -- a machine with an sshd as Debian has it: /etc/ssh, /run and accounts of its own
mkdir -p "$MERLON_TMP/web"
{ grep -v '^admin:' /etc/passwd && echo "admin:x:64123:64123::/run/admin:/bin/bash"; } >"$MERLON_TMP/web/passwd"
{ grep -v '^admin:' /etc/group && echo "admin:x:64123:"; } >"$MERLON_TMP/web/group"
{ echo 'admin:*:19000::::::' && echo 'root:*:19000::::::'; } >"$MERLON_TMP/web/shadow"
chmod 600 "$MERLON_TMP/web/shadow"
chmod 755 "$MERLON_TMP"
# shellcheck disable=SC2016
ip netns exec "$MERLON_RUN-web" unshare --uts bash -euc '
  hostname web-1
  for file in passwd group shadow; do mount --bind "$1/$file" "/etc/$file"; done
  mount -t tmpfs -o mode=755 tmpfs /var/log
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs -o mode=755 tmpfs /etc/ssh
  mkdir -p /run/sshd /run/admin /etc/ssh/sshd_config.d
  chown 64123:64123 /run/admin
  printf "%s\n" "Include /etc/ssh/sshd_config.d/*.conf" "HostKey /etc/ssh/ssh_host_ecdsa_key" \
    "HostKey /etc/ssh/ssh_host_ed25519_key" "UsePAM no" "UseDNS no" "PasswordAuthentication no" "PrintMotd no" \
    "PrintLastLog no" "PermitRootLogin prohibit-password" "Subsystem sftp internal-sftp" >/etc/ssh/sshd_config
  for kind in ecdsa ed25519; do ssh-keygen -q -t $kind -N "" -f /etc/ssh/ssh_host_${kind}_key; done
  touch /run/ready
  exec sleep infinity
' web-machine "$MERLON_TMP/web" &
machine_pid=$!
on_machine() { nsenter -t "$machine_pid" --mount --uts --net env -u MERLON_CLIENT_SECRET "$@"; }
is_set_up() { on_machine test -f /run/ready 2>/dev/null; }
wait_for 20 "the machine has its host keys" is_set_up
on_machine /usr/sbin/sshd -D -e >"$MERLON_TMP/sshd.log" 2>&1 &
wait_for 10 "sshd listens" listens web 22
sshd_pid=$(on_machine cat /run/sshd.pid)
sshd_says() { on_machine /usr/sbin/sshd -T | grep -iE '^(trustedusercakeys|authorizedprincipals)' | sort; }
sshd_before=$(sshd_says)

# -- enrolled, and nothing else
start_agent() {
  # Not on_machine: the process id must be the agent's own.
  nsenter -t "$machine_pid" --mount --uts --net env -u MERLON_CLIENT_SECRET "$MERLON" agent run \
    --state "$MERLON_TMP/agent" >>"$MERLON_TMP/agent.log" 2>&1 &
  agent_pid=$!
}
stop_agent() {
  kill "$agent_pid"
  wait "$agent_pid" 2>/dev/null || true
}
enrol_machine() {
  local said
  said=$(merlon machine token --resource-group rg --name web-1 --enforce)
  on_machine "$MERLON" agent enrol --server "https://$domain:8443" --ca "$state/ca.pem" \
    --token "$(tail -n 1 <<<"$said" | awk '{print $NF}')" --state "$MERLON_TMP/agent" >"$MERLON_TMP/enrol.log" 2>&1 ||
    fail "enrolment: $(<"$MERLON_TMP/enrol.log")"
}
trust() { read_machine && [[ $(jq -r .properties.facts.ssh.trust <<<"$machine") == "$1" ]]; }
enrol_machine
equal "host keys are known from the enrolment, before its agent has run" \
  "$(on_machine cat /etc/ssh/ssh_host_ecdsa_key.pub /etc/ssh/ssh_host_ed25519_key.pub | cut -d ' ' -f 1,2)" \
  "$(merlon ssh host-keys web-1 --output json | jq -r '.properties.publicKeys[]')"
start_agent
wait_for 30 "web-1 enforces its rules" in_step
wait_for 10 "the agent leaves sshd as it is" trust Off
equal "nothing is written unless the machine's owner says so" "" "$(on_machine ls /etc/ssh/sshd_config.d)"
on_machine "$MERLON" agent ssh on --state "$MERLON_TMP/agent" >/dev/null
wait_for 15 "sshd trusts the authority" trust Installed
equal "sshd runs on" "$sshd_pid" "$(on_machine cat /run/sshd.pid)"
kill -0 "$sshd_pid"

# -- a bastion, the right to log in, and a rule that lets the bastion come
version=2024-05-01
api GET "$group/providers/Microsoft.Network/networkInterfaces"
subnet=$(field '[.value[].properties.ipConfigurations[].properties.subnet.id][0]')
api PUT "$group/providers/Microsoft.Network/bastionHosts/bst" "$(jq -n --arg id "${subnet%/subnets/*}" '
  {location: "local", sku: {name: "Developer"}, properties: {virtualNetwork: {id: $id}}}')"
[[ $status =~ ^20 ]] || fail "the bastion: $status $answer"
merlon role assign --role "Virtual Machine Administrator Login" --assignee "$(first clientId)" \
  --scope "$group" >/dev/null
api PUT "$(nsg)/securityRules/bastion" "{\"properties\":{\"protocol\":\"Tcp\",\"sourceAddressPrefix\":\"$bastion\",
  \"sourcePortRange\":\"*\",\"destinationAddressPrefix\":\"*\",\"destinationPortRange\":\"22\",\"access\":\"Allow\",
  \"direction\":\"Inbound\",\"priority\":100}}"
[[ $status =~ ^20 ]] || fail "the security rule: $status $answer"
wait_for 15 "the rule has reached the machine" in_step

# -- every way in
export MERLON_CONFIG_DIR=$MERLON_TMP/config
equal "merlon ssh" web-1 "$(merlon ssh web-1 --login admin -- hostname)"
merlon ssh known-hosts >"$MERLON_TMP/bastion_hosts"
cat >"$MERLON_TMP/ssh_config" <<TEXT
Host *
  BatchMode yes
  ConnectTimeout 10
  UserKnownHostsFile $MERLON_TMP/bastion_hosts
  StrictHostKeyChecking yes
  IdentitiesOnly yes
  IdentityFile $MERLON_CONFIG_DIR/ssh/id_merlon
  LogLevel ERROR
TEXT
by_ssh() { in_ns alice ssh -F "$MERLON_TMP/ssh_config" -p "$port" "$@"; }
equal "ssh LOGIN+MACHINE@BASTION" web-1 "$(by_ssh "admin+web-1@$bastion" hostname)"
equal "ssh -J" web-1 "$(in_ns alice ssh -F "$MERLON_TMP/ssh_config" -J "x@$bastion:$port" admin@web-1 hostname)"
equal "as any login that there is" root "$(by_ssh "root+web-1@$bastion" id -un)"
refused() { # refused WHAT WORDS DESTINATION: nobody gets in, and it is said why
  local code=0 said
  said=$(by_ssh "$3" hostname 2>&1) || code=$?
  [[ $code == 255 && $said == *"$2"* ]] || fail "$1: status $code, '$said'"
  ok "$1"
}
refused "a login that the machine does not have" "does not let 'nosuch' in" "nosuch+web-1@$bastion"

# -- somebody in between
"$MERLON_ROOT/scripts/sshd-in-namespace" "$MERLON_RUN-mallory" "$MERLON_TMP/mallory" web-1 \
  "$MERLON_CONFIG_DIR/ssh/id_merlon.pub" 22 >"$MERLON_TMP/mallory.log" 2>&1 &
wait_for 10 "mallory's sshd listens" listens mallory 22
in_ns router nft -f - <<TEXT
table ip between {
  chain pre {
    type nat hook prerouting priority dstnat
    ip daddr ${address4[web]} tcp dport 22 dnat to ${address4[mallory]}
  }
}
TEXT
refused "somebody in between, who has another host key" "host key of 'web-1'" "admin+web-1@$bastion"
in_ns router nft delete table ip between
equal "and without them it is web-1 again" web-1 "$(by_ssh "admin+web-1@$bastion" hostname)"

# -- new host keys
print=$(on_machine ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | awk '{print $2}')
# shellcheck disable=SC2016
on_machine bash -c 'rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
  sed -i /ecdsa/d /etc/ssh/sshd_config; kill -HUP "$(cat /run/sshd.pid)"'
new_print=$(on_machine ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | awk '{print $2}')
knows_new() { merlon ssh host-keys web-1 --output json | jq -e --arg print "$new_print" '.properties.fingerprints == [$print]' \
  >/dev/null; }
wait_for 15 "the agent has reported the new key" knows_new
equal "the machine is reached by its new key" web-1 "$(by_ssh "admin+web-1@$bastion" hostname)"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
change=$(jq -c --arg old "$print" --arg new "$new_print" '.. | objects
  | select(.action? == "Merlon.Bastion/sshHostKeys/report/action")
  | select((.details.before | index($old)) and .details.fingerprints == [$new])' "$MERLON_TMP/ledger.jsonl")
[[ -n $change ]] || fail "the change of host keys is not in the ledger: $(grep sshHostKeys "$MERLON_TMP/ledger.jsonl")"
ok "the change is in the ledger"

# -- somebody's hand on the files
on_machine rm /etc/ssh/sshd_config.d/merlon.conf
is_back() { on_machine test -f /etc/ssh/sshd_config.d/merlon.conf; }
wait_for 15 "what was removed is back" is_back
equal "and it works" web-1 "$(by_ssh "admin+web-1@$bastion" hostname)"

# -- whom sshd lets in: certificates of an authority of our own, put in place of Merlon's while no agent looks
machine_id=$(jq -er .properties.machineId <<<"$machine")
stop_agent
ssh-keygen -q -t ed25519 -N '' -f "$MERLON_TMP/authority"
ssh-keygen -q -t ed25519 -N '' -f "$MERLON_TMP/key"
on_machine cp "$MERLON_TMP/authority.pub" /etc/ssh/sshd_config.d/merlon_authority.pub
with_principal() { # with_principal PRINCIPAL: a login as admin, beside the bastion
  ssh-keygen -q -s "$MERLON_TMP/authority" -I test -n "$1" -V +5m "$MERLON_TMP/key.pub" 2>/dev/null
  on_machine ssh -F none -i "$MERLON_TMP/key" -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null admin@127.0.0.1 hostname 2>/dev/null
}
equal "a certificate for this login of this machine" web-1 "$(with_principal "admin@$machine_id")"
for other in admin root@"$machine_id" admin@11111111-2222-4333-8444-555555555555 "admin@"; do
  not with_principal "$other" || fail "a certificate for '$other' lets admin in"
  ok "a certificate for '$other' lets nobody in as admin"
done

# -- turned off, on again, removed
on_machine "$MERLON" agent ssh off --state "$MERLON_TMP/agent" >/dev/null
equal "turned off, sshd is as it was" "$sshd_before" "$(sshd_says)"
equal "and no file is left" "" "$(on_machine ls -A /etc/ssh/sshd_config.d)"
not with_principal "admin@$machine_id" || fail "sshd was not told"
ok "sshd was told"
start_agent
on_machine "$MERLON" agent ssh on --state "$MERLON_TMP/agent" >/dev/null
wait_for 20 "it is on again" is_back
equal "ssh, again" web-1 "$(by_ssh "admin+web-1@$bastion" hostname)"

# -- behind a router that translates addresses and lets nothing in: the agent leads there
stop_agent
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
not can_connect server || fail "the server reaches the machine by itself, so the test below proves nothing"
# Its connection as the server sees it: from the router.
comes_translated() { in_ns server ss -Htn state established "sport = :8443 and dst 10.77.0.1" | grep -q .; }
start_agent
wait_for 20 "the agent comes by the router's address" comes_translated
gets_there() { [[ $(by_ssh "admin+web-1@$bastion" hostname 2>>"$MERLON_TMP/by-agent.log") == web-1 ]]; }
wait_for 60 "the server has seen where the agent comes from, and is led" gets_there
ok "ssh to a machine that the server cannot reach"
equal "merlon ssh there" web-1 "$(merlon ssh web-1 --login admin -- hostname)"
head -c 3000000 /dev/urandom >"$MERLON_TMP/payload"
equal "three megabytes each way" "$(sha256sum <"$MERLON_TMP/payload")" \
  "$(by_ssh "admin+web-1@$bastion" cat <"$MERLON_TMP/payload" | sha256sum)"
for n in 1 2 3 4 5; do by_ssh "admin+web-1@$bastion" true || fail "connection $n"; done
ok "five connections one after the other"
merlon bastion session list -n bst --output json >"$MERLON_TMP/sessions.json"
jq -e '[.value[].properties | select(.reachedBy == "agent")] | length >= 7' "$MERLON_TMP/sessions.json" >/dev/null ||
  fail "the sessions do not say how the machine was reached: $(head -c 600 "$MERLON_TMP/sessions.json")"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
grep -q '"reachedBy":"agent"' "$MERLON_TMP/ledger.jsonl" || fail "the ledger does not say so"
ok "sessions and ledger say that the agent led there"
jq '.carried_ports = [3389]' "$MERLON_TMP/agent/local.json" >"$MERLON_TMP/local.json"
cp "$MERLON_TMP/local.json" "$MERLON_TMP/agent/local.json"
stop_agent
wait_for 10 "the agent's connection is gone" not comes_translated
start_agent
wait_for 20 "the agent is connected again" comes_translated
refused "a port that the machine's owner does not name" "carried_ports" "admin+web-1@$bastion"
merlon machine remove web-1 >/dev/null
wait_for 20 "the agent ends" ended "$agent_pid"
equal "after the machine's removal sshd is as it was" "$sshd_before" "$(sshd_says)"
equal "no file is left of it" "" "$(on_machine ls -A /etc/ssh/sshd_config.d)"
equal "sshd has run all the while" "$sshd_pid" "$(on_machine cat /run/sshd.pid)"
# shellcheck disable=SC2016
on_machine bash -c 'mkdir /run/admin/.ssh; cat "$0" >/run/admin/.ssh/authorized_keys; chown -R admin: /run/admin/.ssh' \
  "$MERLON_TMP/key.pub"
rm "$MERLON_TMP/key-cert.pub"
equal "and lets in whom it knows itself" web-1 "$(on_machine ssh -F none -i "$MERLON_TMP/key" -o BatchMode=yes \
  -o LogLevel=ERROR -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null admin@127.0.0.1 hostname)"
