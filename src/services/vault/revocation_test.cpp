// What an authority of a vault has issued is revoked, and anybody can read so.
#include "services/vault/revocation.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

class RevocationTest : public VaultFixture {
 protected:
  RevocationTest() {
    EXPECT_EQ(make_vault("kv-one").status, 200);
    EXPECT_EQ(create("root", R"("issuer":{"name":"Self"},"key_props":{"kty":"EC","exportable":false},)"
                             R"("x509_props":{"subject":"CN=Root","basic_constraints":{"ca":true}})")
                  .status,
              202);
    EXPECT_EQ(ask("PUT", "/certificates/issuers/house",
                  R"({"provider":"Merlon","credentials":{"account_id":"root"}})")
                  .status,
              200);
    EXPECT_EQ(create("web", R"("issuer":{"name":"house"},"key_props":{"kty":"EC"},)"
                            R"("x509_props":{"subject":"CN=web.example.org"})")
                  .status,
              202);
  }
  Seen ask(const std::string& method, const std::string& path, const std::string& body = {}) {
    return data("kv-one", method, path, body);
  }
  Seen create(const std::string& name, const std::string& policy) {
    return ask("POST", "/certificates/" + name + "/create", R"({"policy":{)" + policy + "}}");
  }
  crypto::CertificateReading reading_of(const std::string& name) {
    return must(
        crypto::read_customer_certificate(*from_base64(ask("GET", "/certificates/" + name).at("cer"))));
  }
  std::string list_path() {
    const std::string url = reading_of("web").revocation_url;
    const std::string origin = "https://kv-one.vault.merlon.localhost:8443";
    EXPECT_TRUE(url.starts_with(origin + "/crl/root/")) << url;
    return url.substr(std::min(url.size(), origin.size()));
  }
  // Without a token.
  net::Response fetch(const std::string& path, const std::string& vault = "kv-one") {
    net::Request made = request("GET", path, {}, {});
    made.headers = {};
    made.host = vault + ".vault.merlon.localhost:8443";
    return answer_of(std::move(made));
  }
};

TEST_F(RevocationTest, TheListIsAnybodysAndSaysWhatIsRevoked) {
  const std::string path = list_path();
  const net::Response before = fetch(path);
  ASSERT_EQ(before.status, 200) << before.body;
  EXPECT_EQ(before.headers.value_or("Content-Type", ""), "application/pkix-crl");
  const std::string serial(as_text(reading_of("web").serial));
  EXPECT_THAT(before.body, ::testing::Not(HasSubstr(serial)));
  EXPECT_EQ(fetch(path).body, before.body) << "it is kept";
  const Seen revoked = ask("POST", "/certificates/web/revoke", R"({"reason":"keyCompromise"})");
  ASSERT_EQ(revoked.status, 200) << revoked.text;
  EXPECT_EQ(revoked.at("serial_number"), to_hex(as_bytes(serial)));
  EXPECT_EQ(revoked.at("reason"), "keyCompromise");
  EXPECT_THAT(fetch(path).body, HasSubstr(serial)) << "from the moment of the answer";
  EXPECT_EQ(ask("POST", "/certificates/web/revoke", "{}").status, 409);
  const auto entered = entries("Microsoft.KeyVault/vaults/certificates/revoke/action");
  ASSERT_FALSE(entered.empty());
  EXPECT_EQ(string_at(entered.front().details, "serial"), to_hex(as_bytes(serial)));
}

TEST_F(RevocationTest, AListIsADayOldAtMostAndForgetsWhatHasExpired) {
  const std::string path = list_path();
  ASSERT_EQ(ask("POST", "/certificates/web/revoke", "{}").status, 200);
  const std::string serial(as_text(reading_of("web").serial));
  const std::string first = fetch(path).body;
  clock_.advance(hours(23));
  EXPECT_EQ(fetch(path).body, first);
  clock_.advance(hours(2));
  const std::string second = fetch(path).body;
  EXPECT_NE(second, first);
  EXPECT_THAT(second, HasSubstr(serial));
  EXPECT_EQ(entries("Microsoft.KeyVault/vaults/certificates/crl/action").size(), 1U)
      << "the revocation made the first one";
  clock_.advance(hours(24 * 400));
  EXPECT_THAT(fetch(path).body, ::testing::Not(HasSubstr(serial)));
}

TEST_F(RevocationTest, WhatIsNotAnAuthoritysIsRefused) {
  const std::string path = list_path();
  ASSERT_EQ(
      create("own", R"("issuer":{"name":"Self"},"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=own"})")
          .status,
      202);
  EXPECT_EQ(ask("POST", "/certificates/own/revoke", "{}").code(), "BadParameter");
  EXPECT_EQ(ask("POST", "/certificates/root/revoke", "{}").code(), "BadParameter");
  EXPECT_EQ(ask("POST", "/certificates/none/revoke", "{}").status, 404);
  EXPECT_EQ(ask("POST", "/certificates/web/revoke", R"({"reason":"boredom"})").code(), "BadParameter");
  EXPECT_EQ(ask("POST", "/certificates/web/revoke", R"({"reason":1})").code(), "BadParameter");
  const std::string version = path.substr(path.rfind('/') + 1);
  for (const std::string& wrong : {"/crl/web/" + version, "/crl/root/" + std::string(32, '0'),
                                   "/crl/none/" + version, std::string("/crl/root/x")})
    EXPECT_EQ(fetch(wrong).status, 404) << wrong;
  EXPECT_EQ(fetch(path, "kv-none").status, 404);
  EXPECT_EQ(fetch("/crl/root").status, 401) << "everything else takes a token";
}

TEST_F(RevocationTest, WithoutItsKeyAnAuthoritysLastListIsGiven) {
  const std::string path = list_path();
  const std::string last = fetch(path).body;
  ASSERT_EQ(ask("DELETE", "/certificates/root").status, 200);
  EXPECT_NE(ask("POST", "/certificates/web/revoke", "{}").status, 200);
  clock_.advance(hours(48));
  EXPECT_EQ(fetch(path).body, last);
}

TEST_F(RevocationTest, ItTakesARight) {
  const Person ada = make_person("ada");
  EXPECT_EQ(data_as(token(ada, "https://vault.merlon.localhost:8443"), "kv-one", "POST",
                    "/certificates/web/revoke", "{}")
                .status,
            403);
}

}  // namespace
}  // namespace merlon::vault
