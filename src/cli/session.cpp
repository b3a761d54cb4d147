// OAuth 2.0 as Entra does it: client credentials (RFC 6749 section 4.4), password (4.3) and refresh token
// (6).
#include "cli/session.h"

#include <algorithm>

#include "base/json.h"
#include "base/time_text.h"
#include "cli/server_error.h"
#include "cli/version.h"

namespace merlon::cli {
namespace {

constexpr int64_t kLifetimeMax = 24 * 3600;  // of a cached token, whatever the answer says

std::string user_agent() {
  std::string line = version_line();
  for (char& c : line)
    if (c == ' ') c = '/';
  line.pop_back();
  return line;
}

}  // namespace

Result<std::unique_ptr<net::Client>> make_client(const std::string& endpoint,
                                                 const std::string& authorities_pem) {
  const net::Url url = TRY(net::parse_https_url(endpoint));
  net::ClientParameters parameters;
  parameters.host = url.host;
  parameters.port = url.port;
  parameters.authorities_pem = authorities_pem;
  return net::Client::make(std::move(parameters));
}

Result<net::Response> Session::post_form(const std::string& target, const Form& form) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = target;
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.set("User-Agent", user_agent());
  for (const auto& [name, value] : form) {
    if (!request.body.empty()) request.body += "&";
    request.body += name + "=" + net::percent_encode(value);
  }
  return client_->send(request);
}

Result<void> Session::fetch_token(Form form) {
  const std::string scope = login_.audience() + "/.default" + (login_.is_person() ? " offline_access" : "");
  form.emplace_back("client_id", login_.client_id);
  form.emplace_back("scope", scope);
  const net::Response response =
      TRY(post_form("/" + net::percent_encode(login_.tenant) + "/oauth2/v2.0/token", form));
  if (response.status != 200) return std::unexpected(error_of(response));
  const auto json = parse_json_object(response.body);
  const auto token = json ? string_at(*json, "access_token") : std::nullopt;
  const auto lifetime = json ? int_at(*json, "expires_in") : std::nullopt;
  if (!token || token->empty() || !lifetime)
    return fail(ErrorKind::internal, "TokenAnswerNotUnderstood",
                "The server at " + login_.endpoint +
                    " answered the sign-in with something that is no token. Is it "
                    "Merlon?");
  CachedToken fetched{.access_token = Secret(*token),
                      .refresh_token = Secret(string_at(*json, "refresh_token").value_or("")),
                      .expires = context_.clock.now() +
                                 std::chrono::seconds(std::clamp<int64_t>(*lifetime, 0, kLifetimeMax))};
  if (fetched.refresh_token.empty() && token_) fetched.refresh_token = token_->refresh_token;
  token_ = std::move(fetched);
  // A person's refresh token exists nowhere else; an application's token can be had again, so a read-only
  // home is no reason to fail.
  const auto cached = cache_token(context_, login_, *token_);
  if (!cached && login_.is_person()) return cached;
  return {};
}

Result<Secret> Session::access_token() {
  if (!token_) token_ = cached_token(context_, login_);
  if (token_ && is_fresh(*token_, context_.clock.now())) return token_->access_token;
  if (!login_.is_person()) {
    TRY(fetch_token(
        {{"grant_type", "client_credentials"}, {"client_secret", login_.client_secret.expose_text()}}));
    return token_->access_token;
  }
  if (!token_ || token_->refresh_token.empty())
    return fail(ErrorKind::unauthenticated, "NotSignedIn",
                "The sign-in of " + login_.username + " has ended. Run 'merlon login --endpoint " +
                    login_.endpoint + " --username " + login_.username + "'.");
  const Secret refresh = token_->refresh_token;
  TRY(fetch_token({{"grant_type", "refresh_token"}, {"refresh_token", refresh.expose_text()}}));
  return token_->access_token;
}

Result<void> Session::sign_in(const Secret& password) {
  token_.reset();
  return fetch_token(
      {{"grant_type", "password"}, {"username", login_.username}, {"password", password.expose_text()}});
}

Result<void> Session::change_password(const Secret& old_password, const Secret& new_password) {
  const net::Response response =
      TRY(post_form("/adfs/portal/updatepassword", {{"UserName", login_.username},
                                                    {"OldPassword", old_password.expose_text()},
                                                    {"NewPassword", new_password.expose_text()},
                                                    {"ConfirmNewPassword", new_password.expose_text()}}));
  if (response.status != 200) return std::unexpected(error_of(response));
  return {};
}

Result<net::Response> Session::send(net::ClientRequest request) {
  request.headers.set("User-Agent", user_agent());
  for (const bool last : {false, true}) {
    request.headers.set("Authorization", "Bearer " + std::string(TRY(access_token()).expose_text()));
    net::Response response = TRY(client_->send(request));
    if (response.status != 401 || last) return response;
    token_->access_token = Secret();
  }
  return internal_error("a loop of two went on");
}

}  // namespace merlon::cli
