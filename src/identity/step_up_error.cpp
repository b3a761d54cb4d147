// See step_up_error.h.
#include "identity/step_up_error.h"

#include <charconv>

#include "base/bytes.h"
#include "identity/claims_request.h"

namespace merlon::identity {
namespace {

constexpr const char* kCode = "StepUpRequired";
constexpr const char* kMaxAge = "MaxAgeMinutes";

std::string minutes_text(Duration age) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(age).count();
  return std::to_string(minutes) + (minutes == 1 ? " minute" : " minutes");
}

}  // namespace

Error step_up_error(std::string_view what, Duration age_max, std::string target) {
  Error error;
  error.kind = ErrorKind::unauthenticated;
  error.code = kCode;
  error.message = std::string(what) + " takes a sign-in with a second factor that is not older than " +
                  minutes_text(age_max) +
                  ". Sign in again: 'merlon login --fresh', or 'az logout' and 'az login'. Who has no second "
                  "factor enrols one first: 'merlon mfa enrol'.";
  error.details = {{kMaxAge, std::to_string(age_max / std::chrono::minutes(1)), target}};
  error.target = std::move(target);
  return error;
}

bool is_step_up(const Error& error) { return error.code == kCode; }

std::optional<std::string> step_up_challenge(const Error& error, Timestamp now,
                                             std::string_view authorization_uri) {
  if (!is_step_up(error) || error.details.empty() || error.details.front().code != kMaxAge)
    return std::nullopt;
  const std::string& text = error.details.front().message;
  int64_t minutes = 0;
  std::from_chars(text.data(), text.data() + text.size(), minutes);
  return "Bearer realm=\"\", authorization_uri=\"" + std::string(authorization_uri) +
         "\", error=\"insufficient_claims\", claims=\"" +
         to_base64(as_bytes(step_up_claims(now - std::chrono::minutes(minutes)))) + "\"";
}

}  // namespace merlon::identity
