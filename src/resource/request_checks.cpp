// Codes and texts are Azure Resource Manager's.
#include "resource/request_checks.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::resource {
namespace {

bool is_api_version(std::string_view text) {
  constexpr size_t kDateLength = 10;  // 2022-09-01
  if (text.size() < kDateLength || !from_rfc3339(std::string(text.substr(0, kDateLength)) + "T00:00:00Z"))
    return false;
  const std::string suffix = ascii_lower(text.substr(kDateLength));
  static constexpr std::array<std::string_view, 6> kSuffixes{"",      "-preview",        "-alpha",
                                                             "-beta", "-privatepreview", "-rc"};
  return std::ranges::find(kSuffixes, suffix) != kSuffixes.end();
}

bool is_json(std::string_view content_type) {
  const auto parts = split(content_type, ';');
  const std::string type = ascii_lower(trim(parts.front()));
  if (type != "application/json" && type != "text/json" &&
      !(type.starts_with("application/") && type.ends_with("+json"))) {
    return false;
  }
  // JSON is UTF-8 (RFC 8259 section 8.1); another charset would make the text mean something else.
  return std::ranges::all_of(parts.begin() + 1, parts.end(), [](std::string_view parameter) {
    const std::string one = ascii_lower(trim(parameter));
    return !one.starts_with("charset=") || one == "charset=utf-8" || one == "charset=\"utf-8\"";
  });
}

}  // namespace

Result<std::string> check_api_version(const net::Request& request) {
  const std::string* version = request.query.find("api-version");
  if (version == nullptr || version->empty()) {
    return fail(ErrorKind::invalid, "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.");
  }
  if (!is_api_version(*version)) {
    return fail(
        ErrorKind::invalid, "InvalidApiVersionParameter",
        "The api-version '" + version->substr(0, 100) +
            "' is invalid. It is a date, optionally with a suffix such as '-preview', e.g. '2021-04-01'.",
        "api-version");
  }
  return *version;
}

Result<JsonObject> parse_body(const net::Request& request) {
  const bool may_have_body = request.method == "PUT" || request.method == "PATCH" || request.method == "POST";
  if (!may_have_body || request.body.empty()) return JsonObject();
  const std::string_view content_type = request.headers.value_or("Content-Type", "");
  if (!is_json(content_type)) {
    return fail(ErrorKind::unsupported_media, "UnsupportedMediaType",
                "The content media type '" + std::string(content_type.substr(0, 100)) +
                    "' is not supported. Only 'application/json' in UTF-8 is supported.",
                "Content-Type");
  }
  auto body = parse_json_object(request.body);
  if (!body) {
    body.error().message =
        "The request content was invalid and could not be deserialized: '" + body.error().message + "'.";
    body.error().code = "InvalidRequestContent";
  }
  return body;
}

std::string correlation_id_of(const net::Request& request) {
  const auto given = Uuid::parse(request.headers.value_or("x-ms-correlation-request-id", ""));
  return given ? given->text() : request.request_id;
}

Result<void> check_subscription(const net::Request& request, const Uuid& ours) {
  const auto& segments = request.segments;
  if (segments.size() < 2 || !ascii_iequal(segments[0], "subscriptions")) return {};
  if (ascii_iequal(segments[1], ours.text())) return {};
  const auto given = Uuid::parse(segments[1]);
  if (!given) {
    return fail(
        ErrorKind::invalid, "InvalidSubscriptionId",
        "The provided subscription identifier '" + segments[1].substr(0, 100) + "' is malformed or invalid.");
  }
  return fail(ErrorKind::not_found, "SubscriptionNotFound",
              "The subscription '" + given->text() + "' could not be found.");
}

Error unknown_path(const net::Request& request, bool provider_known) {
  Error error;
  error.kind = ErrorKind::not_found;
  const auto& segments = request.segments;
  const auto reversed = std::find_if(segments.rbegin(), segments.rend(), [](const std::string& segment) {
    return ascii_iequal(segment, "providers");
  });
  const auto providers = reversed == segments.rend() ? segments.end() : std::prev(reversed.base());
  if (providers == segments.end() || std::next(providers) == segments.end()) {
    error.code = "ResourceNotFound";
    error.message =
        "There is nothing at '" + request.path.substr(0, 300) + "'. Check the path and the method.";
    return error;
  }
  const std::string provider = *std::next(providers);
  std::vector<std::string> types;
  for (auto at = providers + 2; at < segments.end(); at += 2) {
    types.push_back(*at);
    if (segments.end() - at < 2) break;
  }
  if (!provider_known) {
    error.code = "InvalidResourceNamespace";
    error.message = "The resource namespace '" + provider.substr(0, 100) + "' is invalid.";
  } else {
    error.code = "InvalidResourceType";
    error.message = "The resource type '" + join(types, "/").substr(0, 300) +
                    "' could not be found in the namespace '" + provider.substr(0, 100) + "'.";
  }
  return error;
}

}  // namespace merlon::resource
