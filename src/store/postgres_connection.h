// The thin layer over libpq: one connection, statements prepared once, typed binary parameters, and every
// failure as a Result. A connection belongs to one thread at a time. Not for other rooms.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

struct pg_conn;
struct pg_result;

namespace merlon::store {

// How to reach the database, read once: libpq's keywords and values. Holds the password; never logged.
class PostgresAddress {
 public:
  // postgres://… or postgresql://…, with libpq's parameters
  // (https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING). What it leaves open, libpq
  // takes from its environment and files (PGPASSFILE, PGSERVICE, …).
  static Result<PostgresAddress> parse(const std::string& url);

  const std::vector<std::pair<std::string, std::string>>& options() const { return options_; }
  const std::string& shown() const { return shown_; }  // database, host and port, for messages
  // Set when the address crosses a network and asks libpq for less than a verified server certificate.
  const std::string& weak_tls() const { return weak_tls_; }

 private:
  std::vector<std::pair<std::string, std::string>> options_;
  std::string shown_;
  std::string weak_tls_;
};

// One result; its texts live as long as it does.
class Answer {
 public:
  explicit Answer(pg_result* result) : result_(result) {}
  int rows() const;
  bool is_null(int row, int column) const;
  std::string text(int row, int column) const;  // bytea, text: with its length
  std::optional<std::string> optional_text(int row, int column) const;
  int64_t number(int row, int column) const;  // int8, sent in binary
  int64_t affected() const;                   // rows that the statement wrote
  std::string_view command() const;           // "COMMIT", "ROLLBACK", …

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

// Values in order of $1, $2, …. What is added must outlive the run.
class Parameters {
 public:
  Parameters& bytes(std::string_view value);  // bytea
  Parameters& optional_bytes(const std::optional<std::string>& value);
  Parameters& text(std::string_view value);  // text
  Parameters& number(int64_t value);         // int8

 private:
  friend class PostgresConnection;
  struct Value {
    unsigned type = 0;
    const char* data = nullptr;
    int size = 0;
    int number_at = -1;  // index into numbers_, whose address is known only when all are there
  };
  std::vector<Value> values_;
  std::vector<std::string> numbers_;  // big-endian, as binary int8
};

class PostgresConnection {
 public:
  static Result<std::unique_ptr<PostgresConnection>> open(const PostgresAddress& address);

  Result<Answer> run(const std::string& sql, const Parameters& parameters = {});  // prepared once
  // Without parameters, not prepared; may be several statements, whose last result it is.
  Result<Answer> execute(const std::string& sql);

  bool is_alive() const;
  // Looks at what the database has said unasked: true when it has ended the connection.
  bool was_ended();
  bool in_failed_transaction() const;
  bool in_transaction() const;
  // Waits for the database to say something. False: the connection is lost.
  bool wait_readable(std::chrono::milliseconds patience);
  bool take_notifications();  // true when there was one

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };

  explicit PostgresConnection(pg_conn* connection) : connection_(connection) {}
  Result<void> set_up_session();
  Result<Answer> checked(pg_result* result, std::string_view doing);

  std::unique_ptr<pg_conn, Finish> connection_;
  std::unordered_map<std::string, std::string> statements_;  // SQL → name
};

// An error that the same work could meet no more if it ran again: the database ended the transaction for
// another's sake, before anything of it was durable.
bool is_serialization_failure(const Error& error);

}  // namespace merlon::store
