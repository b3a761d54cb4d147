#!/usr/bin/env bash
# What a thief finds: secrets of every kind are planted, and then the whole state directory, a debugger's core file of the
# running server, and its memory are searched for them, in every form that bytes are written in.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
. "$(dirname "$0")/lib.sh"
start_server
url=https://$domain:8443
planted=$MERLON_TMP/planted # one file a secret; its name says what it is
mkdir "$planted"
plant() { cat >"$planted/$1"; } # plant NAME: standard input
word() { head -c 24 /dev/urandom | base64 | tr -d '\n+/='; }
version=2021-04-01
api PUT "$group" '{"location":"local"}'
is_status "a resource group" 201
merlon vault create -n web -g rg >/dev/null
merlon role assign --assignee "$(first clientId)" --role 'Key Vault Administrator' -g rg >/dev/null
vault_token=$(new_token "" "" https://vault.azure.net/.default)
at() { # at METHOD PATH BODY-FILE: to the vault
  in_ns server curl -fsS --max-time 30 --cacert "$state/ca.pem" -X "$1" -H "Authorization: Bearer $vault_token" \
    -H 'Content-Type: application/json' --data-binary "@$3" "https://web.vault.$domain:8443$2?api-version=7.4"
}

# -- a secret's value, read back; a symmetric key and an EC key, used; a certificate's private key
word | plant secret-value
merlon secret set --vault web -n db --file "$planted/secret-value" >/dev/null
equal "the secret is there" "$(<"$planted/secret-value")" "$(merlon secret get --vault web -n db)"
head -c 32 /dev/urandom | plant symmetric-key
jq -n --arg k "$(basenc --base64url -w 0 "$planted/symmetric-key" | tr -d '=')" \
  '{key: {kty: "oct", k: $k, key_ops: ["wrapKey", "unwrapKey"]}}' >"$MERLON_TMP/oct.json"
at PUT /keys/oct "$MERLON_TMP/oct.json" >/dev/null
jq -n --arg k "$(head -c 32 /dev/urandom | basenc --base64url -w 0 | tr -d '=')" '{alg: "A256KW", value: $k}' >"$MERLON_TMP/wrap.json"
at POST /keys/oct/wrapkey "$MERLON_TMP/wrap.json" >/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$MERLON_TMP/ec.pem" 2>/dev/null
openssl ec -in "$MERLON_TMP/ec.pem" -outform DER 2>/dev/null | tail -c +8 | head -c 32 | plant ec-private-key
openssl req -new -x509 -key "$MERLON_TMP/ec.pem" -subj /CN=planted -days 10 -out "$MERLON_TMP/ec.crt" 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in "$MERLON_TMP/ec.pem" >"$MERLON_TMP/both.pem" 2>/dev/null
cat "$MERLON_TMP/ec.crt" >>"$MERLON_TMP/both.pem"
merlon cert import --vault web -n planted --file "$MERLON_TMP/both.pem" >/dev/null
# -- a person's password and authenticator; an application's secret; tokens
merlon user create --username ada --display-name Ada --output json >"$MERLON_TMP/ada.json"
ada=$(jq -er .userPrincipalName "$MERLON_TMP/ada.json")
jq -jr .password "$MERLON_TMP/ada.json" | plant first-password
printf 'Aa1-%s' "$(word)" | plant password
person() {
  in_ns server env -u MERLON_CLIENT_ID -u MERLON_CLIENT_SECRET -u MERLON_TENANT MERLON_CONFIG_DIR="$MERLON_TMP/person" "$MERLON" "$@"
}
MERLON_PASSWORD=$(<"$planted/first-password") MERLON_NEW_PASSWORD=$(<"$planted/password") \
  person login --server "$url" --ca "$state/ca.pem" --username "$ada" >/dev/null 2>&1 || fail "the person signs in"
person mfa enrol --name Phone --output json >"$MERLON_TMP/enrolment.json"
jq -jr .secretKey "$MERLON_TMP/enrolment.json" | plant totp-seed-as-text
base32 -d <<<"$(jq -r '.secretKey + ("=" * ((8 - (.secretKey | length) % 8) % 8))' "$MERLON_TMP/enrolment.json")" | plant totp-seed
person mfa confirm "$(jq -r .id "$MERLON_TMP/enrolment.json")" \
  --code "$(oathtool --totp --base32 "$(<"$planted/totp-seed-as-text")")" --output json >"$MERLON_TMP/confirmed.json"
jq -jr '.recoveryCodes[0]' "$MERLON_TMP/confirmed.json" | plant recovery-code
printf %s "${vault_token##*.}" | plant access-token
# What the person's sign-in left with them is a refresh token.
find "$MERLON_TMP/person" -type f -exec cat {} + | jq -rs 'map(.. | objects | .refreshToken? // .refresh_token? // empty) | .[0] // empty' |
  tr -d '\n' | plant refresh-token
[[ -s $planted/refresh-token ]] || rm "$planted/refresh-token"
for each in "$planted"/*; do
  (($(stat -c %s "$each") >= 8)) || fail "${each##*/} was not planted"
done
ok "planted: $(find "$planted" -type f -printf '%f ')"

cat >"$MERLON_TMP/search.py" <<'PY'
"""search.py PLANTED WHERE: every planted secret, in every form, in each file below WHERE or in the memory of process WHERE.
Prints one line a find."""
import base64, os, re, sys

def forms(secret):
    found = {"as it is": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode(),
             "UTF-16": secret.decode("latin-1").encode("utf-16-le")}
    for skipped in range(3):  # base64 of something longer that holds it, at each alignment
        text = base64.b64encode(b"\0" * skipped + secret)
        # The first characters mix with what stands before, the last with what comes after.
        inner = text[(skipped * 8 + 5) // 6:].rstrip(b"=")[:-1]
        found[f"base64/{skipped}"] = inner
        found[f"base64url/{skipped}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    return found

planted, where = sys.argv[1:]
wanted = {}
for name in sorted(os.listdir(planted)):
    with open(os.path.join(planted, name), "rb") as file:
        secret = file.read()
    for form, text in forms(secret).items():
        if len(text) >= 8:
            wanted.setdefault(text, f"{name} ({form})")
pattern = re.compile(b"|".join(re.escape(text) for text in sorted(wanted, key=len, reverse=True)))

def search(data, place):
    global bytes_read
    bytes_read += len(data)
    for match in pattern.finditer(data):
        print(f"{wanted[match.group()]} in {place} at {match.start():#x}")

bytes_read = 0
if where.isdigit():
    with open(f"/proc/{where}/maps") as maps, open(f"/proc/{where}/mem", "rb", 0) as memory:
        for line in maps:
            first, last = (int(part, 16) for part in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or last - first > 1 << 32:
                continue
            try:
                memory.seek(first)
                search(memory.read(last - first), line.split()[5] if len(line.split()) > 5 else f"{first:#x}")
            except (OSError, ValueError, OverflowError):
                pass
else:
    for folder, _, names in os.walk(where):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    search(file.read(), os.path.relpath(path, where))
print(f"{bytes_read} bytes searched", file=sys.stderr)
PY
search() { python3 "$MERLON_TMP/search.py" "$planted" "$1" 2>"$MERLON_TMP/searched.txt"; }
nothing() { # nothing WHAT WHERE
  local found
  found=$(search "$2" | sort | uniq -c | head -n 20)
  [[ -z $found ]] || fail "$1: $found"
  ok "$1 ($(<"$MERLON_TMP/searched.txt"))"
}

# -- the search itself finds what is there
mkdir "$MERLON_TMP/known"
base64 -w 0 "$planted/symmetric-key" >"$MERLON_TMP/known/a"
basenc --base16 -w 0 "$planted/ec-private-key" >"$MERLON_TMP/known/b"
(printf 'xy' && cat "$planted/secret-value") | basenc --base64url -w 0 >"$MERLON_TMP/known/c"
equal "each of three known places is found" 3 "$(search "$MERLON_TMP/known" | cut -d' ' -f1 | sort -u | wc -l)"

# -- the state, while it is written, and after a clean end
nothing "nothing planted is in the state directory" "$state"

# -- a core file of the running server
cores=$MERLON_TMP/cores
mkdir "$cores"
equal "the kernel writes no core of it" 0 "$(awk '/Max core file size/ {print $5}' "/proc/$server_pid/limits")"
equal "and would put no memory into it" 00000000 "$(<"/proc/$server_pid/coredump_filter")"
equal "its memory is root's alone to look at" root "$(stat -c %U "/proc/$server_pid/environ")"
gdb -p "$server_pid" -batch -nx -ex 'set debuginfod enabled off' -ex "generate-core-file $cores/core" >"$MERLON_TMP/gdb.out" 2>&1 ||
  fail "gdb: $(tail -n 3 "$MERLON_TMP/gdb.out")"
[[ -s $cores/core ]] || fail "gdb wrote no core: $(tail -n 3 "$MERLON_TMP/gdb.out")"
cp "$state/root.key" "$planted/root-key" # the core is searched for it too
# Registers a debugger always has, and a thread's vector registers keep the last bytes that it copied: the notes that hold
# them (core(5), NT_PRSTATUS, NT_FPREGSET, NT_X86_XSTATE) are not memory, which is what the claim is about.
python3 - "$cores/core" <<'PY'
import struct, sys
with open(sys.argv[1], 'r+b') as file:
    core = bytearray(file.read())
    offset, size, count = struct.unpack_from('<Q', core, 32)[0], *struct.unpack_from('<HH', core, 54)
    blanked = 0
    for header in range(offset, offset + size * count, size):
        kind, at, length = struct.unpack_from('<I', core, header)[0], *struct.unpack_from('<QxxxxxxxxxxxxxxxxQ', core, header + 8)
        end = at + length
        while kind == 4 and at + 12 <= end:  # PT_NOTE
            names, bytes_, note = struct.unpack_from('<III', core, at)
            start = at + 12 + (names + 3 & ~3)
            if note in (1, 2, 0x202):
                core[start:start + bytes_] = bytes(bytes_)
                blanked += 1
            at = start + (bytes_ + 3 & ~3)
    assert blanked >= 2, 'the core has no registers: its notes were not understood'
    file.seek(0)
    file.write(core)
PY
nothing "nothing planted is in a debugger's core file, nor is the root key" "$cores"
rm "$planted/root-key"

# -- what lies in memory once everybody has gone: keys that are in use may (symmetric-key, ec-private-key), values not
mkdir "$MERLON_TMP/kept"
mv "$planted/symmetric-key" "$planted/ec-private-key" "$MERLON_TMP/kept/"
gone() { [[ -z $(search "$server_pid") ]]; }
wait_for 10 "connections end" gone
nothing "no value that passed through is in its memory" "$server_pid"

healthy || fail "the server lives on"
stop_server
mv "$MERLON_TMP"/kept/* "$planted/"
nothing "nor is anything in the state directory after its end" "$state"
