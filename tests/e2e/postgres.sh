# A PostgreSQL of a test's own, for tests that have sourced lib.sh. In $MERLON_TMP, over a Unix socket alone, which
# reaches into every network namespace; it ends with the test.
# shellcheck shell=bash disable=SC2034,SC2154
postgres_bin=/usr/lib/postgresql/15/bin
database=''

as_postgres() {
  if [[ $EUID -ne 0 ]]; then "$@"; else setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; fi
}
start_postgres() { # leaves its address in $database
  local dir=$MERLON_TMP/postgres
  [[ -x $postgres_bin/initdb ]] || fail "there is no PostgreSQL 15: scripts/setup test"
  chmod 711 "$MERLON_TMP" # whoever runs PostgreSQL must get through
  mkdir -p "$dir"
  [[ $EUID -ne 0 ]] || chown postgres "$dir"
  (cd / && as_postgres "$postgres_bin/initdb" -D "$dir/data" -A trust -U merlon --no-sync -E UTF8 --locale=C \
    --no-instructions) >"$dir.log" 2>&1 || fail "initdb"
  trap 'stop_postgres immediate' EXIT
  run_postgres
  database="postgres://merlon@/postgres?host=$dir"
}
run_postgres() {
  local dir=$MERLON_TMP/postgres
  (cd / && as_postgres "$postgres_bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/server.log" -o "-c listen_addresses= \
    -c unix_socket_directories=$dir -c max_connections=200 -c shared_buffers=32MB" start) >>"$dir.log" 2>&1 ||
    fail "PostgreSQL does not start"
}
stop_postgres() { # stop_postgres fast|immediate
  (cd / && as_postgres "$postgres_bin/pg_ctl" -D "$MERLON_TMP/postgres/data" -m "$1" stop) >/dev/null 2>&1 || true
}
in_database() { as_postgres "$postgres_bin/psql" -h "$MERLON_TMP/postgres" -U merlon -d postgres -qAtX -c "$1"; }
