#!/usr/bin/env bash
# The bastion's pages, in Chromium: somebody signs in, works in a terminal, sends and fetches a file; an administrator
# ends the session; it is found and replayed. Who has no right sees nothing, other sites are refused, and the pages keep
# to their policy. Then somebody with a shareable link and nothing else.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

make_network
start_server

# -- a machine that trusts Merlon's authority, behind a bastion that records
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
TEXT
start_sshd 22
enrol
read_machine
echo "admin@$(jq -er .properties.machineId <<<"$machine")" >"$MERLON_TMP/sshd/principals"
version=2024-05-01
api GET "$group/providers/Microsoft.Network/networkInterfaces"
network=$(field '[.value[].properties.ipConfigurations[].properties.subnet.id][0] | sub("/subnets/.*"; "")')
api GET "$network"
api PUT "$network" "$(jq -c '.properties.addressSpace.addressPrefixes += ["10.99.0.0/24"]
  | .properties.subnets += [{name: "AzureBastionSubnet", properties: {addressPrefix: "10.99.0.0/26"}}]' <<<"$answer")"
[[ $status =~ ^20 ]] || fail "the bastion's subnet: $status $answer"
api PUT "$group/providers/Microsoft.Network/bastionHosts/bst" "$(jq -n --arg id "$network/subnets/AzureBastionSubnet" '
  {location: "local", sku: {name: "Premium"}, properties: {enableSessionRecording: true, enablePrivateOnlyBastion: true,
   ipConfigurations: [{name: "one", properties: {subnet: {id: $id}}}]}}')"
[[ $status =~ ^20 ]] || fail "the bastion: $status $answer"
host_path=$group/providers/Microsoft.Network/bastionHosts/bst
api PUT "$(nsg)/securityRules/bastion" "{\"properties\":{\"protocol\":\"Tcp\",
  \"sourceAddressPrefix\":\"${address4[server]}\",\"sourcePortRange\":\"*\",\"destinationAddressPrefix\":\"*\",
  \"destinationPortRange\":\"22\",\"access\":\"Allow\",\"direction\":\"Inbound\",\"priority\":100}}"
[[ $status =~ ^20 ]] || fail "the security rule: $status $answer"
api GET "$host_path"
bastion=https://$(field .properties.dnsName)
[[ $bastion == *:* && $bastion =~ :[0-9]+$ ]] || bastion+=:8443
merlon ssh host-keys web-1 --file "$MERLON_TMP/sshd/host_key.pub" >/dev/null
wait_for 15 "the rule has reached the machine" in_step

# -- somebody who may, and somebody who may not
merlon user create --username ada --output json >"$MERLON_TMP/ada.json"
ada=$(jq -er .userPrincipalName "$MERLON_TMP/ada.json")
for role in Owner "Virtual Machine Administrator Login"; do
  merlon role assign --role "$role" --assignee "$ada" --scope "$group" >/dev/null
done
merlon user create --username bob --output json >"$MERLON_TMP/bob.json"

head -c 3000000 /dev/urandom >"$MERLON_TMP/sent.bin"
# The machine's own home of "admin", which sshd alone has mounted.
home=''
for pid in $(ip netns pids "$MERLON_RUN-web"); do
  if [[ -d /proc/$pid/root/run/admin/.ssh ]]; then home=/proc/$pid/root/run/admin; fi
done
[[ -n $home ]] || fail "sshd has no home of admin"
mkfifo "$MERLON_TMP/said"
in_ns server node "$MERLON_ROOT/tests/e2e/terminal_in_chromium.mjs" "$bastion" "$state/ca.pem" "$MERLON_TMP" \
  "$ada" "$(jq -er .password "$MERLON_TMP/ada.json")" \
  "$(jq -er .userPrincipalName "$MERLON_TMP/bob.json")" "$(jq -er .password "$MERLON_TMP/bob.json")" >"$MERLON_TMP/said" 2>"$MERLON_TMP/chromium.log" &
chromium=$!
while read -r line; do
  case $line in
    ok:*) echo "$line" ;;
    sent)
      equal "what was sent is there" "$(sha256sum <"$MERLON_TMP/sent.bin")" "$(sha256sum <"$home/sent.bin")"
      cp "$home/sent.bin" "$home/back.bin"
      : >"$home/"$'\e[2Jtrick'
      touch "$MERLON_TMP/sent.done"
      ;;
    to-be-killed)
      session=$(merlon bastion session list -n bst --output json |
        jq -er '.value[] | select(.properties.state == "Active") | .name')
      merlon bastion session kill "$session" -n bst >/dev/null
      touch "$MERLON_TMP/to-be-killed.done"
      ;;
  esac
done <"$MERLON_TMP/said"
wait "$chromium" || fail "the browser: $(<"$MERLON_TMP/chromium.log")"
api GET "$host_path/providers/Merlon.Bastion/sessions/$session"
equal "the session was one from a browser" browser "$(field .properties.transport)"

# -- whoever has a shareable link, and nothing else
api GET "$host_path"
api PUT "$host_path" "$(jq -c '.properties.enableShareableLink = true' <<<"$answer")"
[[ $status =~ ^20 ]] || fail "links are switched on: $status $answer"
create() { merlon bastion link create web-1 -b bst --login admin "$@" --output json | jq -er '.value[0].bsl'; }
refused=0
create >"$MERLON_TMP/refused" 2>&1 || refused=$?
equal "nobody gives a login that they do not have" 1 "$refused"
grep -q "You may not log in to 'web-1' as 'admin' yourself" "$MERLON_TMP/refused" || fail "$(<"$MERLON_TMP/refused")"
merlon role assign --role "Virtual Machine Administrator Login" --assignee "$MERLON_CLIENT_ID" --scope "$group" >/dev/null
answer_link() { # answer_link NAME TEXT
  echo "$2" >"$MERLON_TMP/$1.new"
  mv "$MERLON_TMP/$1.new" "$MERLON_TMP/$1.done"
}
mkfifo "$MERLON_TMP/asked"
in_ns server node "$MERLON_ROOT/tests/e2e/link_in_chromium.mjs" "$bastion" "$state/ca.pem" "$MERLON_TMP" \
  "$(jq -er .userPrincipalName "$MERLON_TMP/bob.json")" 'a Better 1 by far' >"$MERLON_TMP/asked" 2>"$MERLON_TMP/chromium.log" &
chromium=$!
while read -r line; do
  case $line in
    ok:*) echo "$line" ;;
    link) answer_link link "$(create --uses 3)" ;;
    link-deleted)
      merlon bastion link delete --machine web-1 -b bst >/dev/null
      answer_link link-deleted ""
      ;;
    link-once) answer_link link-once "$(create --uses 1)" ;;
    link-sign-in) answer_link link-sign-in "$(create --sign-in)" ;;
    link-held)
      equal "the session has the holder's name" "$(jq -er .userPrincipalName "$MERLON_TMP/bob.json") link" \
        "$(merlon bastion session list -n bst --output json |
          jq -er '.value[] | select(.properties.state == "Active" and .properties.linkHolder) | .properties | .linkHolder + " " + .transport')"
      answer_link link-held ""
      ;;
  esac
done <"$MERLON_TMP/asked"
wait "$chromium" || fail "the browser with a link: $(<"$MERLON_TMP/chromium.log")"
