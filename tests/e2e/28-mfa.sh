#!/usr/bin/env bash
# The second factor: an authenticator app (Debian's oathtool) is enrolled, asked for by the page and by everything that
# signs in through it, good once for each code, slow to guess; recovery codes; an administrator's reset.
# time limit: 300 s
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
for _ in 1 2 3 4 5 6; do
  cookies=thief browse /devicelogin do=sign-in "username=$ada" "password=$password" -- do=second-factor code=000000
done
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
  recoveryCodes/use AADSTS500121 AADSTS50076; do
  grep -q "$what" "$MERLON_TMP/ledger.jsonl" || fail "the ledger has no $what"
done
if grep -qE "$secret|$recovery|$password" "$MERLON_TMP/ledger.jsonl" "$MERLON_TMP/server.log"; then
  fail "a secret was written down"
fi
if grep -qr "$secret" "$state"; then fail "the app's secret lies open in the state"; fi
ok "the ledger has every step, and no secret"
