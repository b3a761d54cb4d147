// HTTP messages as values, without a socket in sight. Everything above `net` sees requests and responses only
// in this form. Header names compare without case; a request that reached a handler has passed the edge's
// checks (edge.h).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace merlon::net {

class Headers {
 public:
  void set(std::string_view name, std::string value);    // replaces
  void add(std::string_view name, std::string value);    // appends
  const std::string* find(std::string_view name) const;  // the first
  std::string_view value_or(std::string_view name, std::string_view otherwise) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

enum class Plane { control, agents };  // which TLS name the connection was made for (architecture.md, Names)

struct Query {
  // Decoded once; names too, since Azure's newer SDKs send "api%2Dversion".
  std::vector<std::pair<std::string, std::string>> items;
  const std::string* find(std::string_view name) const;  // without case: $Filter and $filter are the same
};

struct Request {
  std::string method;  // upper case token
  std::string target;  // as it came: path and query
  std::string path;    // percent-decoded once; never has "..", "." or empty inner segments' tricks
  std::vector<std::string> segments;  // of the path, each decoded by itself: a %2F stays inside its segment
  Query query;
  Headers headers;
  std::string body;
  IpAddress peer;    // the socket's other end, unmapped; X-Forwarded-For only from configured proxies
  std::string host;  // lower case, with the port when one was given
  Plane plane = Plane::control;
  // Agents plane: verified against the agents' authority by TLS; else empty.
  std::string client_certificate_pem;
  std::string request_id;  // ours, a UUID; goes out as x-ms-request-id
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

// Answers one request; may be called from any thread, once. Dropping it unanswered answers 500.
class Responder {
 public:
  explicit Responder(std::function<void(Response)> send) : send_(std::make_shared<State>(std::move(send))) {}
  void operator()(Response response) const;

 private:
  struct State {
    explicit State(std::function<void(Response)> f) : send(std::move(f)) {}
    ~State();
    std::function<void(Response)> send;
    std::atomic<bool> answered{false};
  };
  std::shared_ptr<State> send_;
};

using Handler = std::function<void(Request, Responder)>;
using QuickHandler = std::function<std::optional<Response>(const Request&)>;

// Splits and decodes an origin-form target (RFC 9112 section 3.2.1). Refused: control bytes, invalid
// percent-encoding, encoded NUL, dot segments (encoded or not), backslashes, invalid UTF-8. Doubled and
// trailing slashes are tolerated (Azure's Key Vault SDK sends them) and dropped from `segments`.
struct Target {
  std::string path;
  std::vector<std::string> segments;
  Query query;
};
Result<Target> parse_target(std::string_view target);
std::string percent_encode(std::string_view text);  // everything but RFC 3986 unreserved
// application/x-www-form-urlencoded. A repeated name is an error: it is a way to say two things at once.
Result<Query> parse_form(std::string_view body);

int http_status(ErrorKind kind);
std::string_view reason_phrase(int status);

}  // namespace merlon::net
