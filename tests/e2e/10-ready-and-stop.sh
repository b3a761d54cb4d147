#!/usr/bin/env bash
# A server's life from outside: ready within five seconds of its first start, what its files and its certificate say,
# a clean end, and the same identity at the second start.
# time limit: 120 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

launched=${EPOCHREALTIME/./}
launch_server
wait_for 5 "a first start is ready within five seconds" healthy
ok "ready $(((${EPOCHREALTIME/./} - launched) / 1000)) ms after the first start"
sign_in

# -- bootstrap.json
equal "bootstrap.json is its owner's alone" 600 "$(stat -c %a "$state/bootstrap.json")"
equal "so is the state directory" 700 "$(stat -c %a "$state")"
guid='^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
for name in tenantId subscriptionId clientId; do
  [[ $(first $name) =~ $guid ]] || fail "$name of bootstrap.json is no GUID: $(first $name)"
done
ok "its ids are GUIDs"
(($(first clientSecret | wc -c) >= 32)) || fail "the first secret is short"
base=https://$domain:8443
equal "domain" "$domain" "$(first domain)"
equal "endpoint" "$base" "$(first endpoint)"
equal "audience" "$base/" "$(first audience)"
equal "authority" "$base/$(first tenantId)" "$(first authority)"
equal "adfsAuthority" "$base/adfs" "$(first adfsAuthority)"
equal "caFile" "$state/ca.pem" "$(first caFile)"

# -- the certificate, for every name and address
for host in localhost 127.0.0.1 '[::1]' $domain x.vault.$domain x.azurecr.$domain x.bastion.$domain; do
  in_ns server curl -sS -o /dev/null --cacert "$state/ca.pem" \
    --connect-to "::127.0.0.1:8443" "https://$host:8443/healthz" || fail "the certificate does not cover $host"
done
ok "the certificate covers the domain, its data planes, localhost and the addresses"
not in_ns server curl -sS -o /dev/null --cacert "$state/ca.pem" --connect-to "::127.0.0.1:8443" \
  "https://example.org:8443/" 2>/dev/null || fail "the certificate covers example.org"
ok "and no other name"
not in_ns server curl -sS -o /dev/null "https://localhost:8443/healthz" 2>/dev/null ||
  fail "curl trusts the server without --cacert: this test proves nothing here"
handshake() { in_ns server openssl s_client -connect 127.0.0.1:8443 "$@" </dev/null 2>&1; }
handshake -tls1_2 | grep -q 'Cipher is ECDHE\|Cipher is TLS' || fail "no TLS 1.2"
not eval 'handshake -tls1_1 -cipher ALL:@SECLEVEL=0 | grep -q "Cipher is [A-Z]*-"' || fail "TLS 1.1 is accepted"
ok "TLS 1.2, and not 1.1"
status=$(in_ns server curl -sS -o /dev/null -w '%{http_code}' --cacert "$state/ca.pem" -H 'Host: example.org' \
  "https://$domain:8443/healthz")
equal "a host name that is not served" 421 "$status"

# -- tokens, for the Resource Manager's audience in each form that clients use
for scope in "$base/.default" "$base//.default" https://management.azure.com/.default \
  https://management.core.windows.net//.default; do
  token=$(new_token "$(first clientId)" "$(first clientSecret)" "$scope")
  api GET /subscriptions
  is_status "a token for $scope opens the Resource Manager" 200
done
equal "and shows the one subscription" "$(first subscriptionId)" "$(field '.value[].subscriptionId')"
secret=$(first clientSecret)
while read -r file; do
  [[ $file == "$state/bootstrap.json" ]] || fail "the first secret is in clear in $file"
done < <(grep -rlF "$secret" "$state")
not grep -rqF "$secret" "$MERLON_TMP/server.log" || fail "the first secret is in the server's log"
not grep -rlaF 'BEGIN PRIVATE KEY' "$state" || fail "a private key is in clear in the state directory"
ok "the first secret is in bootstrap.json alone, and no private key is in clear as PEM"

# -- one server per state directory
in_use=0
ip netns exec "$MERLON_RUN-server" timeout 10 "$MERLON" server --state "$state" --domain "$domain" \
  --listen 127.0.0.1:8444 >"$MERLON_TMP/second.log" 2>&1 || in_use=$?
equal "a second server on the same state is refused" 1 "$in_use"
healthy || fail "the first server suffered from the second"

# -- a clean end, and a second start
version=2021-04-01
api PUT "/subscriptions/$subscription/resourceGroups/kept" '{"location":"local"}'
is_status "a resource group" 201
keys() {
  in_ns server curl -sS --cacert "$state/ca.pem" "$base/$(first tenantId)/discovery/v2.0/keys" | jq -Sc '[.keys[].kid]'
}
before=$(sha256sum "$state/ca.pem" "$state/bootstrap.json") kids=$(keys)
stop_server
not listens server 8443 || fail "something still listens"
launch_server
wait_for 5 "a second start is ready within five seconds" healthy
equal "the second start keeps authority and bootstrap.json" "$before" \
  "$(sha256sum "$state/ca.pem" "$state/bootstrap.json")"
equal "and the keys that sign tokens" "$kids" "$(keys)"
api GET "/subscriptions/$subscription/resourceGroups/kept"
is_status "and what was made; a token from before still opens it" 200
token=$(new_token)
api GET /subscriptions
is_status "and the first credential" 200
kill -INT "$server_pid"
wait_for 10 "the server ends after SIGINT" ended "$server_pid"
status=0
wait "$server_pid" || status=$?
equal "exit status after SIGINT" 0 "$status"

# -- wrong usage
for arguments in '' nonsense server 'server --state' 'jit request' 'ledger verify'; do
  status=0
  # shellcheck disable=SC2086
  "$MERLON" $arguments >"$MERLON_TMP/usage.log" 2>&1 </dev/null || status=$?
  equal "'merlon $arguments' is wrong usage" 2 "$status"
done
