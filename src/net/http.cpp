// Header lists, the responder that answers exactly once, and the table from errors to HTTP statuses.
#include "net/http.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"

namespace merlon::net {

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return ascii_iequal(field.first, name); });
  fields_.emplace_back(std::string(name), std::move(value));
}

void Headers::add(std::string_view name, std::string value) {
  fields_.emplace_back(std::string(name), std::move(value));
}

const std::string* Headers::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(fields_, [&](const auto& field) { return ascii_iequal(field.first, name); });
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
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

}  // namespace merlon::net
