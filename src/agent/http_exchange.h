// The server over HTTPS with the agent's certificate: connects to the host of the server's URL, and trusts
// only who proves the agents' name under the authority pinned at enrolment.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "agent/enrolment.h"
#include "agent/session.h"
#include "agent/token_cache.h"
#include "machine/call.h"
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

// Tokens over a connection of their own: the other one waits for news most of the time.
class HttpTokens final : public TokenSource {
 public:
  explicit HttpTokens(Identity identity) : identity_(std::move(identity)) {}
  Result<machine::TokenAnswer> token(const machine::TokenRequest& request) override;
  void use_certificate(const std::string& pem);

 private:
  std::mutex mutex_;  // one request at a time
  Identity identity_;
  std::unique_ptr<net::Client> client_;
  bool connected_ = false;
};

class HttpExchange final : public Exchange {
 public:
  // `resolved` hears the addresses of the server's name before each connection, so that the firewall lets us
  // go there.
  using Resolved = std::function<void(const std::vector<IpAddress>&)>;
  // A wait for news from the server ends early, with the code RequestStopped, when `wake_fd` can be read.
  static Result<std::unique_ptr<HttpExchange>> make(Identity identity, Resolved resolved, int wake_fd);

  Result<machine::SyncAnswer> sync(const machine::SyncRequest& request) override;
  Result<std::string> renew() override;
  // What the server asks this machine's agent to carry, on the thread of sync().
  void on_calls(std::function<void(const std::vector<machine::AgentCall>&)> hook) {
    calls_ = std::move(hook);
  }
  void on_renewed(std::function<void(const std::string& pem)> hook) { renewed_ = std::move(hook); }
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
  std::function<void(const std::string&)> renewed_;
  std::function<void(const std::vector<machine::AgentCall>&)> calls_;
};

}  // namespace merlon::agent
