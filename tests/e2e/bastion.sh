# What tests of recorded plain SSH share, beside lib.sh: web-1, whose sshd takes Merlon's certificates and lets the
# bastion come; a bastion "front" in its network; people with certificates of their own. Sourced after lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154
ssh_port=2022
server_more=()
bastion=${address4[server]}

# machine_behind_bastion: network, server, sshd on 22, web-1 enrolled; `sshd_more` is what its sshd has
# beside that, `sshd_ports` where it listens, `server_more` what the server is told beside that.
machine_behind_bastion() {
  make_network
  start_server --bastion-ssh "$bastion:$ssh_port" "${server_more[@]}"
  merlon ssh known-hosts --pattern "*" >"$MERLON_TMP/bastion_hosts"
  api GET /providers/Merlon.Bastion/sshAuthorities
  mkdir -p "$MERLON_TMP/sshd"
  chmod 755 "$MERLON_TMP" "$MERLON_TMP/sshd"
  field '.value[] | select(.name == "machines") | .properties.publicKey' >"$MERLON_TMP/sshd/authority"
  : >"$MERLON_TMP/sshd/principals"
  chmod 644 "$MERLON_TMP/sshd/authority" "$MERLON_TMP/sshd/principals"
  printf '%s\n' "TrustedUserCAKeys $MERLON_TMP/sshd/authority" "AuthorizedPrincipalsFile $MERLON_TMP/sshd/principals" \
    'StrictModes no' 'Subsystem sftp internal-sftp' "${sshd_more:-MaxStartups 100}" >"$MERLON_TMP/sshd/sshd_config.more"
  # shellcheck disable=SC2086
  start_sshd ${sshd_ports:-22}
  enrol
  read_machine
  echo "admin@$(jq -er .properties.machineId <<<"$machine")" >"$MERLON_TMP/sshd/principals"
  merlon ssh host-keys web-1 --file "$MERLON_TMP/sshd/host_key.pub" >/dev/null
  version=2025-05-01
  provider=$group/providers/Microsoft.Network
  api PUT "$(nsg)/securityRules/bastion" "{\"properties\":{\"protocol\":\"Tcp\",\"sourceAddressPrefix\":\"$bastion\",
    \"sourcePortRange\":\"*\",\"destinationAddressPrefix\":\"*\",\"destinationPortRange\":\"22\",\"access\":\"Allow\",
    \"direction\":\"Inbound\",\"priority\":100}}"
  [[ $status =~ ^20 ]] || fail "the security rule: $status $answer"
  wait_for 15 "the rule has reached the machine" in_step
}

# make_front SKU FEATURE...: the bastion, $front, with its name in $front_name; $subnet is the machine's
make_front() {
  api GET "$provider/networkInterfaces/web-1-nic"
  subnet=$(field '[.properties.ipConfigurations[].properties.subnet.id][0]')
  network=${subnet%/subnets/*}
  api GET "$network"
  local widened
  widened=$(jq -c '.properties.addressSpace.addressPrefixes += ["10.99.0.0/24"]
    | .properties.subnets += [{name: "AzureBastionSubnet", properties: {addressPrefix: "10.99.0.0/26"}}]' <<<"$answer")
  api PUT "$network" "$widened"
  [[ $status =~ ^20 ]] || fail "a subnet for the bastion: $status $answer"
  api PUT "$provider/publicIPAddresses/front-ip" '{"location":"local","sku":{"name":"Standard"},
    "properties":{"publicIPAllocationMethod":"Static"}}'
  is_status "a public address for the bastion" 201
  set_front "$@"
  front=$provider/bastionHosts/front
  front_name=$(jq -er .properties.dnsName "$MERLON_TMP/front.json")
  front_name=${front_name%:*}
  printf '%s %s\n' "$bastion" "$front_name" | tee -a "/etc/netns/$MERLON_RUN-alice/hosts" \
    >>"/etc/netns/$MERLON_RUN-server/hosts"
}
set_front() { # set_front SKU FEATURE...: the same bastion, another SKU
  merlon bastion create -n front -g rg --network "$network" --public-ip front-ip --sku "$1" --enable "${@:2}" \
    --output json >"$MERLON_TMP/front.json"
}

# new_person NAME: a program that stands for a person, with a sign-in of its own; its object id in $person_id
new_person() {
  merlon app create --name "$1" --secret --output json >"$MERLON_TMP/$1.json"
  person_id=$(jq -er .objectId "$MERLON_TMP/$1.json")
}
as() { # as NAME COMMAND...: the command line as this person
  local person=$1
  shift
  in_ns "$from" env MERLON_CLIENT_ID="$(jq -er .clientId "$MERLON_TMP/$person.json")" \
    MERLON_CLIENT_SECRET="$(jq -er .clientSecret "$MERLON_TMP/$person.json")" MERLON_CONFIG_DIR="$MERLON_TMP/$person" \
    "$MERLON" "$@"
}
may() { merlon role assign --assignee "$1" --role "$2" --scope "$3" >/dev/null; } # may OBJECT-ID ROLE SCOPE

ssh_options=(-F none -o BatchMode=yes -o ConnectTimeout=20 -o UserKnownHostsFile="$MERLON_TMP/bastion_hosts"
  -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o LogLevel=ERROR)
ssh_as() { # ssh_as NAME OPTIONS… DESTINATION COMMAND: from alice, by the certificate of this person
  in_ns alice ssh "${ssh_options[@]}" -i "$MERLON_TMP/$1/ssh/id_merlon" -p "$ssh_port" "${@:2}"
}
