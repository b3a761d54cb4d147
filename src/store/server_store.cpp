// Which store: the embedded one, or PostgreSQL.
#include "store/server_store.h"

namespace merlon::store {
namespace {

bool is_postgres(const std::string& where) {
  return where.starts_with("postgres://") || where.starts_with("postgresql://");
}

std::unexpected<Error> unknown_store() {
  // Not quoted: it may hold a password.
  return fail(ErrorKind::unsupported, "StoreNotSupported",
              "Merlon does not know this kind of --store. Leave it out for the embedded store, or give "
              "postgres://USER@HOST/DATABASE.");
}

}  // namespace

Result<std::unique_ptr<ServerStore>> open_store(const std::string& where, const std::string& directory,
                                                const Schema& schema) {
  if (where == kEmbeddedStore) return open_sqlite_store(directory, schema);
  if (is_postgres(where)) return open_postgres(where, schema);
  return unknown_store();
}

Result<std::unique_ptr<SnapshotStore>> open_snapshot(const std::string& where, const std::string& directory,
                                                     const Schema& schema) {
  if (where == kEmbeddedStore) return open_sqlite_snapshot(directory, schema);
  if (is_postgres(where)) return open_postgres_snapshot(where, schema);
  return unknown_store();
}

}  // namespace merlon::store
