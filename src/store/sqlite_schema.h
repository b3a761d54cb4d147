// What opening does to the file: whose it is, whether this program may touch it, its tables, and the
// migrations.
#pragma once

#include <string>

#include "store/sqlite_connection.h"
#include "store/sqlite_rows.h"
#include "store/store.h"

namespace merlon::store {

// Refuses files that are not Merlon's or newer than this program before it changes a byte of them; then
// brings the file to the schema in one transaction. `path` is for messages.
Result<void> prepare_database(Connection& connection, const Layout& layout, const Schema& schema,
                              const std::string& path);
// For a reader beside the server: refuses what is not ours, or not of this very schema.
Result<void> expect_database(Connection& connection, const Layout& layout, const Schema& schema,
                             const std::string& path);

}  // namespace merlon::store
