// Test only: a browser that keeps cookies and sends forms back, and a person with a password.
#pragma once

#include <map>
#include <string>

#include "crypto/digest.h"
#include "crypto/password.h"
#include "identity/sessions.h"
#include "identity/test_world.h"

namespace merlon::identity {

class Browser {
 public:
  explicit Browser(World& world) : world_(world) {}

  net::Response get(const std::string& target) { return keep(world_.send("GET", target, {}, headers({}))); }
  net::Response post(const std::string& target, const Form& form, const Form& more = {}) {
    std::string body;
    for (const auto& [name, value] : form)
      body += (body.empty() ? "" : "&") + net::percent_encode(name) + "=" + net::percent_encode(value);
    Form all = headers(more);
    all.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    return keep(world_.send("POST", target, body, all));
  }
  // The page's last form with its hidden fields, to where it says or to `target`.
  net::Response submit(const net::Response& page, Form form, const Form& more = {}, std::string target = {}) {
    const size_t start = page.body.rfind("<form ");
    EXPECT_NE(start, std::string::npos) << page.status << page.body;
    if (start == std::string::npos) return {};
    const std::string html = page.body.substr(start);
    for (size_t at = html.find("type=\"hidden\""); at != std::string::npos;
         at = html.find("type=\"hidden\"", at + 1))
      form.emplace_back(attribute(html, "name", at), attribute(html, "value", at));
    return post(target.empty() ? attribute(html, "action", 0) : target, form, more);
  }
  std::string cookie(const std::string& name) { return cookies_[name]; }
  void set_cookie(const std::string& name, const std::string& value) { cookies_[name] = value; }

 private:
  static std::string attribute(const std::string& html, const std::string& name, size_t from) {
    const size_t start = html.find(name + "=\"", from) + name.size() + 2;
    std::string value = html.substr(start, html.find('"', start) - start);
    for (const auto& [entity, text] :
         {std::pair("&amp;", "&"), std::pair("&quot;", "\""), std::pair("&lt;", "<"), std::pair("&gt;", ">"),
          std::pair("&#39;", "'")})
      for (size_t at = value.find(entity); at != std::string::npos; at = value.find(entity, at + 1))
        value.replace(at, std::string(entity).size(), text);
    return value;
  }
  Form headers(Form more) {
    std::string line;
    for (const auto& [name, value] : cookies_)
      if (!value.empty()) line += (line.empty() ? "" : "; ") + name + "=" + value;
    if (!line.empty()) more.emplace_back("Cookie", line);
    return more;
  }
  net::Response keep(std::optional<net::Response> response) {
    EXPECT_TRUE(response);
    if (!response) return {};
    for (const auto& [name, value] : response->headers.all())
      if (name == "Set-Cookie") {
        const size_t equals = value.find('=');
        cookies_[value.substr(0, equals)] = value.substr(equals + 1, value.find(';') - equals - 1);
      }
    return *std::move(response);
  }

  World& world_;
  std::map<std::string, std::string> cookies_;
};

class BrowserTest : public ::testing::Test {
 protected:
  static constexpr const char* kPassword = "correct Horse 7";
  static constexpr const char* kRedirect = "http://localhost:8400/";
  static constexpr const char* kVerifier =
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";  // RFC 7636, appendix B

  // Argon2id takes long by intent: hashed once for all tests.
  static const std::string& hash() {
    static const std::string made = must(crypto::hash_password(Secret(std::string_view(kPassword))));
    return made;
  }
  World world;
  User alice = world.make_user("alice@merlon.localhost", hash());
  Browser browser{world};

  static Form changed(Form form, const Form& changes) {
    for (const auto& [name, value] : changes) {
      std::erase_if(form, [&](const auto& field) { return field.first == name; });
      if (!value.empty()) form.emplace_back(name, value);
    }
    return form;
  }
  // As Azure CLI asks, with some parameters changed; an empty one is left out.
  std::string authorize(const Form& changes = {}) const {
    const Form form =
        changed({{"client_id", kAzureCliAppId},
                 {"response_type", "code"},
                 {"redirect_uri", kRedirect},
                 {"scope", std::string(World::kManagement) + ".default offline_access openid profile"},
                 {"state", "s&1"},
                 {"nonce", "n-1"},
                 {"code_challenge", to_base64url(crypto::sha256(as_bytes(std::string_view(kVerifier))))},
                 {"code_challenge_method", "S256"}},
                changes);
    std::string target = "/" + world.tenant.text() + "/oauth2/v2.0/authorize";
    char separator = '?';
    for (const auto& [name, value] : form) {
      target += separator + name + "=" + net::percent_encode(value);
      separator = '&';
    }
    return target;
  }
  static Form password_form(const std::string& name, const std::string& password) {
    return {{"do", "sign-in"}, {"username", name}, {"password", password}};
  }
  static std::string code_of(const net::Response& response) {
    const std::string to(response.headers.value_or("Location", ""));
    const size_t at = to.find("code=");
    EXPECT_NE(at, std::string::npos) << response.status << " " << to << response.body;
    return at == std::string::npos ? std::string() : to.substr(at + 5, to.find('&', at) - at - 5);
  }
  std::string sign_in() {
    return code_of(
        browser.submit(browser.get(authorize()), password_form("alice@merlon.localhost", kPassword)));
  }
  // Somebody is signed in already: an application on their own machine gets its code by a click.
  std::string click(const Form& changes = {}) {
    return code_of(browser.submit(browser.get(authorize(changes)), {{"do", "continue"}}));
  }
  // Whether the page offers to go on as who is signed in.
  bool knows(Browser& whose) {
    const net::Response page = whose.get(authorize());
    EXPECT_EQ(page.status, 200) << page.headers.value_or("Location", "");
    return page.body.find("Continue as alice@merlon.localhost") != std::string::npos;
  }
  net::Response redeem(const std::string& code, const Form& changes = {}) {
    return world.post_form(world.v2(), changed({{"grant_type", "authorization_code"},
                                                {"client_id", kAzureCliAppId},
                                                {"code", code},
                                                {"redirect_uri", kRedirect},
                                                {"code_verifier", kVerifier}},
                                               changes));
  }
  net::Response refresh(const std::string& token) {
    return world.post_form(
        world.v2(),
        {{"grant_type", "refresh_token"}, {"client_id", kAzureCliAppId}, {"refresh_token", token}});
  }
  static int64_t number_of(const net::Response& response) {
    if (response.status == 200) return 0;
    return body_of(response).at("error_codes").as_array().at(0).as_int64();
  }
  std::vector<Session> all_sessions() {
    return world.read<std::vector<Session>>(
        [&](store::Reader& reader) { return store::scan_all<Session>(reader, world.tenant); });
  }
};

}  // namespace merlon::identity
