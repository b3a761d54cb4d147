// A real PostgreSQL of the tests' own, in a directory of its own, reached over a Unix socket alone. A process
// beside the tests starts it, and ends it and removes the directory when the tests end, however they end: it
// holds a pipe of theirs.
#pragma once

#include <memory>
#include <string>

#include "store/store_contract.h"

namespace merlon::store {

class PostgresTestServer {
 public:
  // The one of this test program, started when first asked for, while this process has one thread. Empty
  // socket() when this machine has no PostgreSQL 15.
  static PostgresTestServer& instance();
  PostgresTestServer(const PostgresTestServer&) = delete;
  PostgresTestServer& operator=(const PostgresTestServer&) = delete;

  const std::string& why_not() const { return why_not_; }
  // Empties the one database that all tests use in turn; its address.
  std::string make_database();
  std::string address(const std::string& database) const;  // postgres:///NAME?host=…&user=merlon
  // With libpq itself, as somebody from outside would: rows joined by ";".
  static std::string sql(const std::string& address, const std::string& text);

 private:
  PostgresTestServer();

  std::string directory_;
  std::string why_not_;
  int pipe_ = -1;
  bool made_ = false;
};

class PostgresBackend final : public StoreBackend {
 public:
  PostgresBackend() : address_(PostgresTestServer::instance().make_database()) {}
  Result<std::unique_ptr<Store>> open(const Schema& schema) override;
  const std::string& address() const { return address_; }

 private:
  std::string address_;
};

}  // namespace merlon::store
