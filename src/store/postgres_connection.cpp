// Connecting, running, and what PostgreSQL's SQLSTATEs mean
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
#include "store/postgres_connection.h"

#include <poll.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "store/libpq.h"
#include "store/postgres_error.h"

namespace merlon::store {
namespace {

// https://www.postgresql.org/docs/15/catalog-pg-type.html: fixed for all time.
constexpr Oid kBytea = 17;
constexpr Oid kInt8 = 20;
constexpr Oid kText = 25;
constexpr int kBinary = 1;

std::string big_endian(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  std::string text(8, '\0');
  for (size_t i = 0; i < 8; ++i) text[i] = static_cast<char>((bits >> (56 - 8 * i)) & 0xff);
  return text;
}

bool succeeded(const PGresult* result) {
  const ExecStatusType status = libpq().result_status(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

// NOTICE and WARNING texts would go to standard error, past the log's form.
void ignore_notice(void*, const PGresult*) {}

}  // namespace

const Libpq& libpq() {
  static const Libpq library;
  return library;
}

void Answer::Clear::operator()(pg_result* result) const { libpq().clear(result); }
int Answer::rows() const { return libpq().rows(result_.get()); }
bool Answer::is_null(int row, int column) const { return libpq().is_null(result_.get(), row, column) != 0; }

std::string Answer::text(int row, int column) const {
  return {libpq().value(result_.get(), row, column),
          static_cast<size_t>(libpq().length(result_.get(), row, column))};
}

std::optional<std::string> Answer::optional_text(int row, int column) const {
  if (is_null(row, column)) return std::nullopt;
  return text(row, column);
}

int64_t Answer::number(int row, int column) const {
  const std::string bytes = text(row, column);
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return static_cast<int64_t>(value);
}

int64_t Answer::affected() const {
  const std::string_view digits = libpq().affected(result_.get());
  int64_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count;
}

std::string_view Answer::command() const { return libpq().command_status(result_.get()); }

Parameters& Parameters::bytes(std::string_view value) {
  // A null pointer would be NULL: an empty view may have one.
  values_.push_back({.type = kBytea,
                     .data = value.data() == nullptr ? "" : value.data(),
                     .size = static_cast<int>(value.size())});
  return *this;
}

Parameters& Parameters::optional_bytes(const std::optional<std::string>& value) {
  if (value) return bytes(*value);
  values_.push_back({.type = kBytea});
  return *this;
}

Parameters& Parameters::text(std::string_view value) {
  bytes(value);
  values_.back().type = kText;
  return *this;
}

Parameters& Parameters::number(int64_t value) {
  values_.push_back(
      {.type = kInt8, .data = nullptr, .size = 8, .number_at = static_cast<int>(numbers_.size())});
  numbers_.push_back(big_endian(value));
  return *this;
}

void PostgresConnection::Finish::operator()(pg_conn* connection) const { libpq().finish(connection); }

Result<std::unique_ptr<PostgresConnection>> PostgresConnection::open(const PostgresAddress& address) {
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : address.options()) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  std::unique_ptr<PostgresConnection> made(
      new PostgresConnection(libpq().connect(names.data(), values.data(), 0)));
  PGconn* connection = made->connection_.get();
  if (connection == nullptr || libpq().status(connection) != CONNECTION_OK)
    return database_unreachable(address.shown(),
                                connection == nullptr ? "" : libpq().error_message(connection));
  libpq().set_notice_receiver(connection, ignore_notice, nullptr);
  TRY(made->set_up_session());
  return made;
}

// Settings of the role or of the database must not weaken what store.h promises. idle_in_transaction…: a
// server that is stopped or cut off while it holds the writer's row loses its transaction, and the others go
// on.
Result<void> PostgresConnection::set_up_session() {
  TRY(
      execute("SET client_encoding = 'UTF8'; SET search_path = merlon; SET statement_timeout = 0; "
              "SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '15s'; "
              "SET default_transaction_read_only = off; SET bytea_output = 'hex'; "
              "SET client_min_messages = warning"));
  const Answer durable = TRY(execute("SHOW synchronous_commit"));
  const std::string setting = durable.rows() == 1 ? durable.text(0, 0) : "";
  if (setting == "off" || setting == "local") TRY(execute("SET synchronous_commit = on"));
  return {};
}

Result<Answer> PostgresConnection::execute(const std::string& sql) {
  return checked(libpq().execute(connection_.get(), sql.c_str()), sql);
}

Result<Answer> PostgresConnection::run(const std::string& sql, const Parameters& parameters) {
  const auto& given = parameters.values_;
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> sizes;
  for (const Parameters::Value& value : given) {
    types.push_back(value.type);
    values.push_back(value.number_at < 0 ? value.data
                                         : parameters.numbers_[static_cast<size_t>(value.number_at)].data());
    sizes.push_back(value.size);
  }
  const std::vector<int> formats(given.size(), kBinary);
  const auto count = static_cast<int>(given.size());
  auto known = statements_.find(sql);
  if (known == statements_.end()) {
    const std::string name = "m" + std::to_string(statements_.size());
    TRY(checked(libpq().prepare(connection_.get(), name.c_str(), sql.c_str(), count, types.data()), sql));
    known = statements_.emplace(sql, name).first;
  }
  return checked(libpq().execute_prepared(connection_.get(), known->second.c_str(), count, values.data(),
                                          sizes.data(), formats.data(), kBinary),
                 sql);
}

Result<Answer> PostgresConnection::checked(pg_result* result, std::string_view doing) {
  Answer answer(result);
  if (result != nullptr && succeeded(result)) return answer;
  const char* state = result == nullptr ? nullptr : libpq().error_field(result, PG_DIAG_SQLSTATE);
  const char* primary = result == nullptr ? nullptr : libpq().error_field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (!is_alive() || state == nullptr)
    return std::unexpected(connection_lost_error(primary == nullptr ? "" : primary, doing));
  return database_error(state, primary == nullptr ? "" : primary, doing);
}

bool PostgresConnection::is_alive() const { return libpq().status(connection_.get()) == CONNECTION_OK; }

bool PostgresConnection::in_failed_transaction() const {
  return libpq().transaction_status(connection_.get()) == PQTRANS_INERROR;
}

bool PostgresConnection::in_transaction() const {
  return libpq().transaction_status(connection_.get()) == PQTRANS_INTRANS;
}

bool PostgresConnection::was_ended() {
  for (;;) {
    pollfd waited{.fd = libpq().socket(connection_.get()), .events = POLLIN, .revents = 0};
    if (waited.fd < 0) return true;
    if (::poll(&waited, 1, 0) <= 0) return false;
    // The first reading may bring PostgreSQL's last words, the next one finds the end.
    if (libpq().consume_input(connection_.get()) != 1) return true;
  }
}

bool PostgresConnection::wait_readable(std::chrono::milliseconds patience) {
  pollfd waited{.fd = libpq().socket(connection_.get()), .events = POLLIN, .revents = 0};
  if (waited.fd < 0) return false;
  ::poll(&waited, 1, static_cast<int>(patience.count()));
  return libpq().consume_input(connection_.get()) == 1;
}

bool PostgresConnection::take_notifications() {
  bool any = false;
  while (PGnotify* notification = libpq().notification(connection_.get())) {
    any = true;
    libpq().free_memory(notification);
  }
  return any;
}

}  // namespace merlon::store
