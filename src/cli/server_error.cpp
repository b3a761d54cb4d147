// Error bodies: {"error": {code, message, target, details}} (ARM and Graph) and {"error",
// "error_description"} (RFC 6749 section 5.2, with Entra's AADSTS numbers).
#include "cli/server_error.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace merlon::cli {
namespace {

constexpr size_t kMessageMax = 4000;
constexpr size_t kDetailsMax = 20;

ErrorKind kind_of(int status) {
  switch (status) {
    case 400:
      return ErrorKind::invalid;
    case 401:
      return ErrorKind::unauthenticated;
    case 403:
      return ErrorKind::forbidden;
    case 404:
      return ErrorKind::not_found;
    case 405:
      return ErrorKind::method_not_allowed;
    case 409:
      return ErrorKind::conflict;
    case 410:
      return ErrorKind::gone;
    case 412:
      return ErrorKind::precondition_failed;
    case 413:
      return ErrorKind::too_large;
    case 421:
      return ErrorKind::misdirected;
    case 429:
      return ErrorKind::throttled;
    case 501:
      return ErrorKind::unsupported;
    case 502:
    case 503:
    case 504:
      return ErrorKind::unavailable;
    default:
      return status < 500 ? ErrorKind::invalid : ErrorKind::internal;
  }
}

std::string bounded(std::string text) {
  if (text.size() > kMessageMax) text = text.substr(0, kMessageMax) + "…";
  return text;
}

// "AADSTS50126: Error validating … Trace ID: … Correlation ID: … Timestamp: …": the middle is for people.
void read_oauth(Error& error, const JsonObject& body, std::string code) {
  error.code = std::move(code);
  std::string text = string_at(body, "error_description").value_or("");
  if (const size_t trace = text.find(" Trace ID:"); trace != std::string::npos) text.resize(trace);
  const size_t colon = text.find(": ");
  if (text.starts_with("AADSTS") && colon != std::string::npos) {
    error.code = text.substr(0, colon);
    text = text.substr(colon + 2);
  }
  error.message = bounded(text);
}

}  // namespace

Error error_of(const net::Response& response) {
  Error error;
  error.kind = kind_of(response.status);
  const auto body = parse_json_object(response.body);
  if (body) {
    if (const JsonObject* inner = object_at(*body, "error")) {
      error.code = bounded(string_at(*inner, "code").value_or(""));
      error.message = bounded(string_at(*inner, "message").value_or(""));
      error.target = bounded(string_at(*inner, "target").value_or(""));
      if (const JsonArray* details = array_at(*inner, "details"))
        for (const Json& detail : *details) {
          if (!detail.is_object() || error.details.size() == kDetailsMax) continue;
          const JsonObject& json = detail.get_object();
          error.details.push_back({bounded(string_at(json, "code").value_or("")),
                                   bounded(string_at(json, "message").value_or("")),
                                   bounded(string_at(json, "target").value_or(""))});
        }
    } else if (const auto code = string_at(*body, "error")) {
      read_oauth(error, *body, *code);
    }
  }
  if (error.code.empty()) error.code = fmt::format("Http{}", response.status);
  if (error.message.empty())
    error.message = fmt::format("The server answered {} {} and nothing more.", response.status,
                                net::reason_phrase(response.status));
  return error;
}

std::string hint_of(const Error& error) {
  if (error.code == "NotSignedIn" || error.code == "StepUpRequired" || error.code == "AADSTS50076") return {};
  if (error.code == "ConnectionFailed")
    return "Is the server running, and is this its address? MERLON_ENDPOINT or 'merlon login --endpoint' "
           "sets "
           "it.";
  if (error.code == "ServerNotTrusted")
    return "Name the server's authority: MERLON_CA, or 'merlon login --ca FILE' (ca.pem in its state "
           "directory).";
  if (error.code == "AADSTS50055")
    return "Sign in again with 'merlon login --username': it asks for a new one.";
  if (error.code.starts_with("AADSTS")) return "Check the credential; 'merlon login' stores another one.";
  if (error.kind == ErrorKind::unauthenticated) return "Sign in again with 'merlon login'.";
  if (error.kind == ErrorKind::forbidden)
    return "'merlon role why --assignee ME --action ACTION --scope SCOPE' says what is missing; an owner "
           "gives it "
           "with 'merlon role assign'.";
  if (error.kind == ErrorKind::throttled) return "Wait a little, then try again.";
  if (error.kind == ErrorKind::precondition_failed)
    return "It has changed meanwhile, or exists already: look, then try again.";
  return {};
}

}  // namespace merlon::cli
