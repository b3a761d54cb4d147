// Header lists, the responder that answers exactly once, and the table from errors to HTTP statuses.
#include "net/http.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/text.h"

namespace merlon::net {
namespace {

constexpr size_t kUsualFields = 12;

// Most names differ in length already.
bool same_name(std::string_view a, std::string_view b) { return a.size() == b.size() && ascii_iequal(a, b); }

}  // namespace

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return same_name(field.first, name); });
  add(name, std::move(value));
}

void Headers::add(std::string_view name, std::string value) {
  if (fields_.capacity() == 0) fields_.reserve(kUsualFields);
  fields_.emplace_back(std::string(name), std::move(value));
}

const std::string* Headers::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(fields_, [&](const auto& field) { return same_name(field.first, name); });
  return found == fields_.end() ? nullptr : &found->second;
}

std::string_view Headers::value_or(std::string_view name, std::string_view otherwise) const {
  const std::string* value = find(name);
  return value == nullptr ? otherwise : std::string_view(*value);
}

const std::string* Query::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(items, [&](const auto& item) { return ascii_iequal(item.first, name); });
  return found == items.end() ? nullptr : &found->second;
}

void Responder::operator()(Response response) const {
  if (!send_ || send_->answered.exchange(true)) {
    log(LogLevel::error, "a request was answered twice; the second answer is dropped",
        {{"status", response.status}});
    return;
  }
  if (send_->send) send_->send(std::move(response));
}

Responder::State::~State() {
  if (!send || answered.exchange(true)) return;
  Response response;
  response.status = 500;
  response.headers.set("Content-Type", "application/json; charset=utf-8");
  response.body =
      R"({"error":{"code":"InternalServerError","message":"The request ended without an answer. )"
      R"(This is a fault of Merlon; its log has the request under the x-ms-request-id of this response."}})";
  log(LogLevel::error, "a request was dropped without an answer");
  try {
    send(std::move(response));
  } catch (const std::exception& error) {
    log(LogLevel::error, "could not send the answer for a dropped request", {{"cause", error.what()}});
  }
}

int http_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return 400;
    case ErrorKind::unauthenticated:
      return 401;
    case ErrorKind::forbidden:
      return 403;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::method_not_allowed:
      return 405;
    case ErrorKind::not_acceptable:
      return 406;
    case ErrorKind::conflict:
      return 409;
    case ErrorKind::gone:
      return 410;
    case ErrorKind::precondition_failed:
      return 412;
    case ErrorKind::too_large:
      return 413;
    case ErrorKind::unsupported_media:
      return 415;
    case ErrorKind::misdirected:
      return 421;
    case ErrorKind::throttled:
      return 429;
    case ErrorKind::unsupported:
      return 501;
    case ErrorKind::unavailable:
      return 503;
    case ErrorKind::internal:
      return 500;
  }
  return 500;
}

std::string_view reason_phrase(int status) {
  using Phrase = std::pair<int, std::string_view>;
  static constexpr auto kPhrases = std::to_array<Phrase>({{100, "Continue"},
                                                          {200, "OK"},
                                                          {201, "Created"},
                                                          {202, "Accepted"},
                                                          {204, "No Content"},
                                                          {206, "Partial Content"},
                                                          {301, "Moved Permanently"},
                                                          {302, "Found"},
                                                          {303, "See Other"},
                                                          {304, "Not Modified"},
                                                          {307, "Temporary Redirect"},
                                                          {308, "Permanent Redirect"},
                                                          {400, "Bad Request"},
                                                          {401, "Unauthorized"},
                                                          {403, "Forbidden"},
                                                          {404, "Not Found"},
                                                          {405, "Method Not Allowed"},
                                                          {406, "Not Acceptable"},
                                                          {408, "Request Timeout"},
                                                          {409, "Conflict"},
                                                          {410, "Gone"},
                                                          {411, "Length Required"},
                                                          {412, "Precondition Failed"},
                                                          {413, "Content Too Large"},
                                                          {414, "URI Too Long"},
                                                          {415, "Unsupported Media Type"},
                                                          {416, "Range Not Satisfiable"},
                                                          {417, "Expectation Failed"},
                                                          {421, "Misdirected Request"},
                                                          {422, "Unprocessable Content"},
                                                          {429, "Too Many Requests"},
                                                          {431, "Request Header Fields Too Large"},
                                                          {500, "Internal Server Error"},
                                                          {501, "Not Implemented"},
                                                          {502, "Bad Gateway"},
                                                          {503, "Service Unavailable"},
                                                          {504, "Gateway Timeout"},
                                                          {505, "HTTP Version Not Supported"},
                                                          {507, "Insufficient Storage"}});
  const auto found = std::find_if(kPhrases.begin(), kPhrases.end(),
                                  [&](const Phrase& phrase) { return phrase.first == status; });
  if (found != kPhrases.end()) return found->second;
  return status < 400 ? "OK" : "Error";
}

}  // namespace merlon::net
