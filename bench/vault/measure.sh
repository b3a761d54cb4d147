#!/usr/bin/env bash
# What run measures, inside a network namespace of its own. Each figure is the median of the rounds, in which all take turns,
# so that whatever else the machine does falls on all of them.
# shellcheck source=/dev/null disable=SC2154,SC2034
source "${MERLON_ROOT:?}/tests/e2e/lib.sh"
rounds=$1 seconds=$2 secrets=$3 connections=64
cores=$(nproc)
start_server >&2
version=2021-04-01
api PUT "$group" '{"location":"local"}'
api PUT "$group/providers/Microsoft.Network/networkSecurityGroups/web?api-version=2023-09-01" '{"location":"local"}'
merlon vault create -n web -g rg >/dev/null
merlon role assign --assignee "$(first clientId)" --role 'Key Vault Administrator' -g rg >/dev/null
vault_token=$(new_token "" "" https://vault.azure.net/.default)
vault_url=https://web.vault.$domain:8443
vault() { # vault METHOD PATH [BODY]
  in_ns server curl -fsS --max-time 60 --cacert "$state/ca.pem" -X "$1" -H "Authorization: Bearer $vault_token" \
    -H 'Content-Type: application/json' ${3:+-d "$3"} "$vault_url$2?api-version=7.4"
}
vault POST /keys/rsa/create '{"kty":"RSA","key_size":2048}' >/dev/null
vault POST /keys/ec/create '{"kty":"EC","crv":"P-256"}' >/dev/null
vault POST /keys/aes/create '{"kty":"oct","key_size":256}' >/dev/null
vault PUT /secrets/one '{"value":"a value of a common length, like that of a password"}' >/dev/null
random32=$(head -c 32 /dev/urandom | basenc --base64url | tr -d '=')

cat >"$MERLON_TMP/ask.lua" <<'LUA'
-- ask.lua TOKEN METHOD BODY: one request again and again; "-" is no body
function init(args)
  wrk.method = args[2]
  if args[1] ~= "-" then wrk.headers["Authorization"] = "Bearer " .. args[1] end
  if args[3] ~= "-" then
    wrk.body = args[3]
    wrk.headers["Content-Type"] = args[4] or "application/json"
  end
end
function done(summary, latency)
  io.write(string.format("RESULT %.1f %d %.0f %.0f\n", summary.requests / (summary.duration / 1e6),
    summary.errors.status + summary.errors.timeout, latency:percentile(50), latency:percentile(99)))
end
LUA
ask() { # ask CONNECTIONS URL TOKEN METHOD BODY [TYPE]: "rate errors p50 p99", the times in microseconds
  local result
  result=$(in_ns server wrk -t1 -c"$1" -d"${seconds}s" --timeout 30s -s "$MERLON_TMP/ask.lua" "$2" -- "${@:3}" |
    sed -n 's/^RESULT //p')
  [[ $(cut -d' ' -f2 <<<"$result") == 0 ]] || fail "requests failed at $2: $result"
  echo "$result"
}
rate() { ask "$connections" "$@" | cut -d' ' -f1; }
openssl_rate() { # openssl_rate ALGORITHM: signatures a second, on every core
  openssl speed -seconds "$seconds" -multi "$cores" -mr "$1" 2>/dev/null | awk -F: '/^\+F[24]/ { print $4 }' | tail -n 1
}
median() { sort -g | sed -n "$(((rounds + 1) / 2))p"; }

declare -A figures
keep() { figures[$1]+="$2 "; }
encoded() { first "$1" | jq -sRr 'rtrimstr("\n")|@uri'; }
form="grant_type=client_credentials&client_id=$(first clientId)&client_secret=$(encoded clientSecret)"
form+="&scope=$(encoded audience)%2F.default"
digest="{\"alg\":\"RS256\",\"value\":\"$random32\"}"
for round in $(seq 1 "$rounds"); do
  echo "round $round of $rounds" >&2
  keep rsa-openssl "$(openssl_rate rsa2048)"
  keep rsa-vault "$(rate "$vault_url/keys/rsa/sign?api-version=7.4" "$vault_token" POST "$digest")"
  keep ec-openssl "$(openssl_rate ecdsap256)"
  keep ec-vault "$(rate "$vault_url/keys/ec/sign?api-version=7.4" "$vault_token" POST "${digest/RS256/ES256}")"
  keep get "$(rate "https://$domain:8443$group/providers/Microsoft.Network/networkSecurityGroups/web?api-version=2023-09-01" "$token" GET -)"
  keep wrap "$(rate "$vault_url/keys/aes/wrapkey?api-version=7.4" "$vault_token" POST "${digest/RS256/A256KW}")"
  keep secret "$(rate "$vault_url/secrets/one?api-version=7.4" "$vault_token" GET -)"
  keep token "$(rate "https://$domain:8443/$(first tenantId)/oauth2/v2.0/token" - POST "$form" application/x-www-form-urlencoded)"
done
of() { tr ' ' '\n' <<<"${figures[$1]}" | sed '/^$/d' | median; }
row() { # row WHAT FIGURE OF WANTED
  awk -v what="$1" -v a="$(of "$2")" -v b="$(of "$3")" -v of="$3" -v wanted="$4" \
    'BEGIN { printf "| %s | %.0f | %.2f of %s (%.0f) | %s |\n", what, a, a / b, of, b, wanted }'
}
echo "| $cores cores, $rounds rounds of $seconds s | per second | ratio | wanted |"
echo "| --- | --- | --- | --- |"
row "RSA-2048 sign" rsa-vault rsa-openssl 0.80
row "ES256 sign" ec-vault ec-openssl 0.50
row "AES-256 key wrap" wrap get 0.50
row "secret GET" secret get 0.50
row "token by client credentials" token rsa-openssl 0.80

# -- a vault with very many secrets, beside one with a thousand in the same server; they take turns. Put in through the API, by
# one connection that keeps many requests under way.
[[ $secrets -gt 0 ]] || { stop_server >&2; exit; }
merlon vault create -n large -g rg >/dev/null
echo "127.0.0.1 large.vault.$domain" >>"/etc/netns/$MERLON_RUN-server/hosts"
memory() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$server_pid/status"; }
fill() { # fill VAULT FROM TO
  vault_token=$(new_token "" "" https://vault.azure.net/.default)
  in_ns server python3 "$MERLON_ROOT/bench/vault/fill.py" "$state/ca.pem" "$1.vault.$domain" 8443 "$vault_token" "$2" "$3"
}
look() { # look VAULT: by one connection; times in microseconds
  local url=https://$1.vault.$domain:8443/secrets get list
  get=$(ask 1 "$url/s500?api-version=7.4" "$vault_token" GET -)
  list=$(ask 1 "$url?api-version=7.4&maxresults=25" "$vault_token" GET -)
  keep "$1-get-p50" "$(cut -d' ' -f3 <<<"$get")"
  keep "$1-get-p99" "$(cut -d' ' -f4 <<<"$get")"
  keep "$1-list-p50" "$(cut -d' ' -f3 <<<"$list")"
  keep "$1-list-p99" "$(cut -d' ' -f4 <<<"$list")"
}
fill web 1 1000
fill large 1 1000
memory_before=$(memory)
fill large 1001 "$secrets"
memory_after=$(memory)
vault_token=$(new_token "" "" https://vault.azure.net/.default)
for round in $(seq 1 "$rounds"); do
  echo "round $round of $rounds of the two vaults" >&2
  look web
  look large
done
echo
echo "| secrets in the vault | GET p50 / p99, µs | list page p50 / p99, µs | server's memory, MiB |"
echo "| --- | --- | --- | --- |"
echo "| 1000 | $(of web-get-p50) / $(of web-get-p99) | $(of web-list-p50) / $(of web-list-p99) | $memory_before |"
echo "| $secrets | $(of large-get-p50) / $(of large-get-p99) | $(of large-list-p50) / $(of large-list-p99) | $memory_after |"
stop_server >&2
