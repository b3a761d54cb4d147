// Signed in to one server: an access token that is fetched when needed, and requests that carry it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "cli/login_store.h"
#include "net/client.h"

namespace merlon::cli {

class Session {
 public:
  // `client` speaks to login.endpoint.
  Session(const Context& context, Login login, std::unique_ptr<net::Client> client)
      : context_(context), login_(std::move(login)), client_(std::move(client)) {}

  const Login& login() const { return login_; }
  // From the cache, by the refresh token, or by the secret.
  Result<Secret> access_token();
  // For another API than the Resource Manager, such as "https://vault.merlon.localhost:8443". Not kept
  // between commands.
  Result<Secret> token_for(const std::string& audience);
  // First sign-in of a person; the password is not kept.
  Result<void> sign_in(const Secret& password);
  // Sign-in in a browser, anywhere (RFC 8628): what to tell the person, then a question every few seconds.
  struct DeviceCode {
    Secret code;
    std::string user_code, page;
    std::chrono::seconds interval{5};
    std::chrono::seconds lifetime{0};
  };
  // `fresh`: by a sign-in with a second factor that is made for this code, whoever is signed in already.
  Result<DeviceCode> ask_device_code(bool fresh);
  Result<bool> poll_device_code(const DeviceCode& device);  // true: signed in, and login() says who
  // Ends the session at the server; nothing when there is none to end.
  Result<void> sign_out();
  // An expired password, exchanged by who knows it.
  Result<void> change_password(const Secret& old_password, const Secret& new_password);
  // With the token. One that the server does not take any more (a restart, a revocation) is replaced once.
  Result<net::Response> send(net::ClientRequest request);
  Result<net::Response> send_anonymous(const net::ClientRequest& request) { return client_->send(request); }

 private:
  using Form = std::vector<std::pair<std::string, std::string_view>>;
  Result<net::Response> post_form(const std::string& target, const Form& form);
  Result<void> fetch_token(Form form);
  Result<void> keep_token(const JsonObject& answer);
  std::string oauth_path(std::string_view name) const;

  const Context& context_;
  Login login_;
  std::unique_ptr<net::Client> client_;
  std::optional<CachedToken> token_;
};

Result<std::unique_ptr<net::Client>> make_client(const std::string& endpoint,
                                                 const std::string& authorities_pem);

}  // namespace merlon::cli
