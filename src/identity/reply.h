// Answers of the identity endpoints. All of them are JSON and none may be kept by a cache (RFC 6749
// section 5.1).
#pragma once

#include "base/json.h"
#include "net/http.h"

namespace merlon::identity {

inline net::Response json_reply(int status, const JsonObject& body) {
  net::Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json; charset=utf-8");
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Pragma", "no-cache");
  response.body = to_text(body);
  return response;
}

inline net::Response empty_reply(int status) {
  net::Response response;
  response.status = status;
  response.headers.set("Cache-Control", "no-store");
  return response;
}

}  // namespace merlon::identity
