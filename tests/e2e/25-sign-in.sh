#!/usr/bin/env bash
# People sign in: Debian's Azure CLI by device code and by browser, `merlon login`, one sign-in for all of them, and
# its end: one session, all sessions, the keys themselves.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server
url=https://$domain:8443

. "$(dirname "$0")/az.sh"
browse() { # browse PATH-OR-URL [FIELD=VALUE... [-- FIELD=VALUE...]...]: leaves $page
  local where=$1
  shift
  [[ $where == https:* ]] || where=$url$where
  page=$(in_ns server "$MERLON_ROOT/tests/e2e/browser.py" "$state/ca.pem" "$MERLON_TMP/cookies" "$where" "$@") ||
    fail "the browser at $where"
}
shows() { # shows WHAT TEXT: on the last page
  [[ $page == *"$2"* ]] || fail "$1: '$2' is not on the page: $page"
  ok "$1"
}
said_code() { grep -oE '[B-Z]{4}-[B-Z]{4}' "$1" >"$MERLON_TMP/code"; } # said_code FILE: a device code is in it

merlon user create --username ada --display-name 'Ada Lovelace' --output json >"$MERLON_TMP/ada.json"
ada=$(jq -er .userPrincipalName "$MERLON_TMP/ada.json")
once=$(jq -er .password "$MERLON_TMP/ada.json")
merlon role assign --role Reader --assignee "$ada" --scope "/subscriptions/$subscription" >/dev/null
register_cloud

# -- Azure CLI by device code; the first sign-in asks for a new password
az login --use-device-code --output json >"$MERLON_TMP/az.json" 2>"$MERLON_TMP/az-login.log" &
az_pid=$!
wait_for 60 "az shows a code" said_code "$MERLON_TMP/az-login.log"
browse /devicelogin do=sign-in "username=$ada" password=wrong
shows "a wrong password" 'The user name or the password is wrong.'
browse /devicelogin do=sign-in "username=$ada" "password=$once" -- do=change-password "new-password=a Better 1 by far" \
  "confirm-password=a Better 1 by far"
shows "the new password signs in" 'Enter the code of your device'
browse /devicelogin do=find-code user_code=BBBB-BBBB
shows "a code that nobody was given" 'not valid'
browse /devicelogin do=find-code "user_code=$(<"$MERLON_TMP/code")"
shows "who asks" 'Azure CLI'
browse /devicelogin do=find-code "user_code=$(<"$MERLON_TMP/code")" -- do=approve
shows "approved" 'Signed in'
wait_for 60 "az has ended" ended "$az_pid"
wait "$az_pid" || fail "az login --use-device-code: $(<"$MERLON_TMP/az-login.log")"
equal "az is signed in by device code" "$ada" "$(jq -er '.[0].user.name' "$MERLON_TMP/az.json")"
equal "and reads" '[]' "$(az group list --output json | jq -c .)"

# -- Azure CLI by browser: the same browser, so nobody types a password again
AZURE_CONFIG_DIR=$MERLON_TMP/azure-browser
register_cloud
cat >"$MERLON_TMP/open" <<EOF
#!/bin/sh
exec "$MERLON_ROOT/tests/e2e/browser.py" "$state/ca.pem" "$MERLON_TMP/cookies" "\$1" do=continue >"$MERLON_TMP/opened" 2>&1
EOF
chmod +x "$MERLON_TMP/open"
# With "&", Python's webbrowser does not wait for it: az must answer the browser meanwhile.
BROWSER="$MERLON_TMP/open %s &" az login --output json >"$MERLON_TMP/az.json" 2>"$MERLON_TMP/az-login.log" ||
  fail "az login by browser: $(<"$MERLON_TMP/az-login.log") $(cat "$MERLON_TMP/opened")"
equal "az is signed in by browser" "$ada" "$(jq -er '.[0].user.name' "$MERLON_TMP/az.json")"

# -- merlon login
person() { # the command line as a person, with a configuration of its own
  in_ns server env -u MERLON_CLIENT_ID -u MERLON_CLIENT_SECRET -u MERLON_TENANT MERLON_CONFIG_DIR="$MERLON_TMP/person" \
    "$MERLON" "$@"
}
person login --server "$url" --ca "$state/ca.pem" >"$MERLON_TMP/login.out" 2>"$MERLON_TMP/login.log" &
login_pid=$!
wait_for 20 "merlon login shows a code" said_code "$MERLON_TMP/login.log"
browse /devicelogin do=find-code "user_code=$(<"$MERLON_TMP/code")" -- do=approve
wait_for 30 "merlon login has ended" ended "$login_pid"
wait "$login_pid" || fail "merlon login: $(<"$MERLON_TMP/login.log")"
grep -q "as $ada" "$MERLON_TMP/login.out" || fail "merlon login does not say who: $(<"$MERLON_TMP/login.out")"
person status >/dev/null || fail "the person's token does not work"
ok "merlon login by device code"
equal "a person sees their own sessions" true "$(person session list --output json |
  jq "[.value[].userPrincipalName] | unique == [\"$ada\"]")"
if person session list --user "$(first clientId)" >/dev/null 2>&1; then fail "a person must not see others"; fi

# -- one session ends, another goes on
session=$(merlon session list --user "$ada" --output json | jq -er '.value[] | select(.userAgent | test("merlon"))
  | select(.kind == "device_code") | .id')
merlon session revoke "$session" >/dev/null
if person session list >"$MERLON_TMP/list.log" 2>&1; then fail "the revoked session still works"; fi
ok "a revoked session ends with the next request"
AZURE_CONFIG_DIR=$MERLON_TMP/azure
az group list --output none || fail "another session ended too"
ok "others go on"

# -- everything outlives a restart but what was revoked
stop_server
launch_server
wait_for 15 "the server answers /healthz" healthy
browse /devicelogin
shows "the browser's session outlives a restart" 'Enter the code of your device'
az group list --output none || fail "az's session did not outlive a restart"
merlon session revoke --user "$ada" >/dev/null
browse /devicelogin
shows "all of a person's sessions end" 'Password'
if az group list --output none 2>/dev/null; then fail "az still works after its user was signed out everywhere"; fi
ok "az's too"

# -- the keys
keys() { in_ns server curl -sS --cacert "$state/ca.pem" "$url/adfs/discovery/keys" | jq '.keys | length'; }
token=$(new_token)
equal "one key" 1 "$(keys)"
merlon admin rotate-signing-key >/dev/null
equal "a new key is published ahead" 2 "$(keys)"
merlon admin rotate-signing-key --now >/dev/null
api GET "/subscriptions?api-version=2020-01-01"
is_status "a token of the old key is still good" 200
merlon admin rotate-signing-key --compromised >/dev/null
equal "the old keys are gone" 1 "$(keys)"
api GET "/subscriptions?api-version=2020-01-01"
is_status "and so is what they signed" 401 InvalidAuthenticationToken
token=$(new_token)
api GET "/subscriptions?api-version=2020-01-01"
is_status "the new key signs" 200

# -- all of it is in the ledger, and no secret is
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
for action in sessions/signIn deviceCodes/approve authorizationCodes/issue tokens/issue sessions/revoke \
  signingKeys/rotate; do
  grep -q "Merlon.Identity/$action" "$MERLON_TMP/ledger.jsonl" || fail "the ledger has no $action"
done
if grep -qE "a Better 1|$once" "$MERLON_TMP/ledger.jsonl" "$MERLON_TMP/server.log"; then fail "a password was written down"; fi
ok "the ledger has every step, and no password"
