#!/usr/bin/env bash
# The disk of the state is full: every write that cannot be kept, and every refusal that cannot be entered, is answered
# with 503 and Retry-After; reading goes on, and so does taking access away. With room again everything is taken.
# time limit: 240 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

# The server's state lies on a small disk that only the server's own mount namespace has: it goes when the server does.
small=$MERLON_TMP/small
launch_server() {
  mkdir -p "$small"
  # shellcheck disable=SC2016
  ip netns exec "$MERLON_RUN-server" unshare --mount bash -c 'mount -t tmpfs -o size=48m,mode=700 merlon "$0" &&
    exec "$@"' "$small" "$MERLON" server --state "$small" --domain "$domain" --keep-bootstrap \
    --listen 127.0.0.1:8443 --listen '[::1]:8443' --listen "${address4[server]}:8443" >>"$MERLON_TMP/server.log" 2>&1 &
  server_pid=$!
  state=/proc/$server_pid/root$small
}
whole_set_up
initiate 900 "${address4[alice]}"
is_status "an opening of 15 minutes" 202
wait_for 5 "it is open" can_ssh alice
merlon app create --name nobody --secret --output json >"$MERLON_TMP/nobody.json"
nobody=$(new_token "$(jq -er .clientId "$MERLON_TMP/nobody.json")" "$(jq -er .clientSecret "$MERLON_TMP/nobody.json")")
opening=$(merlon jit list --output json | jq -er '.value[0].id')

dd if=/dev/zero of="$state/filler" bs=64k 2>/dev/null && fail "the disk took everything"
version=2021-04-01
large=$(jq -n '{location: "local", tags: ([range(45) | {key: "t\(.)", value: ("x" * 250)}] | from_entries)}')
refused() { # BODY: of writes that must end so
  api PUT "/subscriptions/$subscription/resourceGroups/full$RANDOM" "$1"
  [[ $status != 201 ]]
}
# What the log had taken of the disk in advance is used up first: by large writes, then to its end by small ones.
wait_for 120 "the server has noticed that the disk is full" refused "$large"
wait_for 120 "there is no room for a small write either" refused '{"location":"local"}'
is_status "a write on a full disk" 503 StorageFull
retry_after() { # METHOD PATH [BODY]
  in_ns server curl -sS -o /dev/null -D - --max-time 20 --cacert "$state/ca.pem" -X "$1" \
    -H "Authorization: Bearer $token" -H 'Content-Type: application/json' ${3:+--data "$3"} \
    "https://$domain:8443$2?api-version=$version" | grep -qi '^retry-after: [0-9]'
}
retry_after PUT "/subscriptions/$subscription/resourceGroups/full" '{"location":"local"}' ||
  fail "503 without Retry-After"
ok "with Retry-After"
mine=$token token=$nobody
api PUT "/subscriptions/$subscription/resourceGroups/evil" '{"location":"local"}'
is_status "a refusal that cannot be entered in the ledger is not given either" 503 StorageFull
token=$mine
sign_in() { # CLIENT-ID SECRET
  in_ns server curl -sS -o "$MERLON_TMP/token.json" -D "$MERLON_TMP/token.head" -w '%{http_code}' --max-time 10 \
    --cacert "$state/ca.pem" "https://$domain:8443/$(first tenantId)/oauth2/v2.0/token" \
    --data-urlencode grant_type=client_credentials --data-urlencode "client_id=$1" \
    --data-urlencode "client_secret=$2" --data-urlencode "scope=$(first audience)/.default"
}
equal "nor is a token that the ledger does not know" 503 \
  "$(sign_in "$(jq -er .clientId "$MERLON_TMP/nobody.json")" "$(jq -er .clientSecret "$MERLON_TMP/nobody.json")")"
grep -qi '^retry-after: [0-9]' "$MERLON_TMP/token.head" || fail "without Retry-After"
equal "an administrator signs in on the reserve" 200 "$(sign_in "$(first clientId)" "$(first clientSecret)")"
api GET "/subscriptions/$subscription/resourceGroups"
is_status "reading goes on" 200

version=2026-11-01
api POST "$opening/revoke" '{}'
is_status "taking access away is written down, on the reserve" 200
wait_for 10 "and alice is out" not can_ssh alice
api GET "/subscriptions/$subscription/resourceGroups/evil?api-version=2021-04-01"
is_status "what was refused is not there" 404

rm "$state/filler"
version=2021-04-01
room() {
  api PUT "/subscriptions/$subscription/resourceGroups/room" '{"location":"local"}'
  [[ $status == 201 ]]
}
wait_for 20 "with room again writes are taken" room
ok "with room again writes are taken"
token=$nobody
api PUT "/subscriptions/$subscription/resourceGroups/evil" '{"location":"local"}'
is_status "and refusals given" 403
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
merlon ledger verify "$MERLON_TMP/ledger.jsonl" >/dev/null || fail "the ledger does not verify"
ok "the ledger verifies"
