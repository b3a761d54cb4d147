// Signed in to one server: an access token that is fetched when needed, and requests that carry it.
#pragma once

#include <memory>
#include <optional>
#include <string>

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
  // First sign-in of a person; the password is not kept.
  Result<void> sign_in(const Secret& password);
  // An expired password, exchanged by who knows it.
  Result<void> change_password(const Secret& old_password, const Secret& new_password);
  // With the token. One that the server does not take any more (a restart, a revocation) is replaced once.
  Result<net::Response> send(net::ClientRequest request);
  Result<net::Response> send_anonymous(const net::ClientRequest& request) { return client_->send(request); }

 private:
  using Form = std::vector<std::pair<std::string, std::string_view>>;
  Result<net::Response> post_form(const std::string& target, const Form& form);
  Result<void> fetch_token(Form form);

  const Context& context_;
  Login login_;
  std::unique_ptr<net::Client> client_;
  std::optional<CachedToken> token_;
};

Result<std::unique_ptr<net::Client>> make_client(const std::string& endpoint,
                                                 const std::string& authorities_pem);

}  // namespace merlon::cli
