#!/usr/bin/env bash
# Where the root key is kept, for real: rotated while the server serves and while it is killed, moved to a passphrase
# (sealed start, 503, unseal, recovery key), to SoftHSM and to a TPM. Whatever happens, what was there opens again.
# time limit: 600 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"

phrase='correct horse battery staple'
printf '%s\n' "$phrase" >"$MERLON_TMP/phrase"
root() { "$MERLON" root "$@" --state "$state"; }
refused() { # refused WHAT TEXT COMMAND...
  local what=$1 text=$2 out status=0
  shift 2
  out=$("$@" 2>&1) || status=$?
  if [[ $status -eq 0 || $out != *"$text"* ]]; then fail "$what: status $status, '$out'"; fi
  ok "$what"
}
still_serves() { # the bootstrap credential's hash, signing keys and CAs are all sealed
  sign_in
  version=2021-04-01
  api GET "/subscriptions/$subscription/resourceGroups/kept"
  is_status "$1" 200
}
sealed() {
  [[ $(in_ns server curl -sS -o /dev/null -w '%{http_code}' --max-time 2 --cacert "$state/ca.pem" \
    https://localhost:8443/healthz 2>/dev/null) == 503 ]]
}

start_server
version=2021-04-01
api PUT "/subscriptions/$subscription/resourceGroups/kept" '{"location":"local"}'
is_status "something to keep" 201

# -- a file: rotated while it is written
equal "the root key is a file at first" "file" "$(root status --output json | jq -r .place.kind)"
cp "$state/root.key" "$MERLON_TMP/first.key"
root rotate >"$MERLON_TMP/rotate.log" 2>&1 || fail "rotate: $(<"$MERLON_TMP/rotate.log")"
not cmp -s "$state/root.key" "$MERLON_TMP/first.key" || fail "the root key is still the old one"
cmp -s "$state"/root.key.until-* "$MERLON_TMP/first.key" || fail "the old root key is not kept for older backups"
equal "its mode" 600 "$(stat -c %a "$state/root.key")"
still_serves "served after a rotation"
stop_server
start_server
still_serves "and after a restart"

# -- killed at any moment of a rotation
for round in $(seq 1 12); do
  root rotate >>"$MERLON_TMP/rotate.log" 2>&1 &
  rotation=$!
  sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
  kill_dead "$server_pid"
  wait "$rotation" || true
  start_server
done
still_serves "served after twelve kills during rotations"
equal "no unfinished rotation is left in force" 0 "$(cmp -s "$state/root.key" "$state/root.key.next" && echo 1 || echo 0)"

# -- a passphrase
refused "a passphrase that is too short" "12 to 1024" \
  bash -c "echo short | '$MERLON' root rotate --state '$state' --to passphrase: --passphrase-file -"
root rotate --to passphrase: --passphrase-file "$MERLON_TMP/phrase" >"$MERLON_TMP/rotate.log" 2>&1 ||
  fail "to a passphrase: $(<"$MERLON_TMP/rotate.log")"
grep -q -- "--root-key 'passphrase:'" "$MERLON_TMP/rotate.log" || fail "it does not say how to start from now on"
recovery=$(root recovery-key --output json | jq -er .recoveryKey)
identity_kept() { [[ -s $state/sealed-tls.pem ]]; }
wait_for 5 "what a sealed server shows is kept" identity_kept
[[ ! -e $state/root.key ]] || fail "the root key's file is still in its place"
still_serves "served with the key kept by a passphrase"
stop_server
status=0
in_ns server "$MERLON" server --state "$state" >"$MERLON_TMP/wrong-start.log" 2>&1 || status=$?
equal "a start that looks for a file ends at once" 1 "$status"
grep -q -- '--root-key passphrase:' "$MERLON_TMP/wrong-start.log" || fail "and does not say what to start with"

launch_server --root-key passphrase:
wait_for 15 "the sealed server says 503" sealed
refused "a wrong passphrase" "neither the passphrase" \
  bash -c "echo correct horse battery stapler | '$MERLON' unseal --state '$state' --passphrase-file -"
sealed || fail "a wrong passphrase opened it"
refused "anything else of a sealed server" "sealed" root status
"$MERLON" unseal --state "$state" --passphrase-file "$MERLON_TMP/phrase" >"$MERLON_TMP/unseal.log" 2>&1 ||
  fail "unseal: $(<"$MERLON_TMP/unseal.log")"
wait_for 15 "it serves" healthy
still_serves "unsealed by the passphrase"
"$MERLON" state backup "$MERLON_TMP/with-phrase.backup" --state "$state" --root-key passphrase: \
  --passphrase-file "$MERLON_TMP/phrase" >"$MERLON_TMP/backup.log" 2>&1 || fail "backup: $(<"$MERLON_TMP/backup.log")"
"$MERLON" state restore "$MERLON_TMP/with-phrase.backup" --state "$MERLON_TMP/restored" --root-key passphrase: \
  --passphrase-file "$MERLON_TMP/phrase" >"$MERLON_TMP/restore.log" 2>&1 || fail "restore: $(<"$MERLON_TMP/restore.log")"
ok "a backup is made and restored with the passphrase alone"
stop_server
launch_server --root-key passphrase:
wait_for 15 "sealed again" sealed
printf '%s\n' "$recovery" | "$MERLON" unseal --state "$state" --passphrase-file - >"$MERLON_TMP/unseal.log" 2>&1 ||
  fail "the recovery key: $(<"$MERLON_TMP/unseal.log")"
wait_for 15 "it serves" healthy
still_serves "unsealed by the recovery key"
not grep -rqaF -D skip "$phrase" "$state" || fail "the passphrase is in the state directory"
not grep -rqaF -D skip "$recovery" "$state" || fail "the recovery key is in the state directory"

# -- a PKCS#11 token
mkdir -p "$MERLON_TMP/tokens"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$MERLON_TMP/tokens" \
  >"$MERLON_TMP/softhsm2.conf"
export SOFTHSM2_CONF=$MERLON_TMP/softhsm2.conf
softhsm2-util --init-token --free --label merlon --pin 1234 --so-pin 5678 >/dev/null
(umask 077 && echo 1234 >"$MERLON_TMP/pin")
token_uri="pkcs11:token=merlon;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:$MERLON_TMP/pin"
stop_server
launch_server --root-key passphrase: # now with SOFTHSM2_CONF in its environment
wait_for 15 "sealed" sealed
"$MERLON" unseal --state "$state" --passphrase-file "$MERLON_TMP/phrase" >/dev/null
wait_for 15 "it serves" healthy
root rotate --to "$token_uri" >"$MERLON_TMP/rotate.log" 2>&1 || fail "to a token: $(<"$MERLON_TMP/rotate.log")"
recovery=$(root recovery-key --output json | jq -er .recoveryKey)
stop_server
start_server --root-key "$token_uri"
still_serves "started with the key of a token, by itself"
stop_server
mv "$MERLON_TMP/tokens" "$MERLON_TMP/stolen"
mkdir "$MERLON_TMP/tokens"
launch_server --root-key "$token_uri"
wait_for 15 "without its token it is sealed" sealed
printf '%s\n' "$recovery" | "$MERLON" unseal --state "$state" --passphrase-file - >/dev/null
wait_for 15 "the recovery key opens it" healthy

# -- a TPM
mkdir "$MERLON_TMP/tpm"
tpm() {
  # It ends with its client's connection.
  (while swtpm socket --tpm2 --tpmstate "dir=$MERLON_TMP/tpm" --server "type=unixio,path=$MERLON_TMP/tpm.sock" \
    --ctrl "type=unixio,path=$MERLON_TMP/tpm.sock.ctrl" --flags not-need-init,startup-clear; do :; done) \
    >/dev/null 2>&1 &
}
tpm
tpm_there() { [[ -S $MERLON_TMP/tpm.sock ]]; }
wait_for 5 "swtpm" tpm_there
tpm_place="tpm:pcrs=7,16&interface=swtpm:path=$MERLON_TMP/tpm.sock"
root rotate --to "$tpm_place" >"$MERLON_TMP/rotate.log" 2>&1 || fail "to a TPM: $(<"$MERLON_TMP/rotate.log")"
recovery=$(root recovery-key --output json | jq -er .recoveryKey)
stop_server
start_server --root-key "$tpm_place"
still_serves "started with the key that the TPM sealed, by itself"
stop_server
launch_server --root-key "tpm:pcrs=7&interface=swtpm:path=$MERLON_TMP/tpm.sock"
wait_for 15 "with other registers it is sealed" sealed
printf '%s\n' "$recovery" | "$MERLON" unseal --state "$state" --passphrase-file - >/dev/null
wait_for 15 "the recovery key opens it" healthy
ok "and opened by its recovery key"
root rotate --to "$state/root.key" >"$MERLON_TMP/rotate.log" 2>&1 || fail "back to a file: $(<"$MERLON_TMP/rotate.log")"
identity_gone() { [[ ! -e $state/sealed-tls.pem ]]; }
wait_for 5 "nothing is kept for a sealed server any more" identity_gone
stop_server
start_server
still_serves "and back in a file"

# -- the ledger has all of it, and no secret
merlon ledger export >"$MERLON_TMP/ledger.jsonl"
for action in rootKey/rotate/action recoveryKey/write unseal/action; do
  grep -q "Merlon.Seal/$action" "$MERLON_TMP/ledger.jsonl" || fail "Merlon.Seal/$action is not in the ledger"
done
grep 'Merlon.Seal/unseal' "$MERLON_TMP/ledger.jsonl" | head -n 1 | grep -q '"failedAttempts":1' ||
  fail "the ledger does not tell of the wrong passphrase"
not grep -qF "$phrase" "$MERLON_TMP/ledger.jsonl" "$MERLON_TMP"/*.log || fail "the passphrase is in the ledger or a log"
not grep -qF "$recovery" "$MERLON_TMP/ledger.jsonl" "$MERLON_TMP"/*.log || fail "a recovery key is in the ledger or a log"
ok "each of it is in the ledger, without a secret"
