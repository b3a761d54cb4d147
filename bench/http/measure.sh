#!/usr/bin/env bash
# What run measures, inside a network namespace of its own: a server with one security group, and nginx with the same
# certificate and the same answer as a file. Each figure is the median of the rounds, in which the two take turns. Beside
# rates stands what a request costs the server's processes (user and system time): it hardly depends on what else the
# machine does.
# shellcheck source=/dev/null disable=SC2154
source "${MERLON_ROOT:?}/tests/e2e/lib.sh"
rounds=$1 seconds=$2 connections=64
# The load, the server and the peer share one namespace. The server counts its fsyncs.
cc -O2 -shared -fPIC -o "$MERLON_TMP/fsync_shim.so" "$MERLON_ROOT/bench/http/fsync_shim.c" -ldl
export BENCH_FSYNC_COUNT=$MERLON_TMP/fsyncs
printf '#!/bin/sh\nexec env LD_PRELOAD=%s %s "$@"\n' "$MERLON_TMP/fsync_shim.so" "$MERLON" >"$MERLON_TMP/merlon"
chmod +x "$MERLON_TMP/merlon"
MERLON=$MERLON_TMP/merlon
start_server >&2

path="$group/providers/Microsoft.Network/networkSecurityGroups/web?api-version=2023-09-01"
rule='{"name":"web","properties":{"protocol":"Tcp","access":"Allow","direction":"Inbound","priority":100,
"sourceAddressPrefix":"192.0.2.0/24","sourcePortRange":"*","destinationAddressPrefix":"*","destinationPortRange":"443"}}'
api PUT "$group?api-version=2021-04-01" '{"location":"local"}'
api PUT "$path" "{\"location\":\"local\",\"properties\":{\"securityRules\":[$rule]}}"

# nginx with what its manual recommends for speed; the answer is what Merlon gave, headers apart.
mkdir -p "$MERLON_TMP/www" "$MERLON_TMP/tls"
api GET "$path"
printf %s "$answer" >"$MERLON_TMP/www/web.json"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2 \
  -keyout "$MERLON_TMP/tls/key.pem" -out "$MERLON_TMP/tls/cert.pem" 2>/dev/null
cat >"$MERLON_TMP/nginx.conf" <<CONF
worker_processes 2; daemon off;
pid $MERLON_TMP/nginx.pid;
error_log $MERLON_TMP/nginx-error.log;
user root;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75s;
  open_file_cache max=100; open_file_cache_valid 60s;
  default_type application/json;
  client_body_temp_path $MERLON_TMP/n1; proxy_temp_path $MERLON_TMP/n2; fastcgi_temp_path $MERLON_TMP/n3;
  uwsgi_temp_path $MERLON_TMP/n4; scgi_temp_path $MERLON_TMP/n5;
  server {
    listen 127.0.0.1:9443 ssl;
    ssl_certificate $MERLON_TMP/tls/cert.pem; ssl_certificate_key $MERLON_TMP/tls/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3; root $MERLON_TMP/www;
  }
}
CONF
# Not as a daemon: in a session of its own the kernel would give it a share of the machine of its own
# (sched(7), "The autogroup feature").
in_ns server nginx -c "$MERLON_TMP/nginx.conf" &
nginx_answers() { in_ns server curl -fsSk --max-time 2 https://127.0.0.1:9443/web.json >/dev/null 2>&1; }
wait_for 10 "nginx answers" nginx_answers

cat >"$MERLON_TMP/get.lua" <<'LUA'
function init(args) wrk.headers["Authorization"] = "Bearer " .. args[1] end
function done(summary)
  io.write(string.format("RESULT %.1f %d\n", summary.requests / (summary.duration / 1e6), summary.errors.status))
end
LUA
# Each PUT creates or replaces one of five hundred application security groups: a document, its index, who changed it,
# and an entry in the ledger.
cat >"$MERLON_TMP/put.lua" <<'LUA'
function init(args)
  wrk.headers["Authorization"] = "Bearer " .. args[1]
  wrk.headers["Content-Type"] = "application/json"
  made, n = {}, 0
  for i = 1, 500 do made[i] = wrk.format("PUT", (wrk.path:gsub("/web%?", "/web" .. i .. "?")), nil, args[2]) end
end
function request()
  n = n % 500 + 1
  return made[n]
end
function done(summary)
  io.write(string.format("RESULT %.1f %d\n", summary.requests / (summary.duration / 1e6), summary.errors.status))
end
LUA
small="$group/providers/Microsoft.Network/applicationSecurityGroups/web?api-version=2023-09-01"
put_body='{"location":"local","tags":{"team":"edge"}}'

ticks() { # ticks PID...: their processor time, in clock ticks
  local pid sum=0 fields
  for pid in "$@"; do
    read -ra fields <"/proc/$pid/stat"
    sum=$((sum + fields[13] + fields[14]))
  done
  echo "$sum"
}
load() { # load URL get|put CONNECTIONS PID...: requests a second, and the microseconds that each cost these processes
  local answer rate failures before
  before=$(ticks "${@:4}")
  answer=$(in_ns server wrk -t1 -c"$3" -d"${seconds}s" -s "$MERLON_TMP/$2.lua" "$1" -- "$token" "$put_body")
  read -r _ rate failures < <(grep '^RESULT' <<<"$answer")
  [[ $failures == 0 ]] || fail "$failures answers of $1 were no success"
  awk -v r="$rate" -v s="$seconds" -v t="$(($(ticks "${@:4}") - before))" -v hz="$(getconf CLK_TCK)" \
    'BEGIN {print r, t / hz * 1e6 / (r * s)}'
}
median() { printf '%s\n' "$@" | sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", b ? a/b : 0}'; }
fsyncs() { od -An -tu8 "$MERLON_TMP/fsyncs" | tr -d ' '; }

server=https://localhost:8443
mapfile -t nginx_workers < <(pgrep -P "$(cat "$MERLON_TMP/nginx.pid")")
files=() gets=() puts=() shares=() file_costs=() get_costs=() put_costs=()
for ((round = 1; round <= rounds; ++round)); do
  echo "round $round of $rounds" >&2
  read -r rate cost < <(load https://127.0.0.1:9443/web.json get $connections "${nginx_workers[@]}")
  files+=("$rate") file_costs+=("$cost")
  read -r rate cost < <(load "$server$path" get $connections "$server_pid")
  gets+=("$rate") get_costs+=("$cost")
  before=$(fsyncs)
  read -r rate cost < <(load "$server$small" put $connections "$server_pid")
  puts+=("$rate") put_costs+=("$cost")
  shares+=("$(awk -v r="${puts[-1]}" -v s="$seconds" -v f="$(($(fsyncs) - before))" 'BEGIN {print r*s/f}')")
done
stop_server >&2
# With 5 ms for each fsync: a request of its own commit against many that share one.
export BENCH_FSYNC_DELAY_US=5000
start_server
ones=() grouped=()
for ((round = 1; round <= rounds; ++round)); do
  echo "slow disk, round $round of $rounds" >&2
  read -r rate _ < <(load "$server$small" put 1 "$server_pid")
  ones+=("$rate")
  read -r rate _ < <(load "$server$small" put $connections "$server_pid")
  grouped+=("$rate")
done
file=$(median "${files[@]}") get=$(median "${gets[@]}") put=$(median "${puts[@]}")
one=$(median "${ones[@]}") many=$(median "${grouped[@]}")
row() { printf '%-52s %12s %8s %13s  %s\n' "$@"; }
cost() { printf '%.1f' "$(median "$@")"; }
{
  echo
  row '' 'per second' ratio 'CPU µs each' wanted
  row 'nginx, the same bytes as a static file' "$file" 1 "$(cost "${file_costs[@]}")" ''
  row 'hot GET, authenticated and authorized' "$get" "$(ratio "$get" "$file")" "$(cost "${get_costs[@]}")" '0.70 of nginx'
  row "durable PUT, $connections connections" "$put" "$(ratio "$put" "$get")" "$(cost "${put_costs[@]}")" \
    '0.25 of hot GET'
  row '  acknowledged for each fsync' "$(median "${shares[@]}")" '' '' '10'
  row '5 ms an fsync: PUT, one connection' "$one" 1 '' ''
  row "5 ms an fsync: PUT, $connections connections" "$many" "$(ratio "$many" "$one")" '' '20 of one'
}
