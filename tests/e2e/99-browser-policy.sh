#!/usr/bin/env bash
# The bastion's pages under session policies, in Chromium: a policy that wants a fresh second factor is met by one in the
# page; the clipboard is open where the policy lets it and shut where it does not; a recording whose file somebody has
# changed is told to be so.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/bastion.sh"

machine_behind_bastion
make_front Premium SessionRecording
page=https://$front_name:8443
policy() { # policy NAME PROPERTIES
  api PUT "$front/providers/Merlon.Bastion/sessionPolicies/$1" "{\"properties\":$2}"
  [[ $status =~ ^20 ]] || fail "the policy $1: $status $answer"
}

# -- a person with a password, and a command line of their own
merlon user create --username ada --output json >"$MERLON_TMP/ada.json"
ada=$(jq -er .userPrincipalName "$MERLON_TMP/ada.json")
for role in Contributor "Virtual Machine Administrator Login"; do may "$ada" "$role" "$group"; done
password='a Better 1 by far'
person() {
  in_ns server env -u MERLON_CLIENT_ID -u MERLON_CLIENT_SECRET -u MERLON_TENANT MERLON_CONFIG_DIR="$MERLON_TMP/person" \
    "$MERLON" "$@"
}
MERLON_PASSWORD=$(jq -er .password "$MERLON_TMP/ada.json") MERLON_NEW_PASSWORD=$password person login \
  --server "https://$domain:8443" --ca "$state/ca.pem" --username "$ada" >/dev/null 2>&1 || fail "a password signs in"
answer_page() { # answer_page NAME TEXT
  echo "$2" >"$MERLON_TMP/$1.new"
  mv "$MERLON_TMP/$1.new" "$MERLON_TMP/$1.done"
}

blobs=$state/blobs/recordings
mkfifo "$MERLON_TMP/said"
in_ns server node "$MERLON_ROOT/tests/e2e/policy_in_chromium.mjs" "$page" "$state/ca.pem" "$MERLON_TMP" \
  "$ada" "$password" >"$MERLON_TMP/said" 2>"$MERLON_TMP/chromium.log" &
chromium=$!
while read -r line; do
  case $line in
    ok:*) echo "$line" ;;
    second-factor)
      person mfa enrol --name Phone --output json >"$MERLON_TMP/enrolment.json"
      secret=$(jq -er .secretKey "$MERLON_TMP/enrolment.json")
      # The code of before, which is taken too, so that the one of now is still to be used.
      person mfa confirm "$(jq -er .id "$MERLON_TMP/enrolment.json")" \
        --code "$(oathtool --totp --base32 --now "30 seconds ago" "$secret")" >/dev/null
      policy fresh '{"mfaWithin":"PT10M"}'
      answer_page second-factor "{\"next\":\"$(oathtool --totp --base32 "$secret")\"}"
      ;;
    no-clipboard)
      policy quiet '{"channels":{"clipboard":false}}'
      answer_page no-clipboard ""
      ;;
    damaged)
      over() { # the newest recording is over
        recording=$(merlon recording list --output json | jq -er '.value[0] | select(.properties.running | not) | .name')
      }
      wait_for 20 "the last session's recording is complete" over
      cp "$blobs/$recording" "$MERLON_TMP/whole"
      /usr/bin/python3 - "$blobs/$recording" <<'P'
import sys
bytes = bytearray(open(sys.argv[1], "rb").read())
bytes[len(bytes) // 2] ^= 1
open(sys.argv[1], "wb").write(bytes)
P
      answer_page damaged "$recording"
      ;;
    mended)
      cp "$MERLON_TMP/whole" "$blobs/$recording"
      answer_page mended ""
      ;;
  esac
done <"$MERLON_TMP/said"
wait "$chromium" || fail "the browser: $(<"$MERLON_TMP/chromium.log")"

# -- what the ledger has of it
# Denials are entered by the minute.
is_told() { merlon ledger export | grep -q '"reason":"StepUpRequired"'; }
wait_for 75 "the ledger says that a second factor was missing" is_told
ok "the ledger says who was asked for a second factor"
