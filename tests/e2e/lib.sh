# What the end-to-end tests share: a server, machines with their agents and real sshd, in network namespaces; requests
# to the API; waiting that polls. Sourced, from tests that scripts/isolate started: whatever is made here, and however
# the test ends, isolate takes it down by the prefix $MERLON_RUN and its processes by their environment.
#
#   server 10.77.0.2 ── router ──┬── web-1    198.51.100.10   the machine that Merlon protects
#                                ├── alice    192.0.2.10
#                                └── mallory  203.0.113.66
# shellcheck shell=bash disable=SC2034,SC2119,SC2120
set -euo pipefail
: "${MERLON:?the binary to test}" "${MERLON_ROOT:?the checkout}" "${MERLON_TMP:?}" "${MERLON_RUN:?}"
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C.UTF-8

state=$MERLON_TMP/server
domain=merlon.localhost
declare -A address4=([server]=10.77.0.2 [web]=198.51.100.10 [alice]=192.0.2.10 [mallory]=203.0.113.66)
declare -A address6=([server]=fd77::2 [web]=2001:db8:1::10 [alice]=2001:db8:2::10 [mallory]=2001:db8:3::66)
export address4 address6
server_pid='' agent_pid=''

ok() { echo "ok: $*"; }
fail() {
  echo "FAILED: $*"
  local log
  for log in "$MERLON_TMP"/*.log; do
    [[ -s $log ]] || continue
    echo "---- the end of ${log##*/}"
    tail -n 25 "$log"
  done
  exit 1
}
trap 'fail "line $LINENO of ${BASH_SOURCE[0]##*/} ended with status $?"' ERR
set -o errtrace

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; the only form of waiting in these tests. On a machine
# that is busy otherwise, MERLON_PATIENCE=4 waits four times as long.
wait_for() {
  local seconds=$(($1 * ${MERLON_PATIENCE:-1})) what=$2 end
  shift 2
  end=$((${EPOCHREALTIME/./} + seconds * 1000000))
  until "$@"; do
    if ((${EPOCHREALTIME/./} > end)); then fail "not within $seconds s: $what"; fi
    sleep 0.05
  done
}

# holds SECONDS WHAT COMMAND...: the command succeeds again and again, for that long.
holds() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((${EPOCHREALTIME/./} + seconds * 1000000))
  while ((${EPOCHREALTIME/./} < end)); do
    "$@" || fail "did not stay so for $seconds s: $what"
    sleep 0.1
  done
}
not() { if "$@"; then return 1; fi; }
equal() { # equal WHAT WANTED GOT
  if [[ $2 == "$3" ]]; then ok "$1"; else fail "$1: wanted '$2', got '$3'"; fi
}

# ---- namespaces ----

in_ns() { # in_ns NAME COMMAND...
  local name=$1
  shift
  ip netns exec "$MERLON_RUN-$name" "$@"
}

new_namespace() {
  ip netns add "$MERLON_RUN-$1"
  ip -n "$MERLON_RUN-$1" link set lo up
  # No second of waiting before an IPv6 address, the router's link-local one above all, may be used.
  in_ns "$1" sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  mkdir -p "/etc/netns/$MERLON_RUN-$1"
  # By number alone, and for the server's own names: nothing of a test leaves the machine.
  printf '127.0.0.1 localhost\n::1 localhost\n%s %s agents.%s web.vault.%s\n' \
    "${2:-127.0.0.1}" "$domain" "$domain" "$domain" >"/etc/netns/$MERLON_RUN-$1/hosts"
}

attach() { # attach NAME GATEWAY4 GATEWAY6: joins a namespace to the router
  local name=$1 router=$MERLON_RUN-router
  new_namespace "$name" "${address4[server]}"
  ip link add "to-$name" netns "$router" type veth peer name eth0 netns "$MERLON_RUN-$name"
  ip -n "$router" address add "$2/24" dev "to-$name"
  ip -n "$router" -6 address add "$3/64" dev "to-$name" nodad
  ip -n "$router" link set "to-$name" up
  ip -n "$MERLON_RUN-$name" address add "${address4[$name]}/24" dev eth0
  ip -n "$MERLON_RUN-$name" -6 address add "${address6[$name]}/64" dev eth0 nodad
  ip -n "$MERLON_RUN-$name" link set eth0 up
  ip -n "$MERLON_RUN-$name" route add default via "$2"
  ip -n "$MERLON_RUN-$name" -6 route add default via "$3"
}

make_network() {
  new_namespace router
  in_ns router sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
  attach server 10.77.0.1 fd77::1
  attach web 198.51.100.1 2001:db8:1::1
  attach alice 192.0.2.1 2001:db8:2::1
  attach mallory 203.0.113.1 2001:db8:3::1
}

# ---- the server ----

healthy() {
  in_ns server curl -fsS --max-time 2 --cacert "$state/ca.pem" "https://localhost:8443/healthz" >/dev/null 2>&1
}
launch_server() { # in the namespace "server"; without waiting for it
  [[ -e /run/netns/$MERLON_RUN-server ]] || new_namespace server
  local listen=(--listen 127.0.0.1:8443 --listen '[::1]:8443')
  if [[ -e /run/netns/$MERLON_RUN-router ]]; then
    listen+=(--listen "${address4[server]}:8443" --listen "[${address6[server]}]:8443")
  fi
  # Not in_ns: the process id must be the server's own.
  ip netns exec "$MERLON_RUN-server" "$MERLON" server --state "$state" --domain "$domain" --keep-bootstrap \
    "${listen[@]}" "$@" \
    >>"$MERLON_TMP/server.log" 2>&1 &
  server_pid=$!
}
start_server() {
  launch_server "$@"
  wait_for 15 "the server answers /healthz" healthy
  sign_in
}
ended() { ! kill -0 "$1" 2>/dev/null; }
stop_server() {
  local pid=$server_pid status=0
  server_pid=''
  kill -TERM "$pid"
  wait_for 10 "the server ends after SIGTERM" ended "$pid"
  wait "$pid" || status=$?
  equal "the server's exit status after SIGTERM" 0 "$status"
}
kill_dead() { # kill_dead PID: kill -9, and gone
  kill -KILL "$1"
  wait "$1" 2>/dev/null || true
}

first() { jq -er ".$1" "$state/bootstrap.json"; } # a member of bootstrap.json

sign_in() { # the bootstrap credential, for merlon and for `api`
  export MERLON_ENDPOINT=https://$domain:8443 MERLON_CA=$state/ca.pem
  MERLON_TENANT=$(first tenantId)
  MERLON_CLIENT_ID=$(first clientId)
  MERLON_CLIENT_SECRET=$(first clientSecret)
  export MERLON_TENANT MERLON_CLIENT_ID MERLON_CLIENT_SECRET
  subscription=$(first subscriptionId)
  group=/subscriptions/$subscription/resourceGroups/rg
  token=$(new_token)
}

new_token() { # new_token [CLIENT-ID SECRET [SCOPE]]
  in_ns server curl -sS --max-time 10 --cacert "$state/ca.pem" \
    "https://$domain:8443/$(first tenantId)/oauth2/v2.0/token" \
    --data-urlencode grant_type=client_credentials --data-urlencode "client_id=${1:-$(first clientId)}" \
    --data-urlencode "client_secret=${2:-$(first clientSecret)}" \
    --data-urlencode "scope=${3:-$(first audience)/.default}" | jq -er .access_token
}

# api METHOD PATH [BODY]: a request with $token from the namespace $from (default server). PATH without a query gets
# $version. Leaves $status and $answer; fails only when nothing answers.
from=server version=2020-01-01 status='' answer=''
api() {
  local method=$1 path=$2 out=$MERLON_TMP/answer.json
  [[ $path == *api-version=* ]] || path+=$([[ $path == *\?* ]] && echo '&' || echo '?')api-version=$version
  local options=(-sS -g --max-time 20 --cacert "$state/ca.pem" -X "$method" -o "$out" -w '%{http_code}')
  # curl takes every name in .localhost for this machine, whatever /etc/hosts says.
  if [[ $from != server ]]; then options+=(--resolve "$domain:8443:${address4[server]}"); fi
  if [[ $# -gt 2 ]]; then options+=(-H 'Content-Type: application/json' --data "$3"); fi
  # curl takes *.localhost for its own loopback, whatever the namespace's hosts file says.
  if [[ $from != server ]]; then options+=(--connect-to "$domain:8443:${address4[server]}:8443"); fi
  : >"$out"
  status=$(in_ns "$from" curl "${options[@]}" -H "Authorization: Bearer $token" "https://$domain:8443$path") ||
    fail "$method $path: no answer"
  answer=$(<"$out")
}
is_status() { # is_status WHAT STATUS [CODE]: of the last answer
  [[ $status == "$2" ]] || fail "$1: wanted status $2, got $status: ${answer:0:600}"
  if [[ $# -gt 2 ]]; then
    local code
    code=$(jq -r '.error.code // empty' <<<"$answer")
    [[ $code =~ ^($3)$ ]] || fail "$1: wanted code $3, got '$code': ${answer:0:600}"
    [[ $(jq -r '.error.message | length' <<<"$answer") -gt 10 ]] || fail "$1: the error has no message"
  fi
  ok "$1"
}
field() { jq -er "$1" <<<"$answer"; }

merlon() { in_ns server "$MERLON" "$@"; } # the command line, beside the server

# ---- the machine ----

on_web() { # as a machine with a host name of its own
  # shellcheck disable=SC2016
  in_ns web unshare --uts bash -c 'hostname web-1 && exec "$@"' web-1 "$@"
}

start_sshd() { # start_sshd PORT...
  [[ -f $MERLON_TMP/id ]] || ssh-keygen -q -t ed25519 -N '' -C test -f "$MERLON_TMP/id"
  "$MERLON_ROOT/scripts/sshd-in-namespace" "$MERLON_RUN-web" "$MERLON_TMP/sshd" web-1 "$MERLON_TMP/id.pub" "$@" \
    >"$MERLON_TMP/sshd.log" 2>&1 &
  local port
  for port in "$@"; do wait_for 10 "sshd listens on $port" listens web "$port"; done
}
listens() { in_ns "$1" ss -Hltn "sport = :$2" | grep -q .; }

launch_agent() {
  # shellcheck disable=SC2016
  ip netns exec "$MERLON_RUN-web" unshare --uts bash -c 'hostname web-1 && exec "$@"' web-1 \
    env -u MERLON_CLIENT_SECRET "$MERLON" agent run --state "$MERLON_TMP/agent" >>"$MERLON_TMP/agent.log" 2>&1 &
  agent_pid=$!
}
agent_processes() { # the pid of each
  local pid
  for pid in $(ip netns pids "$MERLON_RUN-web"); do
    if tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'merlon agent run'; then echo "$pid"; fi
  done
}
kill_agent() { # -9, each of its processes
  local pid
  for pid in $(agent_processes); do kill -KILL "$pid" 2>/dev/null || true; done
  wait "$agent_pid" 2>/dev/null || true
}
enrol() { # web-1 into the resource group "rg", straight into enforcement
  local said
  said=$(merlon machine token --resource-group rg --name web-1 --enforce)
  on_web env -u MERLON_CLIENT_SECRET "$MERLON" agent enrol --server "https://$domain:8443" --ca "$state/ca.pem" \
    --token "$(tail -n 1 <<<"$said" | awk '{print $NF}')" --state "$MERLON_TMP/agent" >"$MERLON_TMP/enrol.log" 2>&1 ||
    fail "enrolment: $(<"$MERLON_TMP/enrol.log")"
  launch_agent
  wait_for 30 "web-1 enforces its rules" in_step
}
machine=''
read_machine() {
  api GET "$group/providers/Merlon.Machines/machines/web-1"
  [[ $status == 200 ]] && machine=$answer
}
in_step() { # the machine has confirmed what the server wants
  read_machine && jq -e '.properties | .status == "Connected" and .appliedMode == "enforce" and .confirmed
    and .appliedVersion == .desiredVersion and .error == ""' >/dev/null <<<"$machine"
}

whole_set_up() { # everything: network, server, sshd on 22 and 2222, enrolled machine, just-in-time policy for 22
  make_network
  start_server
  start_sshd 22 2222
  can_ssh alice || fail "without Merlon's rules ssh from alice must work, or the tests below prove nothing"
  enrol
  put_policy 22 "${1:-PT1H}"
  wait_for 10 "the policy has reached the machine" in_step
}

vm() { echo "$group/providers/Microsoft.Compute/virtualMachines/web-1"; }
nsg() { echo "$group/providers/Microsoft.Network/networkSecurityGroups/web-1-nsg"; }
policy() { echo "$group/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default"; }

put_policy() { # put_policy PORT DURATION [SOURCE]
  api PUT "$(policy)" "$(jq -n --arg id "$(vm)" --argjson port "$1" --arg max "$2" --arg source "${3:-*}" '
    {kind: "Basic", properties: {virtualMachines: [{id: $id, ports: [{number: $port, protocol: "TCP",
      allowedSourceAddressPrefix: $source, maxRequestAccessDuration: $max}]}]}}')"
  is_status "a just-in-time policy for port $1" 200
}

# initiate SECONDS [SOURCE [PORT]]: without a source, the caller's own address ($from) is meant.
initiate() {
  api POST "$(policy)/initiate" "$(jq -n --arg id "$(vm)" --arg until "$(rfc3339_in "$1")" --arg source "${2:-}" \
    --argjson port "${3:-22}" '{virtualMachines: [{id: $id, ports: [{number: $port, endTimeUtc: $until}
      + (if $source == "" then {} else {allowedSourceAddressPrefix: $source} end)]}], justification: "e2e"}')"
}
rfc3339_in() { date -u -d "@$(($(date +%s) + $1))" +%Y-%m-%dT%H:%M:%SZ; }

# can_ssh CLIENT [4|6 [PORT]]: a whole login with real ssh, and the right machine at the other end.
can_ssh() {
  local client=$1 to=${address4[web]} said
  [[ ${2:-4} == 4 ]] || to=${address6[web]}
  said=$(in_ns "$client" ssh -F none -i "$MERLON_TMP/id" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=2 \
    -o ConnectionAttempts=1 -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$MERLON_TMP/known_hosts" \
    -p "${3:-22}" "admin@$to" hostname </dev/null 2>>"$MERLON_TMP/ssh.log") && [[ $said == web-1 ]]
}

# can_connect CLIENT: is a new connection to port 22 let in? Answered sooner than a whole login, for timing.
can_connect() {
  # shellcheck disable=SC2016
  in_ns "$1" timeout 0.5 bash -c 'exec 3<>"/dev/tcp/$0/22"' "${address4[web]}" 2>/dev/null
}
