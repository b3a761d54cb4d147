// What opening does to a PostgreSQL database: whose it is, whether this program may touch it, its tables, and
// the migrations. Not for other rooms.
//
//   schema merlon        everything of ours; a database may hold other programs' schemas beside it
//   merlon_meta          format, migration, product_version
//   merlon_writer        one row, which every group commit of every server updates first: it is the lock that
//                        makes writers take turns, counts commits, and tells a running server that a newer
//                        one has upgraded the database
#pragma once

#include "store/layout.h"
#include "store/postgres_connection.h"

namespace merlon::store {

// Holds off every other server that starts, until the connection closes: what the rooms above make at their
// first start (keys, settings) they make once. Nothing is upgraded under a server that starts.
Result<void> take_start_lock(PostgresConnection& connection);

Result<void> prepare_postgres(PostgresConnection& connection, const Layout& layout, const Schema& schema,
                              const std::string& name);

// For readers that must not change anything: refuses what is not ours, or not of this very schema.
Result<void> expect_postgres(PostgresConnection& connection, const Layout& layout, const Schema& schema,
                             const std::string& name);

}  // namespace merlon::store
