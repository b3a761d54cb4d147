// The server over HTTPS with the agent's certificate: connects to the host of the server's URL, and trusts
// only who proves the agents' name under the authority pinned at enrolment.
#pragma once

#include <memory>

#include "agent/enrolment.h"
#include "agent/session.h"
#include "net/client.h"

namespace merlon::agent {

struct Identity {
  Enrolment enrolment;
  Secret key_pem;
  std::string certificate_pem;
};

// The body of a 2xx answer; else the error that the body tells of, with its code.
Result<JsonObject> body_of(const net::Response& response);
// What an answer to a sync may be: bounded and strict, whoever sent it.
Result<machine::SyncAnswer> read_sync_answer(std::string_view body);

class HttpExchange final : public Exchange {
 public:
  // `resolved` hears the addresses of the server's name before each connection, so that the firewall lets us
  // go there.
  using Resolved = std::function<void(const std::vector<IpAddress>&)>;
  // A wait for news from the server ends early, with the code RequestStopped, when `wake_fd` can be read.
  static Result<std::unique_ptr<HttpExchange>> make(Identity identity, Resolved resolved, int wake_fd);

  Result<machine::SyncAnswer> sync(const machine::SyncRequest& request) override;
  Result<std::string> renew() override;
  Timestamp renew_after() const override { return renew_after_; }

 private:
  HttpExchange(Identity identity, Resolved resolved, int wake_fd)
      : identity_(std::move(identity)), resolved_(std::move(resolved)), wake_fd_(wake_fd) {}
  Result<void> use_certificate(const std::string& pem);
  Result<JsonObject> post(std::string_view path, const JsonObject& body, Duration timeout, int stop_fd = -1);

  Identity identity_;
  const Resolved resolved_;
  const int wake_fd_;
  std::unique_ptr<net::Client> client_;
  bool connected_ = false;
  Timestamp renew_after_;
};

}  // namespace merlon::agent
