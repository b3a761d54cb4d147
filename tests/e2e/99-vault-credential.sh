#!/usr/bin/env bash
# A machine that takes a password at one port and a key at another, and no certificate at either: the bastion signs in
# there with what an administrator has set from a vault, and the person never has it. Who may not read the secret sets
# nothing; what is wrong, disabled or deleted lets nobody in; and the password is in no recording, ledger, log or output.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/bastion.sh"

# -- what is planted, and searched for at the end
mkdir -p "$MERLON_TMP/planted" "$MERLON_TMP/sshd"
right="planted-$(head -c 12 /dev/urandom | base64 | tr -dc a-zA-Z0-9)-right"
wrong="planted-$(head -c 12 /dev/urandom | base64 | tr -dc a-zA-Z0-9)-wrong"
phrase="planted-$(head -c 12 /dev/urandom | base64 | tr -dc a-zA-Z0-9)-phrase"
openssl passwd -6 -stdin <<<"$right" >"$MERLON_TMP/sshd/password_hash"

sshd_ports='22 2222'
sshd_more='Match LocalPort 22
  PasswordAuthentication yes
  PubkeyAuthentication no
Match LocalPort 2222
  PubkeyAuthentication yes
  TrustedUserCAKeys none
Match all
  PermitRootLogin no'
machine_behind_bastion
api PUT "$(nsg)/securityRules/bastion-2222" "{\"properties\":{\"protocol\":\"Tcp\",\"sourceAddressPrefix\":\"$bastion\",
  \"sourcePortRange\":\"*\",\"destinationAddressPrefix\":\"*\",\"destinationPortRange\":\"2222\",\"access\":\"Allow\",
  \"direction\":\"Inbound\",\"priority\":110}}"
[[ $status =~ ^20 ]] || fail "the security rule: $status $answer"
make_front Premium Tunneling SessionRecording ShareableLink
wait_for 15 "the rules have reached the machine" in_step

for name in ada bob carl; do
  new_person "$name"
  declare "${name}_id=$person_id"
done
may "$ada_id" Contributor "$group" # and no right to any secret
may "$ada_id" 'Virtual Machine Administrator Login' "$(vm)"
may "$carl_id" Reader "$group"
may "$carl_id" 'Virtual Machine User Login' "$(vm)"
for name in ada carl; do
  as "$name" ssh cert --for 1h --scope "$(vm)" >"$MERLON_TMP/$name.cert" || fail "no certificate for $name"
done
to="admin+web-1@$bastion"
to_key_port="admin+web-1:2222@$bastion"
refused() { # refused WHAT WORDS COMMAND...: it fails, and says so
  local what=$1 words=$2 status=0
  shift 2
  "$@" >"$MERLON_TMP/refused.out" 2>&1 </dev/null || status=$?
  ((status != 0)) || fail "$what: it was let in"
  grep -q -- "$words" "$MERLON_TMP/refused.out" || fail "$what: it says $(<"$MERLON_TMP/refused.out")"
  ok "$what"
}

# -- a vault that the person has no right in
merlon vault create -n kv-web -g rg >/dev/null
kv=$group/providers/Microsoft.KeyVault/vaults/kv-web
may "$(first clientId)" 'Key Vault Secrets Officer' "$kv"
keep() { printf '%s\n' "$2" | merlon secret set --vault kv-web -n "$1" --file - >/dev/null; } # keep NAME VALUE
keep web-1-admin "$right"
refused "by certificate this machine lets nobody in" "in by Merlon's certificate" ssh_as ada "$to" hostname
refused "who may not read a secret sets nothing" "not authorized to perform action" \
  as ada bastion credential set admin --machine web-1 -g rg --login admin --password-from kv-web/web-1-admin
refused "a password is for one machine" "set for one machine" \
  merlon bastion credential set admin -g rg --login admin --password-from kv-web/web-1-admin

# -- a password
merlon bastion credential set admin --machine web-1 --login admin --password-from kv-web/web-1-admin >"$MERLON_TMP/set.out"
grep -q 'SHA256:' "$MERLON_TMP/set.out" || fail "it does not say which machine it is sent to: $(<"$MERLON_TMP/set.out")"
equal "ssh, signed in by a password" web-1 "$(ssh_as ada "$to" hostname)"
status=0
ssh_as ada "$to" 'exit 7' || status=$?
equal "the exit status comes back" 7 "$status"
equal "a terminal" terminal "$(ssh_as ada -tt "$to" 'tty -s && echo terminal' </dev/null | tr -d '\r')"
cat >"$MERLON_TMP/config_j" <<TEXT
Host *
  BatchMode yes
  UserKnownHostsFile $MERLON_TMP/bastion_hosts
  StrictHostKeyChecking yes
  IdentitiesOnly yes
  IdentityFile $MERLON_TMP/ada/ssh/id_merlon
TEXT
equal "ssh -J" web-1 "$(in_ns alice ssh -F "$MERLON_TMP/config_j" -J "ada@$bastion:$ssh_port" admin@web-1 hostname)"
head -c 3000000 /dev/urandom >"$MERLON_TMP/big"
digest=$(sha256sum <"$MERLON_TMP/big")
in_ns alice scp "${ssh_options[@]}" -i "$MERLON_TMP/ada/ssh/id_merlon" -P "$ssh_port" "$MERLON_TMP/big" "$to:big"
equal "scp" "$digest" "$(ssh_as ada "$to" 'sha256sum <big')"
said=$(echo ls | in_ns alice sftp "${ssh_options[@]}" -i "$MERLON_TMP/ada/ssh/id_merlon" -P "$ssh_port" -b - "$to")
grep -q big <<<"$said"
ok "sftp"
equal "merlon ssh" web-1 "$(as ada ssh web-1 -g rg --login admin -- hostname 2>/dev/null)"

# -- native tunnels: the bastion records, so that it ends SSH inside them, and signs in as for plain ssh
equal "merlon bastion ssh" web-1 "$(as ada bastion ssh web-1 -g rg --user admin -- hostname 2>>"$MERLON_TMP/tunnel.log")"
ada_token=$(new_token "$(jq -er .clientId "$MERLON_TMP/ada.json")" "$(jq -er .clientSecret "$MERLON_TMP/ada.json")")
tunnelled() { # tunnelled DESTINATION COMMAND...: a tunnel's client of another make, and ssh without a key
  in_ns alice ssh "${ssh_options[@]}" -o PubkeyAuthentication=no \
    -o "ProxyCommand=python3 $MERLON_ROOT/tests/e2e/tunnel_client.py --address $bastion --host $front_name --ca $state/ca.pem \
      --token $ada_token --resource $(vm) proxy" "$@"
}
status=0
equal "a native tunnel" in-the-tunnel-web-1 "$(tunnelled admin@web-1 "echo in-the-tunnel-\$(hostname)")"
tunnelled admin@web-1 'exit 7' || status=$?
equal "its exit status" 7 "$status"
tunnel_ended() {
  merlon bastion session list -n front --output json >"$MERLON_TMP/sessions.json"
  jq -e '[.value[].properties | select(.transport == "tunnel")] | length == 3 and all(.[]; .endReason)' "$MERLON_TMP/sessions.json" >/dev/null
}
wait_for 15 "the tunnels' sessions are ended" tunnel_ended
equal "on the record with their login" true "$(jq '[.value[].properties
  | select(.transport == "tunnel")] | all(.[]; .login == "admin" and .recording == "require" and .signedInBy == "token")' "$MERLON_TMP/sessions.json")"
equal "what is typed in one is found" 1 "$(merlon recording search in-the-tunnel-web-1 --output json | jq '.value | length')"
as carl bastion ssh web-1 -g rg --user admin -- hostname >"$MERLON_TMP/refused.out" 2>&1 </dev/null &&
  fail "by a tunnel carl comes in as another"
grep -q "An application has no login of its own" "$MERLON_TMP/refused.out" || fail "a tunnel says $(<"$MERLON_TMP/refused.out")"
ok "a tunnel gives nobody another's login"

# -- a shareable link, in the page's terminal
may "$(first clientId)" 'Virtual Machine Administrator Login' "$(vm)"
link=$(merlon bastion link create web-1 -b front --login admin --for 1h --output json | jq -er '.value[0].bsl')
PYTHONDONTWRITEBYTECODE=1 in_ns alice "$MERLON_ROOT/tests/e2e/link_terminal.py" "$state/ca.pem" "$bastion" "$link" "$(vm)" admin \
  "echo at-\$(hostname); exit" >"$MERLON_TMP/link.out" || fail "the link's terminal: $(<"$MERLON_TMP/link.out")"
grep -q at-web-1 "$MERLON_TMP/link.out" || fail "the link's terminal: $(<"$MERLON_TMP/link.out")"
ok "a shareable link opens a terminal"

# -- whose login it is
refused "who may log in as a user alone does not come in as another" "An application has no login of its own" \
  ssh_as carl "$to" hostname

# -- the secret changes, and goes
keep web-1-admin "$wrong"
refused "a wrong password lets nobody in, and is not tried by certificate instead" "in by the password that is set" \
  ssh_as ada "$to" hostname
keep web-1-admin "$right"
equal "its newest version is used" web-1 "$(ssh_as ada "$to" hostname)"
merlon secret delete --vault kv-web -n web-1-admin >/dev/null
refused "a secret that is deleted lets nobody in" "no such secret any more" ssh_as ada "$to" hostname
merlon secret recover --vault kv-web -n web-1-admin >/dev/null
equal "one that is recovered does" web-1 "$(ssh_as ada "$to" hostname)"

# -- another machine in its place is told nothing
ssh-keygen -q -t ed25519 -N '' -f "$MERLON_TMP/other_host"
merlon ssh host-keys web-1 --file "$MERLON_TMP/other_host.pub" >/dev/null
refused "whoever changes a machine's host key does not get its password" "host keys have changed" ssh_as ada "$to" hostname
merlon bastion credential show admin --machine web-1 --output json >"$MERLON_TMP/show.json"
equal "and it is shown" HostKeyChanged "$(jq -r .properties.state "$MERLON_TMP/show.json")"
merlon ssh host-keys web-1 --file "$MERLON_TMP/sshd/host_key.pub" >/dev/null
equal "as it was, it is used" web-1 "$(ssh_as ada "$to" hostname)"

# -- the right of whoever has set it
may "$bob_id" Contributor "$group"
may "$bob_id" 'Key Vault Secrets User' "$kv/secrets/web-1-admin"
as bob bastion credential set admin --machine web-1 -g rg --login admin --password-from kv-web/web-1-admin >/dev/null
equal "set by somebody else" web-1 "$(ssh_as ada "$to" hostname)"
merlon app disable bob >/dev/null
refused "who is locked out lends nothing any more" "whoever has set it is disabled" ssh_as ada "$to" hostname
merlon bastion credential delete admin --machine web-1 >/dev/null

# -- a key under a passphrase, for a whole group
cp "$MERLON_TMP/id" "$MERLON_TMP/planted/key"
ssh-keygen -q -p -P '' -N "$phrase" -f "$MERLON_TMP/planted/key"
merlon secret set --vault kv-web -n ops-key --file "$MERLON_TMP/planted/key" >/dev/null
keep ops-phrase "$phrase"
merlon bastion credential set ops -g rg --login admin --key-from kv-web/ops-key --passphrase-from kv-web/ops-phrase >/dev/null
equal "ssh, signed in by a key" web-1 "$(ssh_as ada "$to_key_port" hostname)"
refused "the machine's other port takes no keys" "it takes no keys" ssh_as ada "$to" hostname
merlon bastion credential list --machine web-1 >"$MERLON_TMP/list.out"
grep -q ops-key "$MERLON_TMP/list.out" || fail "the list does not show what counts: $(<"$MERLON_TMP/list.out")"

# -- the ledger says what was used, for whom; and nothing says what it is
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
uses=$(jq -s --arg ada "$ada_id" '[.[].entry? | select(. != null and .action == "Microsoft.KeyVault/vaults/secrets/getSecret/action"
  and .details.forId == $ada and .details.session)]' "$MERLON_TMP/ledger.jsonl")
equal "each use is in the ledger, with its session and version" true \
  "$(jq '[.[] | select(.decision == "allowed")] | length > 10 and all(.[]; (.details.version | length) == 32)' <<<"$uses")"
equal "refused ones too" true "$(jq 'any(.[]; .decision == "denied" or .decision == "failed")' <<<"$uses")"
merlon recording list --output json >"$MERLON_TMP/recordings.json"
mkdir "$MERLON_TMP/casts"
for id in $(jq -r '.value[].name' "$MERLON_TMP/recordings.json"); do
  merlon recording export "$id" >"$MERLON_TMP/casts/$id.cast"
done
grep -rq 'at-web-1' "$MERLON_TMP/casts" || fail "the recordings have nothing in them"
key_line=$(sed -n 3p "$MERLON_TMP/planted/key")
for secret in "$right" "$wrong" "$phrase" "$key_line"; do
  printf '%s\n' "$secret" >"$MERLON_TMP/control" # so that a search that finds nothing at all is noticed
  found=$(grep -rlasF --exclude-dir=planted -- "$secret" "$MERLON_TMP")
  equal "no secret is in a recording, the ledger, a log, an answer, or at rest" "$MERLON_TMP/control" "$found"
done
none_left() { ! pgrep -P "$server_pid" -f bastion-session >/dev/null; }
wait_for 15 "no process of a connection is left" none_left
ok "no process of a connection is left"
