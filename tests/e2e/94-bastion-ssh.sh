#!/usr/bin/env bash
# The bastion's door for plain SSH clients, between namespaces: OpenSSH (with -J, sftp, scp, forwards), dropbear, PuTTY,
# paramiko, rsync, git and Ansible reach a machine through it, by certificate and by registered key; ssh-audit rates what
# is offered.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

port=2022
bastion=${address4[server]}
make_network
start_server --bastion-ssh "$bastion:$port"

# -- the machine trusts Merlon's authority, for this machine's principal alone
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
Subsystem sftp internal-sftp
AcceptEnv LANG LC_*
TEXT
start_sshd 22
enrol
read_machine
machine_id=$(jq -er .properties.machineId <<<"$machine" 2>/dev/null || jq -er '.properties.id // empty' <<<"$machine" || true)
echo "admin@$machine_id" >"$MERLON_TMP/sshd/principals"

# -- a bastion for its network, and the right to log in
version=2024-05-01
api GET "$group/providers/Microsoft.Network/networkInterfaces"
subnet=$(field '[.value[].properties.ipConfigurations[].properties.subnet.id][0]')
api PUT "$group/providers/Microsoft.Network/bastionHosts/bst" "$(jq -n --arg id "${subnet%/subnets/*}" '
  {location: "local", sku: {name: "Developer"}, properties: {virtualNetwork: {id: $id}}}')"
[[ $status =~ ^20 ]] || fail "the bastion: $status $answer"
ok "a bastion serves the machine's network"
merlon role assign --role "Virtual Machine Administrator Login" --assignee "$(first clientId)" \
  --scope "$group" >/dev/null
api PUT "$(nsg)/securityRules/bastion" "{\"properties\":{\"protocol\":\"Tcp\",\"sourceAddressPrefix\":\"$bastion\",
  \"sourcePortRange\":\"*\",\"destinationAddressPrefix\":\"*\",\"destinationPortRange\":\"22\",\"access\":\"Allow\",
  \"direction\":\"Inbound\",\"priority\":100}}"
[[ $status =~ ^20 ]] || fail "the security rule: $status $answer"
wait_for 15 "the rule has reached the machine" in_step

# -- certificates
export MERLON_CONFIG_DIR=$MERLON_TMP/config
merlon ssh cert --for 1h >"$MERLON_TMP/cert.out" || fail "no certificate"
id=$MERLON_CONFIG_DIR/ssh/id_merlon
ssh-keygen -L -f "$id-cert.pub" >"$MERLON_TMP/cert.txt" || fail "ssh-keygen does not read the certificate"
grep -q 'user certificate' "$MERLON_TMP/cert.txt"
ok "ssh-keygen reads the certificate"
equal "the private key is the person's alone" 600 "$(stat -c %a "$id")"
ssh-keygen -y -f "$id" >/dev/null
ok "ssh-keygen reads the private key"

options=(-F none -o BatchMode=yes -o ConnectTimeout=10 -o UserKnownHostsFile="$MERLON_TMP/bastion_hosts"
  -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o LogLevel=ERROR)
with_cert=("${options[@]}" -i "$id")
to="admin+web-1@$bastion"
by_ssh() { in_ns alice ssh "${with_cert[@]}" -p "$port" "$@"; } # by_ssh OPTIONS… DESTINATION COMMAND

# -- no trust at first sight
status=0
said=$(by_ssh "$to" hostname 2>&1) || status=$?
equal "without a known host key nobody is connected" 255 "$status"
grep -q 'host key of' <<<"$said" || fail "it is not said why: $said"
ok "and it is said why"
merlon ssh host-keys web-1 --file "$MERLON_TMP/sshd/host_key.pub" >/dev/null

# -- OpenSSH
equal "ssh by certificate" web-1 "$(by_ssh "$to" hostname)"
status=0
by_ssh "$to" 'exit 7' || status=$?
equal "the exit status comes back" 7 "$status"
equal "standard input goes there and comes back" "a line" "$(echo "a line" | by_ssh "$to" cat)"
equal "a terminal" terminal "$(by_ssh -tt "$to" 'tty -s && echo terminal' </dev/null | tr -d '\r')"
cat >"$MERLON_TMP/config_j" <<TEXT
Host *
  BatchMode yes
  UserKnownHostsFile $MERLON_TMP/bastion_hosts
  StrictHostKeyChecking yes
  IdentitiesOnly yes
  IdentityFile $id
TEXT
equal "ssh -J" web-1 "$(in_ns alice ssh -F "$MERLON_TMP/config_j" -J "ada@$bastion:$port" admin@web-1 hostname)"
status=0
said=$(by_ssh "admin+web-2@$bastion" hostname 2>&1) || status=$?
equal "another machine is refused" 255 "$status"
grep -q web-2 <<<"$said" || fail "it is not said why: $said"

# -- files
head -c 5000000 /dev/urandom >"$MERLON_TMP/big"
digest=$(sha256sum <"$MERLON_TMP/big")
for old in '' -O; do
  in_ns alice scp ${old:+"$old"} "${with_cert[@]}" -P "$port" "$MERLON_TMP/big" "$to:big$old"
  equal "scp $old sends" "$digest" "$(by_ssh "$to" "sha256sum <./big$old")"
  in_ns alice scp ${old:+"$old"} "${with_cert[@]}" -P "$port" "$to:big$old" "$MERLON_TMP/back"
  equal "scp $old fetches" "$digest" "$(sha256sum <"$MERLON_TMP/back")"
done
said=$(echo "ls" | in_ns alice sftp "${with_cert[@]}" -P "$port" -b - "$to")
grep -q big <<<"$said"
ok "sftp"
rsh="ssh ${with_cert[*]} -p $port"
in_ns alice rsync -e "$rsh" "$MERLON_TMP/big" "$to:synced"
equal "rsync" "$digest" "$(by_ssh "$to" 'sha256sum <synced')"
by_ssh "$to" 'git init -q --bare repo'
git -C "$MERLON_TMP" init -q work
git -C "$MERLON_TMP/work" -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
GIT_SSH_COMMAND=$rsh in_ns alice git -C "$MERLON_TMP/work" push -q "$to:repo" HEAD:refs/heads/main
equal "git pushes" first "$(by_ssh "$to" 'git -C repo log -1 --format=%s main')"

# -- forwards
# What is no version makes the sshd at the other end hang up, after its own version.
said=$(echo none | in_ns alice timeout 60 ssh "${with_cert[@]}" -p "$port" -W 127.0.0.1:22 "$to" 2>/dev/null || true)
grep -q SSH-2.0 <<<"$said"
ok "a forward (-W)"
# Not in_ns: the process id must be the client's own.
ip netns exec "$MERLON_RUN-alice" ssh "${with_cert[@]}" -p "$port" -N -L 2200:127.0.0.1:22 -D 1080 \
  -o ExitOnForwardFailure=yes "$to" &
forwards=$!
listens() { [[ $(in_ns alice ss -Hltn "sport = :$1" | wc -l) -gt 0 ]]; }
wait_for 20 "the client listens" listens 1080
equal "a forward (-L)" "$(cut -d ' ' -f 1,2 "$MERLON_TMP/sshd/host_key.pub")" \
  "$(in_ns alice ssh-keyscan -T 30 -t ed25519 -p 2200 127.0.0.1 2>/dev/null | cut -d ' ' -f 2,3)"
said=$(in_ns alice curl -s --max-time 30 --socks5-hostname 127.0.0.1:1080 telnet://127.0.0.1:22 <<<none || true)
grep -q SSH-2.0 <<<"$said"
ok "a forward (-D)"
kill "$forwards"
status=0
by_ssh -R 0:127.0.0.1:22 -o ExitOnForwardFailure=yes "$to" true 2>/dev/null || status=$?
equal "remote forwarding is refused" 255 "$status"

# -- a registered key, with other clients
ssh-keygen -q -t rsa -b 3072 -m PEM -N '' -f "$MERLON_TMP/rsa"
status=0
in_ns alice ssh "${options[@]}" -i "$MERLON_TMP/rsa" -p "$port" "$to" hostname 2>/dev/null || status=$?
equal "a key that nobody has registered lets nobody in" 255 "$status"
merlon ssh key add test --file "$MERLON_TMP/rsa.pub" >/dev/null
equal "ssh by a registered key" web-1 "$(in_ns alice ssh "${options[@]}" -i "$MERLON_TMP/rsa" -p "$port" "$to" hostname)"
dropbearconvert openssh dropbear "$MERLON_TMP/rsa" "$MERLON_TMP/rsa.dropbear" 2>/dev/null
equal "dropbear" web-1 "$(in_ns alice dbclient -y -y -i "$MERLON_TMP/rsa.dropbear" -p "$port" -l admin+web-1 \
  "$bastion" hostname 2>/dev/null)"
puttygen "$MERLON_TMP/rsa" -O private -o "$MERLON_TMP/rsa.ppk"
print=$(ssh-keygen -lf <(sed 's/^\* //' "$MERLON_TMP/bastion_hosts") | awk '{print $2}')
equal "plink" web-1 "$(in_ns alice plink -batch -hostkey "$print" -i "$MERLON_TMP/rsa.ppk" -P "$port" -l admin+web-1 \
  "$bastion" hostname)"
in_ns alice pscp -batch -hostkey "$print" -i "$MERLON_TMP/rsa.ppk" -P "$port" -l admin+web-1 "$MERLON_TMP/big" \
  "$bastion:pscp" >/dev/null
equal "pscp" "$digest" "$(by_ssh "$to" 'sha256sum <pscp')"
cat >"$MERLON_TMP/client.py" <<'TEXT'
import sys, paramiko
host, port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(host, port, "admin+web-1", key_filename=key, allow_agent=False, look_for_keys=False, timeout=20)
print(client.exec_command("hostname")[1].read().decode().strip())
sftp = client.open_sftp()
with sftp.file("by-paramiko", "w") as file: file.write("text")
print(sftp.file("by-paramiko").read().decode())
TEXT
equal "paramiko" $'web-1\ntext' "$(in_ns alice /usr/bin/python3 "$MERLON_TMP/client.py" "$bastion" "$port" "$MERLON_TMP/rsa")"
printf 'web ansible_host=%s ansible_port=%s ansible_user=admin+web-1 ansible_ssh_private_key_file=%s\n' "$bastion" \
  "$port" "$MERLON_TMP/rsa" >"$MERLON_TMP/inventory"
ANSIBLE_SSH_ARGS="${options[*]}" in_ns alice ansible -i "$MERLON_TMP/inventory" web -m command -a hostname \
  </dev/null >"$MERLON_TMP/ansible.log" 2>&1 || fail "ansible: $(tail -n 5 "$MERLON_TMP/ansible.log")"
grep -q web-1 "$MERLON_TMP/ansible.log"
ok "ansible"
equal "sessions say how their people signed in" '["certificate","key"]' "$(merlon bastion session list -n bst \
  --output json | jq -c '[.value[].properties.signedInBy] | unique')"
equal "so does the ledger" '["certificate","key"]' "$(merlon ledger export | jq -sc '[.[].entry
  | select(.action == "Merlon.Bastion/sessions/start/action" and .decision == "allowed") | .details.signedInBy] | unique')"
merlon ssh key remove test >/dev/null
status=0
in_ns alice ssh "${options[@]}" -i "$MERLON_TMP/rsa" -p "$port" "$to" hostname 2>/dev/null || status=$?
equal "a key that was removed lets nobody in" 255 "$status"

# -- the command
equal "merlon ssh" web-1 "$(merlon ssh web-1 --login admin -- hostname)"

# -- what is offered
in_ns alice ssh-audit -n -j -p "$port" "$bastion" >"$MERLON_TMP/audit.json" || true
equal "ssh-audit fails no algorithm" 0 "$(jq '[.. | objects | .fail? // empty | .[]?] | length' "$MERLON_TMP/audit.json")"
jq -e '.kex | map(.algorithm) | index("kex-strict-s-v00@openssh.com")' "$MERLON_TMP/audit.json" >/dev/null ||
  fail "strict key exchange is not offered"
ok "strict key exchange is offered"
if [[ -n ${MERLON_CORPUS:-} && -f $MERLON_CORPUS/ssh-audit/ssh-audit-policies.json ]]; then
  policy=$(jq '."Hardened Debian 12 (version 3)"' "$MERLON_CORPUS/ssh-audit/ssh-audit-policies.json")
  others=$(jq -c --argjson policy "$policy" '
    [(.kex[].algorithm | select(startswith("ext-info") | not)) as $a | select($policy.kex | index($a) | not) | $a],
    [.enc[] | (.algorithm? // .) as $a | select($policy.ciphers | index($a) | not) | $a],
    [.mac[] | (.algorithm? // .) as $a | select($policy.macs | index($a) | not) | $a],
    [.key[].algorithm as $a | select(($policy.host_keys + $policy.optional_host_keys) | index($a) | not) | $a]' \
    "$MERLON_TMP/audit.json" | jq -s -c add)
  equal "every algorithm is one of the hardened policy's" '[]' "$others"
fi

# -- nothing stays
none_left() { ! pgrep -P "$server_pid" -f bastion-session >/dev/null; }
# Not in_ns: the process id must be the client's own.
ip netns exec "$MERLON_RUN-alice" ssh "${with_cert[@]}" -p "$port" "$to" "sleep 30" &
one_runs() { pgrep -P "$server_pid" -f bastion-session >/dev/null; }
# The small program that the server carries, with what it was given and nothing else.
is_small() {
  local pid open
  pid=$(pgrep -P "$server_pid" -f bastion-session | head -n 1) || return 1
  [[ $(readlink "/proc/$pid/exe") == /memfd:merlon-session* ]] && ! grep -q libpq "/proc/$pid/maps" || return 1
  for open in "/proc/$pid/fd"/*; do
    [[ $(readlink "$open") != /memfd:* ]] || return 1
  done
}
wait_for 15 "a connection has its process" one_runs
wait_for 15 "it is the small program, with its two descriptors" is_small
kill $!
wait_for 15 "no process of a connection is left" none_left
ok "no process of a connection is left"
