// The thin layer over SQLite's C API. https://www.sqlite.org/security.html says which switches a program that
// keeps attackers out should set; harden() sets them.
#include "store/sqlite_connection.h"

#include <sqlite3.h>

#include <array>
#include <utility>

namespace merlon::store {
namespace {

constexpr int kRecordBytesMax = 80 * 1024 * 1024;  // above table.h's 64 MiB of JSON, with its keys
constexpr int kBusyTimeoutMs = 5000;

// Nobody asks how much memory SQLite has in all; counting it makes every allocation of every thread take one
// mutex (https://www.sqlite.org/malloc.html#memory_allocation_statistics). Refused, without harm, where
// SQLite is in use.
void do_not_count_memory() {
  static const int done = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(done);
}

}  // namespace

Query::Query(Query&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      next_parameter_(other.next_parameter_),
      bind_code_(other.bind_code_) {}

Query::~Query() {
  if (statement_ == nullptr) return;
  // The code of the last step comes back here a second time; step() has reported it.
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void Query::bound(int code) {
  ++next_parameter_;
  if (bind_code_ == SQLITE_OK) bind_code_ = code;
}

Query& Query::bind(std::string_view text) {
  // A null pointer would bind NULL: an empty view may have one.
  const char* data = text.data() == nullptr ? "" : text.data();
  bound(sqlite3_bind_text64(statement_, next_parameter_, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Query& Query::bind_optional(const std::optional<std::string>& text) {
  if (text) return bind(std::string_view(*text));
  bound(sqlite3_bind_null(statement_, next_parameter_));
  return *this;
}

Query& Query::bind(int64_t number) {
  bound(sqlite3_bind_int64(statement_, next_parameter_, number));
  return *this;
}

Result<bool> Query::step() {
  if (bind_code_ != SQLITE_OK) return connection_->failure(bind_code_, sqlite3_sql(statement_));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return connection_->failure(code, sqlite3_sql(statement_));
}

Result<void> Query::run() {
  while (TRY(step())) {
  }
  return {};
}

std::string Query::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::optional<std::string> Query::optional_text(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
  return text(column);
}

int64_t Query::number(int column) const { return sqlite3_column_int64(statement_, column); }

void Connection::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
void Connection::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Access access,
                                                     const char* vfs) {
  // NOMUTEX: a connection has one user at a time. Readers are READONLY: they can neither commit nor
  // checkpoint, which keeps Debian 12's SQLite 3.40 away from the WAL-reset race (fixed upstream in 3.51.3).
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE |
                    (access == Access::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  do_not_count_memory();
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, vfs);
  std::unique_ptr<Connection> connection(new Connection(handle));
  if (code != SQLITE_OK) return connection->failure(code, "open " + path);
  TRY(connection->harden(access));
  return connection;
}

Result<void> Connection::harden(Access access) {
  sqlite3* db = handle_.get();
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  constexpr std::array<std::pair<int, int>, 7> kSwitches = {{{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                                                             {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                                             {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                                                             {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                                             {SQLITE_DBCONFIG_DQS_DML, 0},
                                                             {SQLITE_DBCONFIG_DQS_DDL, 0},
                                                             {SQLITE_DBCONFIG_DEFENSIVE, 1}}};
  for (const auto& [option, value] : kSwitches) {
    const int code = sqlite3_db_config(db, option, value, nullptr);
    if (code != SQLITE_OK) return failure(code, "harden the connection");
  }
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, kRecordBytesMax);
  sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 64 * 1024);
  sqlite3_limit(db, SQLITE_LIMIT_COLUMN, 64);
  sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 64);
  sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 4);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit(db, SQLITE_LIMIT_VARIABLE_NUMBER, 64);
  sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
  sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
  TRY(execute(
      "PRAGMA cell_size_check=ON; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0"));
  if (access == Access::read_only) return execute("PRAGMA query_only=ON");
  // No spilling: a transaction reaches the disk at COMMIT alone, so a full disk shows in one place
  // (sqlite_writer.cpp).
  return execute(
      "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-4096; PRAGMA "
      "cache_spill=OFF");
}

Result<void> Connection::execute(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code, sql);
  return {};
}

Result<Query> Connection::query(const std::string& sql) {
  auto& statement = statements_[sql];
  if (!statement) {
    sqlite3_stmt* prepared = nullptr;
    const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
    if (code != SQLITE_OK) {
      auto error = failure(code, sql);
      statements_.erase(sql);
      return error;
    }
    statement.reset(prepared);
  }
  return Query(*this, statement.get());
}

Result<Query> Connection::query(const void* owner, size_t number, const std::function<std::string()>& sql) {
  sqlite3_stmt*& statement = owned_[owner].at(number);
  if (statement != nullptr) return Query(*this, statement);
  const std::string text = sql();
  auto prepared = TRY(query(text));
  statement = statements_.at(text).get();
  return prepared;
}

std::unexpected<Error> Connection::failure(int code, std::string_view doing) const {
  std::string cause =
      "SQLite: " + std::string(sqlite3_errmsg(handle_.get())) + " (code " + std::to_string(code) + "): ";
  cause += doing;
  const auto refuse = [&](ErrorKind kind, std::string_view name, std::string message) {
    auto error = fail(kind, name, std::move(message));
    error.error().cause = std::move(cause);
    return error;
  };
  switch (code & 0xff) {
    case SQLITE_FULL:
      return refuse(ErrorKind::unavailable, "StorageFull",
                    "Nothing was changed: the disk that holds Merlon's state is full. Free space on it, then "
                    "try again.");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return refuse(
          ErrorKind::unavailable, "StorageBusy",
          "Nothing was changed: another program holds Merlon's database. Close it, then try again.");
    case SQLITE_NOTADB:
      return refuse(
          ErrorKind::unavailable, "NotMerlonDatabase",
          "merlon.db in the state directory is not a Merlon database, or damaged; it was left as it is. "
          "Name another state directory, or move the file away.");
    case SQLITE_TOOBIG:
      return refuse(ErrorKind::too_large, "RecordTooLarge",
                    "Nothing was changed: the record is larger than " + std::to_string(kRecordBytesMax) +
                        " bytes. Store less in it.");
    default:
      return internal_error(std::move(cause));
  }
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
int64_t Connection::changes() const { return sqlite3_changes64(handle_.get()); }

}  // namespace merlon::store
