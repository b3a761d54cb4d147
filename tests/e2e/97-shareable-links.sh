#!/usr/bin/env bash
# Shareable links with curl for the browser: made, listed, opened, refused and deleted; never in clear at rest, in the log
# or in the ledger; guesses are held up and entered.
# time limit: 200 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server
version=2025-05-01
api PUT "$group?api-version=2021-04-01" '{"location":"local"}'
network=$group/providers/Microsoft.Network
put() { # put PATH BODY
  api PUT "$@"
  [[ $status =~ ^20 ]] || fail "PUT $1: $status $answer"
}
put "$network/virtualNetworks/net" '{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.1.0.0/16"]},
  "subnets":[{"name":"a","properties":{"addressPrefix":"10.1.0.0/24"}},
    {"name":"AzureBastionSubnet","properties":{"addressPrefix":"10.1.255.0/26"}}]}}'
put "$network/networkSecurityGroups/web-1-nsg" '{"location":"local"}'
put "$network/networkInterfaces/web-1-nic" "{\"location\":\"local\",\"properties\":{
  \"networkSecurityGroup\":{\"id\":\"$network/networkSecurityGroups/web-1-nsg\"},
  \"ipConfigurations\":[{\"name\":\"one\",\"properties\":{\"subnet\":{\"id\":\"$network/virtualNetworks/net/subnets/a\"}}}]}}"
put "$(vm)" "{\"location\":\"local\",\"properties\":{\"networkProfile\":{\"networkInterfaces\":[
  {\"id\":\"$network/networkInterfaces/web-1-nic\"}]}}}"
put "$network/publicIPAddresses/front-ip" '{"location":"local","sku":{"name":"Standard"},
  "properties":{"publicIPAllocationMethod":"Static"}}'
merlon bastion create -n front -g rg --network net --public-ip front-ip --enable Tunneling --output json >/dev/null

create() { merlon bastion link create "$(vm)" "$@" --output json | jq -c '.value[0]'; }
open_link() { # open_link URL [CURL-OPTION...]: as a browser does; prints the status
  local url=$1 name
  name=$(sed -E 's#https://([^:/]+).*#\1#' <<<"$url")
  shift
  in_ns server curl -sS --cacert "$state/ca.pem" --connect-to "$name:8443:localhost:8443" -o "$MERLON_TMP/page" \
    -D "$MERLON_TMP/head" -w '%{http_code}' "$@" "$url"
}

# -- only where it is switched on
status=0
merlon bastion link create "$(vm)" >"$MERLON_TMP/off" 2>&1 || status=$?
equal "a bastion that has them switched off makes none" 1 "$status"
grep -q "switched off" "$MERLON_TMP/off" || fail "it does not say why: $(<"$MERLON_TMP/off")"
api GET "$network/bastionHosts/front"
put "$network/bastionHosts/front" "$(jq -c '.properties.enableShareableLink = true' <<<"$answer")"

# -- one link
link=$(create --for 2h --uses 3)
url=$(jq -er .bsl <<<"$link")
secret=${url##*/}
((${#secret} >= 43)) || fail "a link of ${#secret} characters"
equal "it is good for so many sessions" 3 "$(jq .maximumUses <<<"$link")"
equal "and so long" true "$(jq '(.expiresAt | sub("\\..*Z"; "Z") | fromdate) - now | . > 7000 and . <= 7200' <<<"$link")"
equal "the list shows it whole" "$url" "$(merlon bastion link list --output json | jq -r '.value[0].bsl')"
equal "a browser is sent on to the page" 303 "$(open_link "$url" -H 'Accept: text/html')"
grep -qi '^location: /.$' "$MERLON_TMP/head" || fail "it is sent elsewhere: $(<"$MERLON_TMP/head")"
grep -qi '^set-cookie: __Host-merlon-link=.*Secure.*HttpOnly\|^set-cookie: __Host-merlon-link=.*HttpOnly.*Secure' \
  "$MERLON_TMP/head" || fail "its cookie is open to others: $(<"$MERLON_TMP/head")"
equal "others are told what it is" web-1 "$(open_link "$url" >/dev/null && jq -r .machine "$MERLON_TMP/page")"
equal "opening it uses nothing up" 3 "$(jq .usesLeft "$MERLON_TMP/page")"
page=${url%/api/*}
cookie="Cookie: __Host-merlon-link=$secret"
equal "the page knows it by its cookie" 200 "$(open_link "$page/web/session" -H "$cookie")"
equal "and that it is for no login" "true web-1 " "$(jq -r '"\(.link) \(.machine) \(.login)"' "$MERLON_TMP/page")"
socket=(-H "$cookie" -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13'
  -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' --http1.1)
equal "such a link opens no terminal" 403 "$(open_link "$page/web/terminal" "${socket[@]}" -H "Origin: $page")"
grep -q LinkNamesNoLogin "$MERLON_TMP/page" || fail "it does not say why: $(<"$MERLON_TMP/page")"
equal "no other site uses it" 403 "$(open_link "$page/web/terminal" "${socket[@]}" -H 'Origin: https://evil.example')"
grep -q ForeignOrigin "$MERLON_TMP/page" || fail "it does not say why: $(<"$MERLON_TMP/page")"

# -- it is nowhere in clear
not grep -raqFe "$secret" "$state" || fail "the link is at rest in clear: $(grep -rlaFe "$secret" "$state")"
not grep -qFe "$secret" "$MERLON_TMP"/*.log || fail "the link is in the log"
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
not grep -qFe "$secret" "$MERLON_TMP/ledger.jsonl" || fail "the link is in the ledger"
grep -q 'Merlon.Bastion/shareableLinks/write' "$MERLON_TMP/ledger.jsonl" || fail "the ledger does not have the link"
ok "neither disk nor log nor ledger has it"

# -- its end
brief=$(create --for 1s | jq -er .bsl)
over() { [[ $(open_link "$brief") == 403 ]]; }
wait_for 5 "a link's time is over" over
grep -q LinkNotValid "$MERLON_TMP/page" || fail "$(<"$MERLON_TMP/page")"
equal "the earlier one was replaced by it" 404 "$(open_link "$url")"
url=$(create | jq -er .bsl)
equal "a new one works" 200 "$(open_link "$url")"
merlon bastion link delete "$url" >/dev/null
equal "until it is deleted" 404 "$(open_link "$url")"
grep -q 'There are none' <<<"$(merlon bastion link list)" || fail "it is still listed"

# -- guesses
url=$(create | jq -er .bsl)
base=${url%/*}
for _ in {1..25}; do
  last=$(open_link "$base/$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')")
done
equal "whoever guesses is held up" 429 "$last"
equal "from there no link is looked at" 429 "$(open_link "$url")"
stop_server
start_server
grep -q 'Merlon.Bastion/shareableLinks/use/action' <<<"$(merlon ledger export)" || fail "guesses are not in the ledger"
ok "and the ledger has it"
equal "a link outlives the server's restart" 200 "$(open_link "$url")"
merlon bastion link delete --machine "$(vm)" >/dev/null
equal "all of a machine's are deleted" 404 "$(open_link "$url")"
