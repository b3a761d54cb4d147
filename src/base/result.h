// Errors as values. A function that can fail for a reason a user can reach returns Result<T>; a broken
// invariant calls MERLON_CHECK and ends the process. The two are never mixed (docs/architecture.md).
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace merlon {

// What went wrong, independent of protocol. One table per protocol maps it to a status (HTTP: net/status.h).
enum class ErrorKind {
  invalid,          // the request is wrong and will stay wrong
  unauthenticated,  // who is asking is not known
  forbidden,        // who is asking is known and may not
  not_found,
  method_not_allowed,
  not_acceptable,
  conflict,  // the state of the resource does not allow it
  gone,
  precondition_failed,  // If-Match and friends
  too_large,
  unsupported_media,
  misdirected,  // RFC 9110 15.5.20: this name is not served on this connection
  throttled,
  unsupported,  // a thing that Merlon does not do
  unavailable,  // try again: sealed, shutting down, disk full
  internal,
};

struct ErrorDetail {
  std::string code;
  std::string message;
  std::string target;
};

// `message` is for the caller and says what happened, to which thing, and what to do; `cause` is for the log
// alone.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string code;  // Azure's error code, e.g. "ResourceNotFound"
  std::string message;
  std::string target;  // the offending field or resource, may be empty
  std::string cause;   // never leaves the process
  std::vector<ErrorDetail> details;
};

template <class T>
using Result = std::expected<T, Error>;

// return fail(ErrorKind::not_found, "ResourceNotFound", "…");
inline std::unexpected<Error> fail(ErrorKind kind, std::string_view code, std::string message,
                                   std::string target = {}) {
  Error error;
  error.kind = kind;
  error.code = code;
  error.message = std::move(message);
  error.target = std::move(target);
  return std::unexpected(std::move(error));
}

// A failure of ours or of the machine: the caller sees a general text, the log sees `cause`.
std::unexpected<Error> internal_error(std::string cause);

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace merlon

// TRY(expression) is the value of a Result, or returns its error from the enclosing function. Not for
// coroutines. The counter gives each use a name of its own, so that one may stand inside another.
#define MERLON_JOIN_(a, b) a##b
#define MERLON_JOIN(a, b) MERLON_JOIN_(a, b)
#define MERLON_TRY(name, ...)                                               \
  ({                                                                        \
    auto&& name = (__VA_ARGS__);                                            \
    if (!name.has_value()) return std::unexpected(std::move(name).error()); \
    *std::move(name);                                                       \
  })
#define TRY(...) MERLON_TRY(MERLON_JOIN(merlon_try_, __COUNTER__), __VA_ARGS__)

// A broken promise inside Merlon itself, never something a user can cause. On in every build.
#define MERLON_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::merlon::check_failed(#condition, __FILE__, __LINE__))
