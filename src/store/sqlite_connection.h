// One SQLite connection with its statement cache, and one run of a statement. Everything that SQLite says is
// turned into a Result here. A connection belongs to one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace merlon::store {

class Connection;

// One run of a cached statement: bind in order, step, read columns. Reset and unbound when it goes out of
// scope, so no statement holds a snapshot or a page longer than that. What is bound must outlive the run.
class Query {
 public:
  Query(Connection& connection, sqlite3_stmt* statement) : connection_(&connection), statement_(statement) {}
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();

  Query& bind(std::string_view text);  // with its length: an embedded NUL is data
  Query& bind_optional(const std::optional<std::string>& text);
  Query& bind(int64_t number);

  Result<bool> step();  // true: a row is there
  Result<void> run();   // to the end, rows ignored
  std::string text(int column) const;
  std::optional<std::string> optional_text(int column) const;
  int64_t number(int column) const;

 private:
  void bound(int code);

  Connection* connection_;
  sqlite3_stmt* statement_;
  int next_parameter_ = 1;
  int bind_code_ = 0;
};

class Connection {
 public:
  enum class Access { read_only, read_write };

  // The file must exist. Hardened: no extensions, no attached files, no triggers or views, bounded
  // statements.
  // `vfs`: state_disk.h.
  static Result<std::unique_ptr<Connection>> open(const std::string& path, Access access,
                                                  const char* vfs = nullptr);

  Result<void> execute(const char* sql);        // one or more statements without parameters
  Result<Query> query(const std::string& sql);  // prepared once per connection and text
  // The same for a text that always belongs to this owner, which outlives the connection, and number: it is
  // asked for once.
  static constexpr size_t kOwnedMax = 4;
  Result<Query> query(const void* owner, size_t number, const std::function<std::string()>& sql);
  Result<void> run(const std::string& sql) { return TRY(query(sql)).run(); }
  // Of the last statement that failed. `doing` is for the log: it must not hold row contents.
  std::unexpected<Error> failure(int code, std::string_view doing) const;
  bool in_transaction() const;
  int64_t changes() const;  // rows that the last statement wrote
  sqlite3* handle() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  explicit Connection(sqlite3* handle) : handle_(handle) {}
  Result<void> harden(Access access);

  std::unique_ptr<sqlite3, Close> handle_;
  std::unordered_map<std::string, std::unique_ptr<sqlite3_stmt, Finalize>>
      statements_;                                                               // gone before the handle
  std::unordered_map<const void*, std::array<sqlite3_stmt*, kOwnedMax>> owned_;  // of statements_
};

}  // namespace merlon::store
