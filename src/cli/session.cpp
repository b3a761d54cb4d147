// OAuth 2.0 as Entra does it: client credentials (RFC 6749 section 4.4), password (4.3), refresh token (6)
// and device code (RFC 8628).
#include "cli/session.h"

#include <algorithm>

#include "base/json.h"
#include "base/time_text.h"
#include "cli/server_error.h"
#include "cli/version.h"
#include "crypto/jose.h"

namespace merlon::cli {
namespace {

constexpr int64_t kLifetimeMax = 24 * 3600;  // of a cached token, whatever the answer says
constexpr int64_t kIntervalMax = 60;
constexpr int64_t kDeviceLifetimeMax = 3600;
constexpr const char* kPending = "AADSTS70016";

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

std::string Session::oauth_path(std::string_view name) const {
  return "/" + net::percent_encode(login_.tenant) + "/oauth2/v2.0/" + std::string(name);
}

Result<void> Session::fetch_token(Form form) {
  const std::string scope = login_.audience() + "/.default" + (login_.is_person() ? " offline_access" : "");
  form.emplace_back("client_id", login_.client_id);
  form.emplace_back("scope", scope);
  const net::Response response = TRY(post_form(oauth_path("token"), form));
  if (response.status != 200) return std::unexpected(error_of(response));
  return keep_token(parse_json_object(response.body).value_or(JsonObject{}));
}

Result<void> Session::keep_token(const JsonObject& answer) {
  const auto token = string_at(answer, "access_token");
  const auto lifetime = int_at(answer, "expires_in");
  if (!token || token->empty() || !lifetime)
    return fail(ErrorKind::internal, "TokenAnswerNotUnderstood",
                "The server at " + login_.endpoint +
                    " answered the sign-in with something that is no token. Is it "
                    "Merlon?");
  CachedToken fetched{.access_token = Secret(*token),
                      .refresh_token = Secret(string_at(answer, "refresh_token").value_or("")),
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

Result<Session::DeviceCode> Session::ask_device_code(bool fresh) {
  const std::string scope = login_.audience() + "/.default offline_access openid profile";
  Form form = {{"client_id", login_.client_id}, {"scope", scope}};
  if (fresh) {
    form.emplace_back("claims", R"({"access_token":{"amr":{"essential":true,"values":["mfa"]}}})");
    form.emplace_back("max_age", "0");
  }
  const net::Response response = TRY(post_form(oauth_path("devicecode"), form));
  if (response.status != 200) return std::unexpected(error_of(response));
  const JsonObject answer = parse_json_object(response.body).value_or(JsonObject{});
  DeviceCode device;
  device.code = Secret(string_at(answer, "device_code").value_or(""));
  device.user_code = string_at(answer, "user_code").value_or("");
  device.page = string_at(answer, "verification_uri").value_or("");
  device.interval =
      std::chrono::seconds(std::clamp<int64_t>(int_at(answer, "interval").value_or(5), 1, kIntervalMax));
  device.lifetime = std::chrono::seconds(
      std::clamp<int64_t>(int_at(answer, "expires_in").value_or(0), 0, kDeviceLifetimeMax));
  if (device.code.empty() || device.user_code.empty() || device.page.empty())
    return fail(ErrorKind::internal, "DeviceCodeNotUnderstood",
                "The server at " + login_.endpoint + " gave no code to sign in with. Is it Merlon?");
  return device;
}

Result<bool> Session::poll_device_code(const DeviceCode& device) {
  const net::Response response =
      TRY(post_form(oauth_path("token"), {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
                                          {"client_id", login_.client_id},
                                          {"device_code", device.code.expose_text()}}));
  if (response.status != 200) {
    Error error = error_of(response);
    if (error.code == kPending) return false;
    return std::unexpected(std::move(error));
  }
  const JsonObject answer = parse_json_object(response.body).value_or(JsonObject{});
  // Straight from the server, by the connection that was verified: its signature adds nothing.
  const auto claims = crypto::parse_jws(string_at(answer, "id_token").value_or(""));
  const auto name = claims ? string_at(claims->payload, "preferred_username") : std::nullopt;
  if (!name || name->empty())
    return fail(ErrorKind::internal, "TokenAnswerNotUnderstood",
                "The server at " + login_.endpoint + " did not say who has signed in. Is it Merlon?");
  login_.username = *name;
  token_.reset();
  TRY(keep_token(answer));
  return true;
}

Result<void> Session::sign_out() {
  if (!token_) token_ = cached_token(context_, login_);
  if (!login_.is_person() || !token_ || token_->refresh_token.empty()) return {};
  const net::Response response =
      TRY(post_form(oauth_path("revoke"),
                    {{"client_id", login_.client_id}, {"token", token_->refresh_token.expose_text()}}));
  if (response.status != 200) return std::unexpected(error_of(response));
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
                "The sign-in of " + login_.username + " has ended. Run 'merlon login --server " +
                    login_.endpoint + "'.");
  const Secret refresh = token_->refresh_token;
  TRY(fetch_token({{"grant_type", "refresh_token"}, {"refresh_token", refresh.expose_text()}}));
  return token_->access_token;
}

Result<Secret> Session::token_for(const std::string& audience) {
  if (!token_) token_ = cached_token(context_, login_);
  const std::string scope = audience + "/.default" + (login_.is_person() ? " offline_access" : "");
  Form form = {{"client_id", login_.client_id}, {"scope", scope}};
  if (login_.is_person()) {
    TRY(access_token());  // says how to sign in again when there is nothing to refresh with
    form.insert(form.end(),
                {{"grant_type", "refresh_token"}, {"refresh_token", token_->refresh_token.expose_text()}});
  } else {
    form.insert(form.end(), {{"grant_type", "client_credentials"},
                             {"client_secret", login_.client_secret.expose_text()}});
  }
  const net::Response response = TRY(post_form(oauth_path("token"), form));
  if (response.status != 200) return std::unexpected(error_of(response));
  const JsonObject answer = parse_json_object(response.body).value_or(JsonObject{});
  const auto token = string_at(answer, "access_token");
  if (!token || token->empty())
    return fail(
        ErrorKind::internal, "TokenAnswerNotUnderstood",
        "The server at " + login_.endpoint + " answered with something that is no token. Is it Merlon?");
  // A refresh token is good once: the new one takes its place.
  if (const auto refresh = string_at(answer, "refresh_token"); refresh && login_.is_person()) {
    token_->refresh_token = Secret(*refresh);
    TRY(cache_token(context_, login_, *token_));
  }
  return Secret(*token);
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
