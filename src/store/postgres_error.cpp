// SQLSTATE to error (https://www.postgresql.org/docs/15/errcodes-appendix.html).
#include "store/postgres_error.h"

#include "base/text.h"
#include "store/postgres_connection.h"

namespace merlon::store {
namespace {

// libpq ends its messages with a line end, and has several lines when it tried several addresses.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) line += c == '\n' || c == '\t' ? ' ' : c;
  return std::string(trim(line));
}

std::unexpected<Error> refuse(ErrorKind kind, std::string_view code, std::string message, std::string cause) {
  auto error = fail(kind, code, std::move(message));
  error.error().cause = std::move(cause);
  return error;
}

}  // namespace

std::unexpected<Error> database_unreachable(const std::string& which, std::string_view reason) {
  return refuse(ErrorKind::unavailable, "DatabaseUnreachable",
                "The database " + which + " cannot be reached: " + one_line(reason) +
                    ". See that PostgreSQL runs there and takes this user, then try again.",
                one_line(reason));
}

Error connection_lost_error(std::string_view reason, std::string_view doing) {
  return refuse(ErrorKind::unavailable, "DatabaseConnectionLost",
                "Nothing was changed: the connection to the database was lost. Try again.",
                "PostgreSQL: connection lost: " + one_line(reason) + ": " + std::string(doing))
      .error();
}

std::unexpected<Error> database_error(std::string_view sqlstate, std::string_view primary,
                                      std::string_view doing) {
  std::string cause = "PostgreSQL: " + std::string(primary) + " (" + std::string(sqlstate) +
                      "): " + std::string(doing.substr(0, 300));
  if (sqlstate == "53100")
    return refuse(ErrorKind::unavailable, "StorageFull",
                  "Nothing was changed: the disk of the database is full. Free space on it, then try again.",
                  std::move(cause));
  if (sqlstate == "40001" || sqlstate == "40P01" || sqlstate == "55P03" || sqlstate.starts_with("53"))
    return refuse(ErrorKind::unavailable, "StorageBusy",
                  "Nothing was changed: the database is busy with others' work. Try again.",
                  std::move(cause));
  if (sqlstate == "54000")
    return refuse(ErrorKind::too_large, "RecordTooLarge",
                  "Nothing was changed: a name or key in the record is longer than the database can index. "
                  "Use shorter names.",
                  std::move(cause));
  if (sqlstate == "25006")
    return refuse(ErrorKind::unavailable, "StorageReadOnly",
                  "Nothing was changed: the database takes no writes. Name the primary server of it.",
                  std::move(cause));
  if (sqlstate == "42501")
    return refuse(
        ErrorKind::unavailable, "StoragePermission",
        "The database does not let Merlon's user do this. Make that user the owner of the database.",
        std::move(cause));
  if (sqlstate.starts_with("57") || sqlstate == "25P03")
    return refuse(ErrorKind::unavailable, "StorageInterrupted",
                  "Nothing was changed: the database ended the work before it was done. Try again.",
                  std::move(cause));
  return internal_error(std::move(cause));
}

bool is_serialization_failure(const Error& error) {
  return error.cause.find("(40001)") != std::string::npos || error.cause.find("(40P01)") != std::string::npos;
}

}  // namespace merlon::store
