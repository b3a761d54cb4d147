// Responses as bytes: the headers that every answer carries, and the refusal to let a value split the
// message.
#include <algorithm>
#include <array>
#include <chrono>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "net/edge.h"

namespace merlon::net {
namespace {

bool sendable(const std::pair<std::string, std::string>& field) {
  const auto& [name, value] = field;
  const auto bad_name = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f || c == ':';
  };
  bool bad_value = false;  // all are looked at: many at a time
  for (const char c : value) bad_value |= (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  return !name.empty() && std::ranges::none_of(name, bad_name) && !bad_value;
}

// Framing is the edge's alone.
bool is_ours(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kOurs{"Content-Length", "Transfer-Encoding", "Connection",
                                                         "Keep-Alive"};
  return std::ranges::any_of(
      kOurs, [name](std::string_view our) { return our.size() == name.size() && ascii_iequal(our, name); });
}

void line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void length_line(std::string& out, const Response& response, const ResponseContext& context) {
  if (response.status == 204 || response.status == 304) return;  // RFC 9110 section 8.6
  std::string length = std::to_string(response.body.size());
  if (context.head_only && response.body.empty()) {
    // The length that GET would give, from a handler that knows it without making the body.
    const std::string_view given = response.headers.value_or("Content-Length", length);
    if (!given.empty() && std::ranges::all_of(given, [](char c) { return c >= '0' && c <= '9'; }))
      length = given;
  }
  line(out, "Content-Length", length);
}

// The same for all answers of a second.
const std::string& date_now() {
  thread_local std::chrono::sys_seconds second{};
  thread_local std::string text;
  const auto now = std::chrono::floor<std::chrono::seconds>(SystemClock().now());
  if (now != second || text.empty()) {
    second = now;
    text = to_http_date(now);
  }
  return text;
}

}  // namespace

Response error_response(const Rejection& rejection) {
  JsonObject error;
  error["code"] = rejection.code;
  error["message"] = rejection.message;
  JsonObject body;
  body["error"] = std::move(error);
  Response response;
  response.status = rejection.status;
  response.headers.set("Content-Type", "application/json; charset=utf-8");
  response.body = to_text(body);
  return response;
}

std::string response_head(Response& response, const ResponseContext& context) {
  const bool bad_status = response.status < 200 || response.status > 599;
  if (bad_status || !std::ranges::all_of(response.headers.all(), sendable)) {
    log(LogLevel::error, "an answer had a header or status that cannot be sent",
        {{"requestId", context.request_id}, {"status", response.status}});
    response = error_response(
        {500, "InternalServerError",
         "Merlon made an answer that cannot be sent. This is a fault of Merlon; its log has the "
         "request under the x-ms-request-id of this response."});
  }
  if (response.status == 204 || response.status == 304) response.body.clear();
  const Headers& headers = response.headers;
  std::string out;
  out.reserve(1024 + response.body.size());
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  out.append(reason_phrase(response.status)).append("\r\n");
  for (const auto& [name, value] : headers.all()) {
    if (!is_ours(name)) line(out, name, value);
  }
  const auto line_if_absent = [&](std::string_view name, std::string_view value) {
    if (headers.find(name) == nullptr) line(out, name, value);
  };
  line_if_absent("Cache-Control", "no-cache");
  line_if_absent("Date", date_now());
  line_if_absent("x-ms-request-id", context.request_id);
  line_if_absent("Strict-Transport-Security", "max-age=31536000");
  line_if_absent("X-Content-Type-Options", "nosniff");
  length_line(out, response, context);
  if (context.close) line(out, "Connection", "close");
  out += "\r\n";
  if (context.head_only) response.body.clear();
  return out;
}

}  // namespace merlon::net
