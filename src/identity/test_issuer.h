// Test only: a foreign token issuer on a loopback port, over real TLS with an authority of its own, which
// answers as the test wants it to.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "crypto/jose.h"
#include "net/server.h"
#include "net/test_peer.h"

namespace merlon::identity::test {

class ForeignServer {
 public:
  ForeignServer() {
    net::ServerParameters parameters;
    parameters.listen = {"127.0.0.1:0"};
    parameters.identity = certificates_.identity();
    parameters.handler = [this](net::Request request, net::Responder respond) {
      answer(request, std::move(respond));
    };
    auto server = net::Server::start(std::move(parameters));
    MERLON_CHECK(server.has_value());
    server_ = *std::move(server);
    publish({{"RSA", &rsa()}});
  }
  ~ForeignServer() { server_->stop(); }
  ForeignServer(const ForeignServer&) = delete;
  ForeignServer& operator=(const ForeignServer&) = delete;

  // Finding primes takes long: one key for all tests.
  static const crypto::PrivateKey& rsa() {
    static const auto made = *crypto::PrivateKey::generate(crypto::KeyKind::rsa);
    return made;
  }
  std::string url() const { return "https://127.0.0.1:" + net::test::port_of(*server_); }
  std::string authority_pem() const { return certificates_.authority.certificate_pem(); }
  int asked() const { return asked_; }
  int asked(const std::string& path) {
    const std::lock_guard lock(mutex_);
    return asked_paths_[path];
  }

  void publish(const std::vector<std::pair<std::string, const crypto::PrivateKey*>>& keys) {
    JsonArray array;
    for (const auto& [id, key] : keys) {
      JsonObject jwk = crypto::to_jwk(key->public_key());
      jwk["kid"] = id;
      jwk["use"] = "sig";
      array.push_back(std::move(jwk));
    }
    publish_text(to_text(JsonObject{{"keys", std::move(array)}}));
  }
  void publish_text(std::string jwks) {
    answer_with("/keys", std::move(jwks));
    answer_with("/.well-known/openid-configuration",
                to_text(JsonObject{{"issuer", url()}, {"jwks_uri", url() + "/keys"}}));
  }
  void answer_with(const std::string& path, std::string body, int status = 200,
                   const std::string& location = {}, const std::string& cache_control = "public") {
    net::Response response;
    response.headers.set("Cache-Control", cache_control);  // or the server would say no-store
    response.status = status;
    response.body = std::move(body);
    if (!location.empty()) response.headers.set("Location", location);
    const std::lock_guard lock(mutex_);
    answers_[path] = std::move(response);
  }
  void hang(bool on) { hangs_ = on; }

 private:
  void answer(const net::Request& request, net::Responder respond) {
    ++asked_;
    const std::lock_guard lock(mutex_);
    ++asked_paths_[request.path];
    if (hangs_) {
      unanswered_.push_back(std::move(respond));
      return;
    }
    const auto found = answers_.find(request.path);
    net::Response response;
    response.status = 404;
    respond(found == answers_.end() ? std::move(response) : net::Response(found->second));
  }

  net::test::Certificates certificates_;
  std::mutex mutex_;
  std::map<std::string, net::Response> answers_;
  std::map<std::string, int> asked_paths_;
  std::vector<net::Responder> unanswered_;
  std::atomic<bool> hangs_ = false;
  std::atomic<int> asked_ = 0;
  std::unique_ptr<net::Server> server_;
};

}  // namespace merlon::identity::test
