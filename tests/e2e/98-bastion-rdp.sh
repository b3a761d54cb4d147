#!/usr/bin/env bash
# Remote Desktop through the bastion between namespaces: xfreerdp goes to a real xrdp by `merlon bastion rdp`, to a port
# that is open for the bastion alone and only meanwhile; where sessions are recorded it is refused.
# time limit: 300 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
whole_set_up
put_policy 3389 PT1H
version=2025-05-01
network_provider=$group/providers/Microsoft.Network
host_path=$network_provider/bastionHosts/front

# -- a Remote Desktop server, run by hand: its login needs no session manager to be shown
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$MERLON_TMP/rdp-key.pem" -out "$MERLON_TMP/rdp-cert.pem" -days 2 \
  -subj /CN=web-1 2>"$MERLON_TMP/openssl.log"
cat >"$MERLON_TMP/xrdp.ini" <<END
[Globals]
ini_version=1
fork=false
port=3389
security_layer=tls
certificate=$MERLON_TMP/rdp-cert.pem
key_file=$MERLON_TMP/rdp-key.pem
allow_channels=true
max_bpp=16
ls_width=350
ls_height=430
ls_btn_ok_width=85
ls_btn_ok_height=30
[Logging]
LogFile=$MERLON_TMP/xrdp.log
LogLevel=INFO
EnableSyslog=false
[Channels]
rdpdr=true
rdpsnd=true
drdynvc=true
cliprdr=true
[Xvnc]
name=Xvnc
lib=libvnc.so
username=ask
password=ask
ip=127.0.0.1
port=-1
END
on_web xrdp --nodaemon --config "$MERLON_TMP/xrdp.ini" >"$MERLON_TMP/xrdp.out" 2>&1 &
wait_for 10 "xrdp listens" listens web 3389

# -- a bastion in the machine's network
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
bastion=$(merlon bastion create -n front -g rg --network "$network" --public-ip front-ip --enable Tunneling \
  --output json | jq -er .properties.dnsName)
bastion=${bastion%:*}
printf '%s %s\n' "${address4[server]}" "$bastion" | tee -a "/etc/netns/$MERLON_RUN-alice/hosts" \
  >>"/etc/netns/$MERLON_RUN-server/hosts"

# -- alice's screen
in_ns alice Xvfb -displayfd 3 -screen 0 800x600x16 3>"$MERLON_TMP/display" >"$MERLON_TMP/xvfb.log" 2>&1 &
has_display() { [[ -s $MERLON_TMP/display ]]; }
wait_for 10 "alice has a screen" has_display
remote_desktop() { # remote_desktop OPTION...
  in_ns alice env HOME="$MERLON_TMP" DISPLAY=":$(<"$MERLON_TMP/display")" "$MERLON" bastion rdp web-1 --user ada -- \
    /cert:ignore /p:nonsense /log-level:ERROR "$@"
}
running() { merlon bastion session list -n front --output json |
  jq -e --argjson wanted "$1" '[.value[] | select(.properties.state == "Active")] | length == $wanted' >/dev/null; }
goes_direct() {
  # shellcheck disable=SC2016
  in_ns alice timeout 0.5 bash -c 'exec 3<>"/dev/tcp/$0/3389"' "${address4[web]}" 2>/dev/null
}
nothing_open() { [[ $(merlon jit list --output json | jq -c '[.value[].properties.sources[]]') == '[]' ]]; }

not goes_direct || fail "alice reaches the port directly, and the rest would prove nothing"
remote_desktop +auth-only >"$MERLON_TMP/auth.log" 2>&1 || true
grep -q 'Authentication only, exit status 0' "$MERLON_TMP/auth.log" || fail "xfreerdp does not get through: $(<"$MERLON_TMP/auth.log")"
grep -q 'TLS connection established' "$MERLON_TMP/xrdp.log" || fail "xrdp has seen no TLS"
ok "xfreerdp and xrdp negotiate, over TLS, to the login"
wait_for 20 "and end" running 0

remote_desktop >"$MERLON_TMP/desktop.log" 2>&1 &
desktop=$!
wait_for 20 "a desktop is up" running 1
shown() { [[ $(grep -c 'connecting to sesman' "$MERLON_TMP/xrdp.log") -ge 2 ]]; }
wait_for 20 "xrdp has the login" shown
api GET "$host_path/providers/Merlon.Bastion/sessions"
session=$(jq -er '.value[] | select(.properties.state == "Active") | .name' <<<"$answer")
equal "it is a session of Remote Desktop" RDP "$(jq -r '.value[] | select(.properties.state == "Active") | .properties.protocol' <<<"$answer")"
equal "the port is open for the bastion alone" "[\"${address4[server]}\"]" \
  "$(merlon jit list --output json | jq -c '[.value[].properties.sources[]]')"
not goes_direct || fail "alice reaches the port directly while her session runs"
merlon bastion session kill "$session" -n front >/dev/null
wait_for 20 "a killed session's client ends" ended "$desktop"
wait_for 10 "and its opening is closed" nothing_open

# -- by a gateway: the .rdp file that az asks for leads any client through it, without a tunnel of its own
rdp_file() { in_ns alice curl -sS --cacert "$state/ca.pem" \
  --connect-to "$bastion:8443:${address4[server]}:8443" -H "Authorization: Bearer $token" -o "$MERLON_TMP/$1.rdp" \
  -w '%{http_code}' "https://$bastion:8443/api/rdpfile?resourceId=$(vm)&format=rdp&rdpport=3389&enablerdsaad=false"; }
by_gateway() { # by_gateway FILE OPTION...
  in_ns alice env HOME="$MERLON_TMP" DISPLAY=":$(<"$MERLON_TMP/display")" xfreerdp "$MERLON_TMP/$1.rdp" \
    /cert:ignore /u:ada /p:nonsense /log-level:INFO "${@:2}"
}
equal "an .rdp file for the gateway" 200 "$(rdp_file gateway)"
before=$(grep -c 'TLS connection established' "$MERLON_TMP/xrdp.log")
by_gateway gateway +auth-only >"$MERLON_TMP/gateway.log" 2>&1 || true
grep -q 'Authentication only, exit status 0' "$MERLON_TMP/gateway.log" ||
  fail "xfreerdp does not get through the gateway: $(<"$MERLON_TMP/gateway.log")"
[[ $(grep -c 'TLS connection established' "$MERLON_TMP/xrdp.log") -gt $before ]] || fail "xrdp has seen nothing of it"
ok "xfreerdp and xrdp negotiate through the gateway"
wait_for 20 "and end" running 0
by_gateway gateway >"$MERLON_TMP/desktop.log" 2>&1 &
desktop=$!
wait_for 20 "a desktop is up through the gateway" running 1
session=$(merlon bastion session list -n front --output json | jq -er '.value[] | select(.properties.state == "Active") | .name')
merlon bastion session kill "$session" -n front >/dev/null
wait_for 20 "a killed session's client ends" ended "$desktop"
wait_for 10 "and its opening is closed" nothing_open
merlon bastion rdp web-1 --file "$MERLON_TMP/own.rdp" >/dev/null
equal "the command writes the same file, for another token" "$(grep -v accesstoken "$MERLON_TMP/gateway.rdp")" \
  "$(grep -v accesstoken "$MERLON_TMP/own.rdp")"
sed 's/web-1:3389/web-2:3389/' "$MERLON_TMP/gateway.rdp" >"$MERLON_TMP/other.rdp"
status=0
by_gateway other +auth-only >"$MERLON_TMP/other.log" 2>&1 || status=$?
grep -q 'E_PROXY_RAP_ACCESSDENIED' "$MERLON_TMP/other.log" || fail "the file leads elsewhere too: $(<"$MERLON_TMP/other.log")"
ok "the file is for its machine alone"

# -- what cannot be recorded is refused where sessions are
api GET "$host_path"
api PUT "$host_path" "$(jq -c '.sku.name = "Premium" | .properties.enableSessionRecording = true' <<<"$answer")"
is_status "the bastion records" 200
status=0
remote_desktop +auth-only >"$MERLON_TMP/refused.log" 2>&1 || status=$?
not grep -q 'exit status 0' "$MERLON_TMP/refused.log" || fail "an opaque tunnel is let through where sessions are recorded"
grep -q 'records every session' "$MERLON_TMP/refused.log" || fail "the person is not told why: $(<"$MERLON_TMP/refused.log")"
ok "refused where sessions are recorded, and told why"
