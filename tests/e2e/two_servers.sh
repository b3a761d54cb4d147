# Two servers, a and b, on one PostgreSQL and under one name, for tests that have sourced lib.sh and postgres.sh.
# shellcheck shell=bash disable=SC2034,SC2154
declare -A port_of=([a]=8443 [b]=8444) pid_of=()
mkdir -p "$state"


launch() { # launch a|b [OPTION...]
  local server=$1 port=${port_of[$1]}
  shift
  ip netns exec "$MERLON_RUN-server" "$MERLON" server --state "$MERLON_TMP/$server" --store "$database" \
    --root-key "$MERLON_TMP/root.key" --domain "$domain" --keep-bootstrap --listen "127.0.0.1:$port" \
    --listen "${address4[server]}:$port" "$@" >>"$MERLON_TMP/$server.log" 2>&1 &
  pid_of[$server]=$!
}
answers() { # answers a|b
  in_ns server curl -fsS --max-time 2 --cacert "$MERLON_TMP/$1/ca.pem" "https://localhost:${port_of[$1]}/healthz" \
    >/dev/null 2>&1
}
ask() { # ask a|b METHOD PATH [BODY]: as api() does, of that server
  local options=(-sS -g --max-time 20 --cacert "$state/ca.pem" -X "$2" -o "$MERLON_TMP/answer.json"
    -D "$MERLON_TMP/answer.head" -w '%{http_code}')
  if [[ $# -gt 3 ]]; then options+=(-H 'Content-Type: application/json' --data "$4"); fi
  local path=$3
  [[ $path == *api-version=* ]] || path+="?api-version=$version"
  : >"$MERLON_TMP/answer.json"
  status=$(in_ns server curl "${options[@]}" -H "Authorization: Bearer $token" \
    "https://$domain:${port_of[$1]}$path") || status=000
  answer=$(<"$MERLON_TMP/answer.json")
}
