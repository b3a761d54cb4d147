#!/usr/bin/env bash
# Managed identities on a machine: who may ask is told apart by user and by systemd unit in the kernel; everybody else,
# and whoever is talked into asking for somebody else, gets nothing; each token is in the ledger; what is taken away is
# gone within a second; where a cloud answers at 169.254.169.254, Merlon does not.
# time limit: 400 s
# shellcheck source=/dev/null disable=SC2154,SC2034
# In a mount namespace: the challenge files have one place on a machine.
if [[ ${MERLON_IN_MOUNTS:-} != yes ]]; then
  exec env MERLON_IN_MOUNTS=yes unshare --mount --propagation private "$0" "$@"
fi
mount -t tmpfs none /var/opt
. "$(dirname "$0")/lib.sh"
make_network
start_server

# Control groups, as systemd makes them; `ip netns exec` hides the machine's own.
cgroups=$MERLON_TMP/cgroups
mkdir "$cgroups"
mount -t cgroup2 none "$cgroups"
slice=$MERLON_RUN.slice
unit=$slice/merlon-job.service
agent_unit=$slice/merlon-agent.service
mkdir -p "$cgroups/$unit" "$cgroups/$slice/other.service" "$cgroups/$agent_unit"
tidy() {
  rmdir "$cgroups/$unit" "$cgroups/$slice/other.service" "$cgroups/$agent_unit" "$cgroups/$slice" 2>/dev/null || true
}
trap tidy EXIT
launch_agent() { # as in lib.sh, and with the control groups where systemd has them
  # shellcheck disable=SC2016
  ip netns exec "$MERLON_RUN-web" unshare --uts --mount bash -c '
    hostname web-1 && mount -t cgroup2 none /sys/fs/cgroup && echo $$ >"/sys/fs/cgroup/$0/cgroup.procs" && exec "$@"' \
    "$agent_unit" env -u MERLON_CLIENT_SECRET "$MERLON" agent run --state "$MERLON_TMP/agent" >>"$MERLON_TMP/agent.log" 2>&1 &
  agent_pid=$!
}
enrol

version=2024-07-01
api PATCH "$(vm)" '{"identity":{"type":"SystemAssigned"}}'
is_status "the machine gets an identity of its own" 200
own=$(field .identity.principalId)
version=2023-01-31
app=$group/providers/Microsoft.ManagedIdentity/userAssignedIdentities/app
api PUT "$app" '{"location":"local"}'
is_status "a user-assigned identity" 201
app_client=$(field .properties.clientId) app_principal=$(field .properties.principalId)
version=2024-07-01
api PATCH "$(vm)" "{\"identity\":{\"type\":\"SystemAssigned, UserAssigned\",\"userAssignedIdentities\":{\"$app\":{}}}}"
is_status "assigned to the machine" 200
for principal in "$own" "$app_principal"; do
  merlon role assign --assignee "$principal" --role Reader --scope "$group" >/dev/null
done

# as WHO COMMAND...: as a user of web-1 (number), or as root in a control group (path)
as() {
  local who=$1
  shift
  if [[ $who == */* ]]; then
    # shellcheck disable=SC2016
    in_ns web bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroups/$who" "$@"
  else
    in_ns web setpriv --reuid "$who" --regid "$who" --clear-groups "$@"
  fi
}
arc=http://127.0.0.1:40342/metadata/identity/oauth2/token
imds=http://169.254.169.254/metadata/identity/oauth2/token
query='api-version=2019-11-01&resource=https://management.azure.com/'
# ask WHO URL [CURL OPTION...]: leaves the status in $asked, the body in $said
impostors=() asked='' said='' metadata='Metadata: true'
ask() {
  local who=$1 url=$2
  shift 2
  said=$(as "$who" curl -sS -g --max-time 15 -H "$metadata" -w '\n%{http_code}' "$@" "$url?$query${extra:-}" 2>&1) || true
  asked=${said##*$'\n'} said=${said%$'\n'*}
}
ask_arc() { # ask_arc WHO [CURL OPTION...]: challenge and answer, as Azure's clients do
  local who=$1 file content
  shift
  file=$(as "$who" curl -sS -g --max-time 15 -H 'Metadata: true' -D - -o /dev/null "$@" "$arc?$query${extra:-}" |
    tr -d '\r' | sed -n 's/^WWW-Authenticate: Basic realm=//Ip') || true
  if [[ -z $file ]] || ! content=$(as "$who" cat "$file" 2>/dev/null); then
    asked=none said=''
    return
  fi
  [[ $file == /var/opt/azcmagent/tokens/*.key ]] || fail "the challenge file is '$file'"
  ask "$who" "$arc" -H "Authorization: Basic $content" "$@"
}
arc_answers() { ask_arc "$1" && [[ $asked == 200 ]]; }
imds_answers() { ask "$1" "$imds" && [[ $asked == 200 ]]; }
claim() { jq -r ".access_token | split(\".\")[1] | gsub(\"-\"; \"+\") | gsub(\"_\"; \"/\") | @base64d | fromjson | $1" <<<"$said"; }
refused() { # refused WHAT STATUS...: of the last
  local what=$1
  shift
  [[ " $* " == *" $asked "* && $said != *access_token* ]] || fail "$what: got $asked: $said"
  ok "$what"
}
use_token() { # use_token: what does the server say to the last token?
  local kept=$token
  token=$(jq -r .access_token <<<"$said")
  api GET "$group"
  token=$kept
}
callers() {
  api PUT "$(vm)/providers/Merlon.ManagedIdentity/callers/default" "{\"properties\":$1}"
  is_status "${2:-the owner says who may ask}" 200
}

# -- without rules: who can read the challenge file
wait_for 30 "root gets a token by the challenge file" arc_answers 0
equal "it is the machine's own identity's" "$own" "$(claim .oid)"
use_token
is_status "the server takes it" 200
extra="&client_id=$app_client"
ask_arc 0
equal "the other one, by its client id" "$app_principal" "$(claim .oid)"
extra=''
ask_arc 61001
equal "a user who cannot read the file gets no further" none "$asked"
ask 0 "$imds"
[[ $asked != 200 ]] || fail "169.254.169.254 answers although nobody wanted it"
ok "169.254.169.254 is not served unless the owner wants it"

# -- SSRF: whoever is talked into asking
ask 0 "$arc" -H 'X-Forwarded-For: 203.0.113.66'
refused "a request that was forwarded" 400
ask 0 "$arc" -H 'Host: evil.example.com'
refused "a name that leads here (DNS rebinding)" 400
metadata=Metadata:
ask 0 "$arc"
refused "without the Metadata header" 400
metadata='Metadata: true'
ask 0 "$arc" -X POST
refused "another method" 405
ask 0 "$arc" -H 'Authorization: Basic Zm9v'
refused "a guessed secret" 403
[[ $(as 0 curl -sS -g -o /dev/null -w '%{redirect_url}' -L "http://127.0.0.1:40342//evil.example.com/%2e%2e") == '' ]] ||
  fail "the endpoint redirects"
ok "it redirects nowhere"
not in_ns mallory curl -sS --max-time 2 -H 'Metadata: true' "http://${address4[web]}:40342/metadata/identity" \
  2>/dev/null || fail "the endpoint answers other machines"
ok "other machines do not reach it"

# -- rules: users and units
callers "{\"linkLocal\":true,\"rules\":[
  {\"name\":\"web\",\"users\":[\"61001\"],\"identities\":[\"$app\"]},
  {\"name\":\"job\",\"units\":[\"merlon-job.service\"],\"identities\":[\"SystemAssigned\"]}]}"
wait_for 15 "user 61001 gets a token" arc_answers 61001
equal "of the identity that it may ask for" "$app_principal" "$(claim .oid)"
wait_for 5 "also at 169.254.169.254" imds_answers 61001
equal "the same identity" "$app_principal" "$(claim .oid)"
extra="&object_id=$own"
ask 61001 "$imds"
refused "user 61001 asks for the machine's own" 400
extra=''
wait_for 5 "the unit gets a token" imds_answers "$unit"
equal "of the machine's own identity" "$own" "$(claim .oid)"
arc_answers "$unit" || fail "the unit gets none by the challenge file: $asked $said"
ok "by the challenge file too"
for who in 61002 0 "$slice/other.service"; do
  ask "$who" "$imds"
  refused "$who may not ask at 169.254.169.254" 403
  ask "$who" "$arc"
  refused "$who may not ask at 127.0.0.1" 403
done
ask 61001 "$imds" -H 'X-Forwarded-For: 1.2.3.4'
refused "forwarded by one who may ask" 400
ask 61001 "$imds" -H 'Host: 127.0.0.1'
refused "the other face's Host" 400

# -- az, unmodified, as the user who may ask
azure=$MERLON_TMP/azure
mkdir "$azure" && cp "$state/ca.pem" "$azure/ca.pem" && merlon cloud-config >"$azure/cloud.json"
chmod 711 "$MERLON_TMP" && chown -R 61001 "$azure"
az() {
  as 61001 env -u MERLON_CLIENT_SECRET HOME="$azure" AZURE_CONFIG_DIR="$azure/config" REQUESTS_CA_BUNDLE="$azure/ca.pem" \
    AZURE_CORE_COLLECT_TELEMETRY=0 AZURE_CORE_NO_COLOR=1 AZURE_CORE_ONLY_SHOW_ERRORS=1 /usr/bin/az "$@" 2>>"$MERLON_TMP/az.log"
}
az cloud register --name merlon --cloud-config "@$azure/cloud.json"
az cloud set --name merlon
equal "az login --identity shows the subscription" "$subscription" \
  "$(az login --identity --output json | jq -r '.[].id')"
equal "and is signed in as the identity" systemAssignedIdentity "$(az account show --query user.name --output tsv)"
equal "and what the identity may, az may" "$(basename "$group")" "$(az group show --name "$(basename "$group")" --query name --output tsv)"
not az group create --name forbidden --location local || fail "az did what the identity may not"
ok "and no more"

# -- past the kernel's rules
ports=$(in_ns web nft list table inet merlon_identity | grep -o 'redirect to :[0-9]*' | grep -o '[0-9]*$' | sort -u | grep -v '^40342$')
[[ -n $ports ]] || fail "the kernel brings nobody anywhere"
for port in $ports; do
  ask 61002 "http://127.0.0.1:$port/metadata/identity/oauth2/token" -H 'Host: 169.254.169.254'
  refused "going to port $port by itself" 403
  ask 61002 "http://127.0.0.1:$port/metadata/identity/oauth2/token" -H 'Host: 127.0.0.1:40342'
  refused "and with the other Host" 403
done
in_ns web nft delete table inet merlon_identity
ask 61001 "$arc"
[[ $asked != 200 ]] || fail "without the kernel's rules somebody got a token"
wait_for 5 "the rules come back" imds_answers 61001
ok "a table that is taken away helps nobody and comes back"
rmdir "$cgroups/$unit"
mkdir "$cgroups/$unit"
wait_for 10 "a unit that starts anew is known again" imds_answers "$unit"

# -- the ledger
merlon ledger list --output json >"$MERLON_TMP/ledger.json" 2>/dev/null || merlon ledger export >"$MERLON_TMP/ledger.json"
grep -q 'machines/token/action' "$MERLON_TMP/ledger.json" || fail "no token is in the ledger"
grep -q "rule 'web'" "$MERLON_TMP/ledger.json" || fail "the ledger does not say which rule let the caller in"
not grep -q 'eyJ' "$MERLON_TMP/ledger.json" || fail "a token itself is in the ledger"
ok "the ledger has each token's issue, and no token"

# -- taken away
imds_answers 61001
api PATCH "$(vm)" '{"identity":{"type":"SystemAssigned"}}'
is_status "the identity is taken from the machine" 200
use_token
is_status "its token is dead at once" 401
no_more() { ask 61001 "$imds" && [[ $asked != 200 ]]; }
wait_for 1 "within a second there is no new one" no_more
callers '{"linkLocal":true,"rules":[{"name":"job","units":["merlon-job.service"],"identities":["SystemAssigned"]}]}' \
  "the rule is taken away too"
imds_answers "$unit" || fail "the other rule works no more: $asked $said"
ok "the other one goes on"
kill_agent
ask "$unit" "$imds"
[[ $asked != 200 ]] || fail "without an agent somebody got a token"
ok "without its agent nobody gets anything"
# Somebody else sits down behind the doors that the agent has left.
for port in 40342 $ports; do
  ip netns exec "$MERLON_RUN-web" setpriv --reuid 61002 --regid 61002 --clear-groups /usr/bin/python3 -m http.server --bind 127.0.0.1 "$port" \
    >>"$MERLON_TMP/impostor.log" 2>&1 &
  impostors+=($!)
done
listens() { in_ns web ss -Hltn "sport = :$1" | grep -q .; }
for port in 40342 $ports; do wait_for 10 "an impostor listens at $port" listens "$port"; done
for url in "$imds" "$arc"; do
  for who in "$unit" 61001; do
    ask "$who" "$url"
    [[ $asked == 000 ]] || fail "an impostor behind a door answered $who: $asked $said"
  done
done
ok "nobody reaches an impostor behind a door"
kill "${impostors[@]}"
wait "${impostors[@]}" 2>/dev/null || true

# -- a cloud's own
ip -n "$MERLON_RUN-router" address add 169.254.169.254/32 dev lo
ip netns exec "$MERLON_RUN-router" python3 -m http.server --bind 169.254.169.254 80 >"$MERLON_TMP/cloud.log" 2>&1 &
wait_for 10 "the cloud's endpoint answers" in_ns mallory curl -sS --max-time 1 -o /dev/null http://169.254.169.254/
launch_agent
wait_for 20 "the unit gets a token by the challenge file" arc_answers "$unit"
equal "169.254.169.254 is the cloud's still" SimpleHTTP \
  "$(as "$unit" curl -sS -g -D - -o /dev/null http://169.254.169.254/ | tr -d '\r' | sed -n 's|^Server: \([A-Za-z]*\).*|\1|p')"
