#!/usr/bin/env bash
# The second factor: an authenticator app (Debian's oathtool) is enrolled, asked for by the page and by everything that
# signs in through it, good once for each code, slow to guess; recovery codes; an administrator's reset; step-up.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server
url=https://$domain:8443

browse() { # browse PATH [FIELD=VALUE... [-- FIELD=VALUE...]...]: leaves $page
  local where=$1
  shift
  page=$(in_ns server "$MERLON_ROOT/tests/e2e/browser.py" "$state/ca.pem" "$MERLON_TMP/${cookies:-cookies}" \
    "$url$where" "$@") || fail "the browser at $where"
}
shows() { # shows WHAT TEXT: on the last page
  [[ $page == *"$2"* ]] || fail "$1: '$2' is not on the page: $page"
  ok "$1"
}
said_code() { grep -oE '[B-Z]{4}-[B-Z]{4}' "$1" >"$MERLON_TMP/code"; } # said_code FILE: a device code is in it
person() { # the command line as a person, with a configuration of its own
  in_ns server env -u MERLON_CLIENT_ID -u MERLON_CLIENT_SECRET -u MERLON_TENANT MERLON_CONFIG_DIR="$MERLON_TMP/person" \
    "$MERLON" "$@"
}
denied() { # denied WHAT TEXT COMMAND...: it fails, and says so
  local what=$1 text=$2
  shift 2
  if "$@" >"$MERLON_TMP/denied.out" 2>&1; then fail "$what: it was allowed"; fi
  grep -q "$text" "$MERLON_TMP/denied.out" || fail "$what: it does not say '$text': $(<"$MERLON_TMP/denied.out")"
  ok "$what"
}
totp() { oathtool --totp --base32 "$secret"; } # the code of now
# A code is good once: of the step after the last one that was used.
next_code() { # leaves $code
  wait_for 61 "the app shows a new code" fresh_code
  used=$code
}
fresh_code() {
  code=$(totp)
  [[ $code != "${used:-}" ]]
}

merlon user create --username ada --display-name 'Ada Lovelace' --output json >"$MERLON_TMP/ada.json"
ada=$(jq -er .userPrincipalName "$MERLON_TMP/ada.json")
password='a Better 1 by far'
person_with_password() {
  MERLON_PASSWORD=$1 MERLON_NEW_PASSWORD=$password person login --server "$url" --ca "$state/ca.pem" --username "$ada"
}
person_with_password "$(jq -er .password "$MERLON_TMP/ada.json")" >/dev/null 2>&1 || fail "a password signs in"

# -- enrolment
person mfa enrol --name Phone --output json >"$MERLON_TMP/enrolment.json"
method=$(jq -er .id "$MERLON_TMP/enrolment.json")
secret=$(jq -er .secretKey "$MERLON_TMP/enrolment.json")
equal "what a QR code would say" "otpauth://totp/Merlon:ada%40$domain?secret=$secret&issuer=Merlon&algorithm=SHA1&digits=6&period=30" \
  "$(jq -er .otpauthUri "$MERLON_TMP/enrolment.json")"
denied "a wrong first code" 'code is wrong' person mfa confirm "$method" --code 12345
person_with_password "$password" >/dev/null || fail "an app that is not confirmed is not asked for"
oauth() { # oauth NAME FIELD=VALUE...: an OAuth endpoint's answer, as a client that az is
  local name=$1 field fields=()
  shift
  for field in client_id=04b07795-8ddb-461a-bbee-02f9e1bf7b46 "$@"; do fields+=(--data-urlencode "$field"); done
  in_ns server curl -sS --cacert "$state/ca.pem" "$url/$MERLON_TENANT/oauth2/v2.0/$name" "${fields[@]}"
}
arm_scope="$(first audience)/.default offline_access"
oauth token grant_type=password "username=$ada" "password=$password" "scope=$arm_scope" >"$MERLON_TMP/weak.json"
weak=$(jq -er .access_token "$MERLON_TMP/weak.json")
code=$(totp) used=$code
person mfa confirm "$method" --code "$code" --output json >"$MERLON_TMP/confirmed.json"
equal "ten recovery codes" 10 "$(jq '.recoveryCodes | length' "$MERLON_TMP/confirmed.json")"
equal "the app is listed" Phone "$(person mfa list --output json |
  jq -er '.value[] | select(.["@odata.type"] | test("softwareOath")) | .displayName')"

# -- a password alone
denied "a password alone gets no token" AADSTS50076 person_with_password "$password"
denied "a token of before changes no methods" 'second factor' person mfa remove "$method"

# -- the page
browse /devicelogin do=sign-in "username=$ada" "password=$password"
shows "the page asks for a code" 'authenticator app'
browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$used"
shows "the code that confirmed is used up" 'used before'
browse /devicelogin
shows "nobody is signed in yet" 'Password'
next_code
browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$code"
shows "with the code of now" 'Enter the code of your device'
cookies=thief browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$code"
shows "who has looked over the shoulder" 'used before'

# -- merlon login with it: the token says so
person login --server "$url" --ca "$state/ca.pem" >"$MERLON_TMP/login.out" 2>"$MERLON_TMP/login.log" &
login_pid=$!
wait_for 20 "merlon login shows a code" said_code "$MERLON_TMP/login.log"
browse /devicelogin do=find-code "user_code=$(<"$MERLON_TMP/code")" -- do=approve
wait_for 30 "merlon login has ended" ended "$login_pid"
wait "$login_pid" || fail "merlon login: $(<"$MERLON_TMP/login.log")"
person mfa recovery-codes --output json >"$MERLON_TMP/codes.json"
ok "a fresh sign-in with the second factor makes new recovery codes"
recovery=$(jq -er '.recoveryCodes[0]' "$MERLON_TMP/codes.json")
old=$(jq -er '.recoveryCodes[0]' "$MERLON_TMP/confirmed.json")

# -- step-up: what takes a sign-in that is fresh
merlon role assign --role Owner --assignee "$ada" --scope "/subscriptions/$subscription" >/dev/null
make_group() { # make_group NAME: as who has $token
  version=2021-04-01 api PUT "/subscriptions/$subscription/resourcegroups/$1" '{"location":"local"}'
}
admin=$token
merlon step-up set groups --scope "/subscriptions/$subscription" --minutes 15 \
  --action 'Microsoft.Resources/subscriptions/resourceGroups/*' >/dev/null
make_group by-a-program
is_status "a program is not asked for what it cannot have" 201
token=$weak
make_group by-a-thief
is_status "a token of a password alone is challenged" 401 StepUpRequired
in_ns server curl -sS --cacert "$state/ca.pem" -o /dev/null -D "$MERLON_TMP/challenge" -X PUT \
  -H "Authorization: Bearer $token" -H 'Content-Type: application/json' --data '{"location":"local"}' \
  "$url/subscriptions/$subscription/resourcegroups/by-a-thief?api-version=2021-04-01"
grep -qi '^www-authenticate: Bearer .*error="insufficient_claims"' "$MERLON_TMP/challenge" ||
  fail "no claims challenge: $(<"$MERLON_TMP/challenge")"
claims=$(sed -nE 's/^www-authenticate:.* claims="([^"]+)".*/\1/Ip' "$MERLON_TMP/challenge" | base64 -d)
equal "what the challenge asks for" '["mfa"]' "$(jq -c .access_token.amr.values <<<"$claims")"
version=2026-11-01 api DELETE "/subscriptions/$subscription/providers/Merlon.Authorization/stepUpPolicies/groups"
is_status "nor does it lift the policy" 401 StepUpRequired
oauth token grant_type=refresh_token "refresh_token=$(jq -er .refresh_token "$MERLON_TMP/weak.json")" \
  "claims=$claims" "scope=$arm_scope" >"$MERLON_TMP/refused.json"
equal "nor can a refresh token help" 50076 "$(jq -er '.error_codes[0]' "$MERLON_TMP/refused.json")"
# What every client does with a challenge: it hands the claims on, and the person signs in.
oauth devicecode "claims=$claims" "scope=$arm_scope openid profile" >"$MERLON_TMP/device.json"
browse /devicelogin do=find-code "user_code=$(jq -er .user_code "$MERLON_TMP/device.json")" -- do=approve
shows "the sign-in of before was fresh enough" 'Signed in'
token=$(oauth token grant_type=urn:ietf:params:oauth:grant-type:device_code \
  "device_code=$(jq -er .device_code "$MERLON_TMP/device.json")" | jq -er .access_token)
equal "the new token says how" '["pwd","otp","mfa"]' "$(jq -Rc 'split(".")[1] | gsub("-"; "+") | gsub("_"; "/") |
  . + ("===="[: (4 - length % 4) % 4]) | @base64d | fromjson | .amr' <<<"$token")"
make_group by-ada
is_status "and does it" 201
# A sign-in anew, though there is a session.
person login --fresh >"$MERLON_TMP/login.out" 2>"$MERLON_TMP/login.log" &
login_pid=$!
wait_for 20 "merlon login --fresh shows a code" said_code "$MERLON_TMP/login.log"
browse /devicelogin do=find-code "user_code=$(<"$MERLON_TMP/code")"
shows "the session of before is not fresh enough" 'fresh sign-in with a second factor'
next_code
browse "/devicelogin" do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$code" -- \
  do=find-code "user_code=$(<"$MERLON_TMP/code")" -- do=approve
shows "a fresh one is" 'Signed in'
wait_for 30 "merlon login --fresh has ended" ended "$login_pid"
wait "$login_pid" || fail "merlon login --fresh: $(<"$MERLON_TMP/login.log")"
person step-up remove groups --scope "/subscriptions/$subscription" >/dev/null || fail "who meets the policy may lift it"
ok "merlon login --fresh"
token=$weak
make_group by-anybody
is_status "without the policy nobody is asked" 201
token=$admin

# -- recovery codes
cookies=lost browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$old"
shows "an old recovery code" 'The code is wrong'
cookies=lost browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$recovery"
shows "a recovery code" 'Enter the code of your device'
cookies=again browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$recovery"
shows "is good once" 'The code is wrong'
equal "nine are left" 9 "$(person mfa list --output json | jq .recoveryCodesLeft)"

# -- a restart forgets neither the step nor the guesses
stop_server
launch_server
wait_for 15 "the server answers /healthz" healthy
cookies=thief browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor "code=$used"
shows "a used code outlives a restart as one" 'used before'
guesses=()
for _ in 1 2 3 4 5 6 7 8 9; do guesses+=(-- do=second-factor code=000000); done
cookies=thief browse /devicelogin do=sign-in "username=$ada" "password=$password" "${guesses[@]}"
shows "who guesses must wait" 'Too many wrong codes'

# -- an administrator's reset
merlon mfa reset --user "$ada" >/dev/null
equal "nothing is left but the password" '["#microsoft.graph.passwordAuthenticationMethod"]' \
  "$(merlon mfa list --user "$ada" --output json | jq -c '[.value[]["@odata.type"]]')"
denied "every session has ended" 'Sign in again' person mfa list
person_with_password "$password" >/dev/null || fail "after the reset the password signs in"
ok "and Ada begins anew"
denied "nobody resets another without the right" 'rivileges' person mfa reset --user "$ada"

# -- all of it is in the ledger, and no secret is
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
for what in authenticationMethods/enrol authenticationMethods/confirm authenticationMethods/reset recoveryCodes/make \
  recoveryCodes/use stepUpPolicies/write stepUpPolicies/delete StepUpRequired AADSTS500121 AADSTS50076; do
  grep -q "$what" "$MERLON_TMP/ledger.jsonl" || fail "the ledger has no $what"
done
if grep -qE "$secret|$recovery|$password" "$MERLON_TMP/ledger.jsonl" "$MERLON_TMP/server.log"; then
  fail "a secret was written down"
fi
if grep -qr "$secret" "$state"; then fail "the app's secret lies open in the state"; fi
ok "the ledger has every step, and no secret"
