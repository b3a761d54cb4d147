// Certificates of vaults, through the data plane: what they make, how they end, who may issue them.
#include "base/text.h"
#include "crypto/customer_certificate.h"
#include "crypto/key_bundle.h"
#include "crypto/x509.h"
#include "services/vault/records.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

using std::chrono::hours;

class CertificateTest : public VaultFixture {
 protected:
  CertificateTest() { EXPECT_EQ(make_vault("kv-one").status, 200); }
  Seen ask(const std::string& method, const std::string& path, const std::string& body = {}) {
    return data("kv-one", method, path, body);
  }
  // EC keys: made at once.
  static std::string policy(const std::string& issuer, const std::string& more = {},
                            const std::string& x509 = R"("subject":"CN=web.example.org")") {
    return R"({"issuer":{"name":")" + issuer + R"("},"key_props":{"kty":"EC","crv":"P-256"},"x509_props":{)" +
           x509 + "}" + (more.empty() ? "" : "," + more) + "}";
  }
  Seen create(const std::string& name, const std::string& with) {
    return ask("POST", "/certificates/" + name + "/create", R"({"policy":)" + with + "}");
  }
  void make_authority() {
    const Seen made =
        create("root", R"({"issuer":{"name":"Self"},"key_props":{"kty":"EC","exportable":false},)"
                       R"("x509_props":{"subject":"CN=Root","basic_constraints":{"ca":true}}})");
    EXPECT_EQ(made.status, 202) << made.text;
  }
  static crypto::CertificateReading reading_of(const Seen& bundle) {
    const auto der = from_base64(bundle.at("cer"));
    EXPECT_TRUE(der && !der->empty()) << bundle.text;
    return must(crypto::read_customer_certificate(*der));
  }
};

TEST_F(CertificateTest, ASelfSignedOneIsACertificateAKeyAndASecret) {
  const Seen made = create("web", policy("Self"));
  ASSERT_EQ(made.status, 202) << made.text;
  EXPECT_EQ(made.at("status"), "completed");
  const Seen bundle = ask("GET", "/certificates/web");
  ASSERT_EQ(bundle.status, 200) << bundle.text;
  const auto reading = reading_of(bundle);
  EXPECT_EQ(reading.profile.subject, "CN=web.example.org");
  EXPECT_EQ(to_base64url(reading.thumbprint), bundle.at("x5t"));
  EXPECT_EQ(bundle.at("policy.issuer.name"), "Self");
  const std::string version = bundle.at("id").substr(bundle.at("id").rfind('/') + 1);
  const Seen key = ask("GET", "/keys/web/" + version);
  EXPECT_EQ(key.at("key.kid"), bundle.at("kid"));
  EXPECT_TRUE(bool_at(key.body, "managed").value_or(false));
  const Seen secret = ask("GET", "/secrets/web/" + version);
  EXPECT_EQ(secret.at("id"), bundle.at("sid"));
  EXPECT_EQ(secret.at("contentType"), "application/x-pkcs12");
  const auto pfx = from_base64(secret.at("value"));
  ASSERT_TRUE(pfx);
  const auto bundle_read = must(crypto::read_pfx(*pfx, Secret()));
  EXPECT_EQ(to_base64(bundle_read.certificates_der.front()), bundle.at("cer"));
  EXPECT_EQ(string_at(bundle_read.key.public_jwk(), "x"), key.at("key.x"));
}

TEST_F(CertificateTest, ItsKeyAndSecretChangeWithItAlone) {
  ASSERT_EQ(create("web", policy("Self")).status, 202);
  EXPECT_EQ(ask("PUT", "/secrets/web", R"({"value":"x"})").status, 403);
  EXPECT_EQ(ask("PATCH", "/secrets/web", R"({"tags":{}})").status, 403);
  EXPECT_EQ(ask("DELETE", "/secrets/web").status, 403);
  EXPECT_EQ(ask("POST", "/secrets/web/backup").status, 403);
  EXPECT_EQ(ask("POST", "/keys/web/create", R"({"kty":"EC"})").status, 403);
  EXPECT_EQ(ask("PATCH", "/keys/web", R"({"tags":{}})").status, 403);
  EXPECT_EQ(ask("POST", "/keys/web/rotate").status, 403);
  EXPECT_EQ(ask("DELETE", "/keys/web").status, 403);
  EXPECT_EQ(control("PUT", vault_id("kv-one") + "/secrets/web", R"({"properties":{"value":"x"}})").status,
            403);
  const Seen updated =
      ask("PATCH", "/certificates/web", R"({"attributes":{"enabled":false},"tags":{"a":"b"}})");
  EXPECT_EQ(updated.status, 200) << updated.text;
  EXPECT_EQ(ask("GET", "/secrets/web").inner(), "SecretDisabled");
  EXPECT_EQ(ask("GET", "/keys/web").at("tags.a"), "b");
}

TEST_F(CertificateTest, NobodysNameIsTaken) {
  ASSERT_EQ(ask("PUT", "/secrets/web", R"({"value":"x"})").status, 200);
  EXPECT_EQ(create("web", policy("Self")).status, 409);
  EXPECT_EQ(ask("GET", "/certificates/web").status, 404);
  EXPECT_EQ(ask("GET", "/keys/web").status, 404);
}

TEST_F(CertificateTest, DeletionRecoveryAndPurgeAreOfAllThree) {
  ASSERT_EQ(create("web", policy("Self")).status, 202);
  const std::string sid = ask("GET", "/certificates/web").at("sid");
  const Seen gone = ask("DELETE", "/certificates/web");
  EXPECT_EQ(gone.status, 200) << gone.text;
  EXPECT_TRUE(gone.at("recoveryId").ends_with("/deletedcertificates/web"));
  for (const char* kind : {"/keys/web", "/secrets/web", "/certificates/web"})
    EXPECT_EQ(ask("GET", kind).status, 404) << kind;
  EXPECT_EQ(create("web", policy("Self")).inner(), "ObjectIsDeletedButRecoverable");
  EXPECT_EQ(ask("POST", "/deletedkeys/web/recover").status, 403);
  EXPECT_EQ(ask("DELETE", "/deletedsecrets/web").status, 403);
  EXPECT_EQ(ask("POST", "/deletedcertificates/web/recover").status, 200);
  EXPECT_EQ(ask("GET", "/secrets/web").at("id"), sid);
  ask("DELETE", "/certificates/web");
  EXPECT_EQ(ask("DELETE", "/deletedcertificates/web").status, 204);
  for (const char* kind : {"/deletedkeys/web", "/deletedsecrets/web", "/deletedcertificates/web"})
    EXPECT_EQ(ask("GET", kind).status, 404) << kind;
  EXPECT_EQ(ask("PUT", "/secrets/web", R"({"value":"x"})").status, 200);
}

TEST_F(CertificateTest, ABackupHoldsAllThree) {
  ASSERT_EQ(create("web", policy("Self")).status, 202);
  const std::string value = ask("GET", "/secrets/web").at("value");
  const std::string backup = ask("POST", "/certificates/web/backup").at("value");
  ASSERT_FALSE(backup.empty());
  EXPECT_EQ(ask("POST", "/certificates/restore", R"({"value":")" + backup + R"("})").status, 409);
  ASSERT_EQ(make_vault("other").status, 200);
  const Seen restored = data("other", "POST", "/certificates/restore", R"({"value":")" + backup + R"("})");
  EXPECT_EQ(restored.status, 200) << restored.text;
  EXPECT_EQ(restored.at("policy.issuer.name"), "Self");
  EXPECT_EQ(data("other", "GET", "/secrets/web").at("value"), value);
  EXPECT_EQ(data("other", "POST", "/secrets/restore", R"({"value":")" + backup + R"("})").status, 400);
}

TEST_F(CertificateTest, AnotherSignsItsRequest) {
  const Seen asked = create("web", policy("Unknown"));
  ASSERT_EQ(asked.status, 202) << asked.text;
  EXPECT_EQ(asked.at("status"), "inProgress");
  EXPECT_FALSE(asked.at("csr").empty());
  EXPECT_EQ(ask("GET", "/certificates/web").at("cer"), "");
  EXPECT_EQ(array_at(ask("GET", "/certificates").body, "value")->size(), 0U);
  EXPECT_EQ(array_at(ask("GET", "/certificates?includePending=true").body, "value")->size(), 1U);
  EXPECT_EQ(create("web", policy("Unknown")).status, 409);
  // A certificate for another key.
  ASSERT_EQ(create("other", policy("Self")).status, 202);
  const std::string wrong = ask("GET", "/certificates/other").at("cer");
  EXPECT_EQ(ask("POST", "/certificates/web/pending/merge", R"({"x5c":[")" + wrong + R"("]})").code(),
            "BadParameter");
  EXPECT_EQ(ask("POST", "/certificates/web/pending/merge", R"({"x5c":[]})").status, 400);
  EXPECT_EQ(ask("GET", "/certificates/web/pending").at("status"), "inProgress");
  EXPECT_EQ(ask("PATCH", "/certificates/web/pending", R"({"cancellation_requested":true})").at("status"),
            "cancelled");
  EXPECT_EQ(ask("POST", "/certificates/web/pending/merge", R"({"x5c":[")" + wrong + R"("]})").status, 409);
  EXPECT_EQ(ask("DELETE", "/certificates/web/pending").status, 200);
  EXPECT_EQ(ask("GET", "/certificates/web").status, 404);
  EXPECT_EQ(ask("GET", "/certificates/web/pending").status, 404);
}

TEST_F(CertificateTest, AnIssuerOfTheVaultIssues) {
  make_authority();
  EXPECT_EQ(create("web", policy("house")).status, 400);
  EXPECT_EQ(ask("PUT", "/certificates/issuers/house",
                R"({"provider":"DigiCert","credentials":{"account_id":"root","pwd":"hush-hush"}})")
                .status,
            400);
  ASSERT_EQ(create("plain", policy("Self")).status, 202);
  EXPECT_EQ(ask("PUT", "/certificates/issuers/house",
                R"({"provider":"Merlon","credentials":{"account_id":"plain"}})")
                .status,
            400);
  const Seen issuer = ask("PUT", "/certificates/issuers/house",
                          R"({"provider":"Merlon","credentials":{"account_id":"root","pwd":"hush-hush"}})");
  ASSERT_EQ(issuer.status, 200) << issuer.text;
  EXPECT_EQ(issuer.text.find("hush-hush"), std::string::npos);
  const Seen made = create("web", policy("house"));
  ASSERT_EQ(made.status, 202) << made.text;
  EXPECT_EQ(reading_of(ask("GET", "/certificates/web")).issuer, "CN=Root");
  ask("PATCH", "/certificates/issuers/house", R"({"attributes":{"enabled":false}})");
  EXPECT_EQ(create("web2", policy("house")).status, 400);
  EXPECT_EQ(ask("DELETE", "/certificates/issuers/house").status, 200);
  EXPECT_EQ(ask("GET", "/certificates/issuers/house").status, 404);
  for (const ledger::Entry& entry : entries())
    EXPECT_EQ(to_text(entry.details).find("hush-hush"), std::string::npos);
}

TEST_F(CertificateTest, AKeyThatDoesNotLeaveIsInNoSecret) {
  for (const char* type : {"application/x-pkcs12", "application/x-pem-file"}) {
    const std::string name = std::string(type).ends_with("12") ? "pfx" : "pem";
    const std::string with = R"({"issuer":{"name":"Self"},"key_props":{"kty":"EC","exportable":false},)"
                             R"("secret_props":{"contentType":")" +
                             std::string(type) + R"("},"x509_props":{"subject":"CN=a"}})";
    ASSERT_EQ(create(name, with).status, 202);
    const std::string value = ask("GET", "/secrets/" + name).at("value");
    ASSERT_FALSE(value.empty());
    EXPECT_EQ(value.find("PRIVATE"), std::string::npos);
    const auto der = from_base64(value);
    if (name == "pfx") {
      const auto read = crypto::read_pfx(*der, Secret());
      EXPECT_FALSE(read);
      if (!read)
        EXPECT_NE(read.error().message.find("no private key"), std::string::npos) << read.error().message;
    }
  }
}

// The private key of one that was made to stay is in no secret, whatever the policy says later.
class StayingKey : public CertificateTest {
 protected:
  static std::string staying(const std::string& issuer, const std::string& more = "") {
    const std::string renews =
        R"("lifetime_actions":[{"trigger":{"days_before_expiry":30},"action":{"action_type":"AutoRenew"}}],)";
    return "{" + (issuer == "Self" ? renews : std::string()) + R"("issuer":{"name":")" + issuer +
           R"("},"key_props":{"kty":"EC","exportable":false)" + more +
           R"(},"secret_props":{"contentType":"application/x-pem-file"},"x509_props":{"subject":"CN=a"}})";
  }
  // Another authority signs the request (DER in base64), and the certificate is merged.
  Seen merge_signed(const std::string& name, const std::string& csr) {
    const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
    const std::string authority = must(crypto::make_authority({.common_name = "elsewhere",
                                                               .not_before = clock_.now(),
                                                               .not_after = clock_.now() + hours(48),
                                                               .permitted_dns = {}},
                                                              key, random_));
    std::string pem = "-----BEGIN CERTIFICATE REQUEST-----\n";
    for (size_t at = 0; at < csr.size(); at += 64) pem += csr.substr(at, 64) + "\n";
    const auto subject = must(crypto::verify_request(pem + "-----END CERTIFICATE REQUEST-----\n"));
    const std::string leaf = must(crypto::issue_leaf({.common_name = "a",
                                                      .dns_names = {},
                                                      .addresses = {},
                                                      .use = crypto::LeafUse::tls_server,
                                                      .not_before = clock_.now(),
                                                      .not_after = clock_.now() + hours(24)},
                                                     subject, authority, key, random_));
    return ask("POST", "/certificates/" + name + "/pending/merge",
               R"({"x5c":[")" + to_base64(must(crypto::certificate_der(leaf))) + R"("]})");
  }
  bool lets_out(const std::string& name) {
    return ask("GET", "/secrets/" + name).at("value").find("PRIVATE") != std::string::npos;
  }
  static inline const std::string kOut = R"({"key_props":{"kty":"EC","exportable":true,"reuse_key":true}})";
};

TEST_F(StayingKey, IsNotUsedAgainByAPolicyThatLetsItOut) {
  ASSERT_EQ(create("web", staying("Self")).status, 202);
  const std::string key = ask("GET", "/keys/web").at("key.x");
  const Seen refused = create(
      "web", R"({"issuer":{"name":"Self"},"key_props":{"kty":"EC","exportable":true,"reuse_key":true},)"
             R"("secret_props":{"contentType":"application/x-pem-file"},"x509_props":{"subject":"CN=a"}})");
  EXPECT_EQ(refused.status, 400) << refused.text;
  EXPECT_FALSE(lets_out("web"));
  EXPECT_EQ(ask("GET", "/keys/web").at("key.x"), key);
  // Used again and staying, or new and let out, are as they were.
  ASSERT_EQ(create("web", staying("Self", R"(,"reuse_key":true)")).status, 202);
  EXPECT_EQ(ask("GET", "/keys/web").at("key.x"), key);
  EXPECT_FALSE(lets_out("web"));
  ASSERT_EQ(create("web", R"({"issuer":{"name":"Self"},"key_props":{"kty":"EC","exportable":true},)"
                          R"("secret_props":{"contentType":"application/x-pem-file"},)"
                          R"("x509_props":{"subject":"CN=a"}})")
                .status,
            202);
  EXPECT_NE(ask("GET", "/keys/web").at("key.x"), key);
  EXPECT_TRUE(lets_out("web"));
}

class SignedElsewhere : public StayingKey {
 protected:
  std::vector<Object> objects() {
    return must(store::read_value<std::vector<Object>>(
        *store_, [&](store::Reader& reader) { return store::scan_all<Object>(reader, tenant_); }));
  }
};

// Who may write secrets alone would otherwise put theirs in the place of the certificate's.
TEST_F(SignedElsewhere, HoldsTheNamesOfItsKeyAndItsSecret) {
  const Seen asked = create("web", staying("Unknown"));
  ASSERT_EQ(asked.status, 202) << asked.text;
  EXPECT_EQ(ask("PUT", "/secrets/web", R"({"value":"mine"})").inner(), "PendingCertificate");
  EXPECT_EQ(ask("POST", "/keys/web/create", R"({"kty":"EC"})").status, 409);
  EXPECT_EQ(control("PUT", vault_id("kv-one") + "/secrets/web", R"({"properties":{"value":"mine"}})").status,
            409);
  EXPECT_EQ(merge_signed("web", asked.at("csr")).status, 201);
  EXPECT_EQ(bool_at(ask("GET", "/secrets/web").body, "managed"), true);
  // Cancelled and forgotten, it holds nothing.
  ASSERT_EQ(create("next", staying("Unknown")).status, 202);
  ASSERT_EQ(ask("PATCH", "/certificates/next/pending", R"({"cancellation_requested":true})").status, 200);
  ASSERT_EQ(ask("DELETE", "/certificates/next/pending").status, 200);
  EXPECT_EQ(ask("PUT", "/secrets/next", R"({"value":"mine"})").status, 200);
}

TEST_F(SignedElsewhere, IsNotMergedOverADeletedNameAndADeletedTwinTakesNothingAlong) {
  const Seen asked = create("web", staying("Unknown"));
  ASSERT_EQ(asked.status, 202) << asked.text;
  // As states have it in which a waiting certificate did not hold its names.
  const auto plant = [&](const std::string& current) {
    Object twin = objects().front();
    twin.name.kind = Kind::secrets;
    twin.current = current;
    twin.facts.pending = false;
    twin.facts.managed = false;
    twin.deleted = clock_.now();
    twin.purge_due = clock_.now() + hours(24 * 90);
    must(
        store_->write([&](store::Transaction& tx) -> Result<void> { return store::put(tx, tenant_, twin); }));
  };
  plant("none");
  EXPECT_EQ(merge_signed("web", asked.at("csr")).inner(), "ObjectIsDeletedButRecoverable");
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    for (const Object& object : objects())
      if (object.deleted) TRY(store::erase<Object>(tx, tenant_, object.key()));
    return {};
  }));
  ASSERT_EQ(merge_signed("web", asked.at("csr")).status, 201);
  const std::string id = ask("GET", "/secrets/web").at("id");
  plant(id.substr(id.rfind('/') + 1));
  EXPECT_EQ(ask("POST", "/deletedsecrets/web/recover").status, 409);
  EXPECT_EQ(ask("GET", "/secrets/web").at("id"), id);
  EXPECT_EQ(ask("DELETE", "/deletedsecrets/web").status, 204);
  EXPECT_EQ(ask("GET", "/deletedsecrets/web").status, 404);
  EXPECT_EQ(ask("GET", "/secrets/web").at("id"), id) << "its versions are the living one's";
}

TEST_F(StayingKey, StaysWhenThePolicyChangesWhileItIsSignedElsewhere) {
  const Seen asked = create("web", staying("Unknown"));
  ASSERT_EQ(asked.status, 202) << asked.text;
  ASSERT_EQ(
      ask("PATCH", "/certificates/web/policy", R"({"key_props":{"kty":"EC","exportable":true}})").status,
      200);
  EXPECT_EQ(merge_signed("web", asked.at("csr")).status, 201);
  EXPECT_FALSE(lets_out("web"));
  EXPECT_EQ(bool_at(ask("GET", "/keys/web").body, "attributes.exportable"), false);
}

TEST_F(StayingKey, IsNotLetOutByARenewal) {
  ASSERT_EQ(create("web", staying("Self")).status, 202);
  const std::string before = ask("GET", "/certificates/web").at("id");
  ASSERT_EQ(ask("PATCH", "/certificates/web/policy", kOut).status, 200);
  clock_.advance(hours(24 * 340));
  must(vaults_->tick({}));
  owner_token_.clear();
  EXPECT_FALSE(lets_out("web"));
  EXPECT_EQ(ask("GET", "/certificates/web").at("id"), before) << "it is not renewed, and that is entered";
  ASSERT_EQ(entries("Microsoft.KeyVault/vaults/certificates/renew").size(), 1U);
  must(vaults_->tick({}));
  EXPECT_EQ(entries("Microsoft.KeyVault/vaults/certificates/renew").size(), 1U) << "tried again in an hour";
}

TEST_F(CertificateTest, ItRenewsByItsPolicy) {
  ASSERT_EQ(create("web", policy("Self", R"("lifetime_actions":[{"trigger":{"days_before_expiry":30},)"
                                         R"("action":{"action_type":"AutoRenew"}}])"))
                .status,
            202);
  const std::string before = ask("GET", "/certificates/web").at("id");
  const std::string key = ask("GET", "/keys/web").at("key.x");
  clock_.advance(hours(24 * 300));
  must(vaults_->tick({}));
  owner_token_.clear();
  EXPECT_EQ(ask("GET", "/certificates/web").at("id"), before);
  clock_.advance(hours(24 * 40));
  must(vaults_->tick({}));
  owner_token_.clear();
  const Seen renewed = ask("GET", "/certificates/web");
  EXPECT_NE(renewed.at("id"), before);
  EXPECT_NE(ask("GET", "/keys/web").at("key.x"), key);
  EXPECT_GT(reading_of(renewed).not_after, clock_.now() + hours(24 * 300));
  EXPECT_EQ(array_at(ask("GET", "/certificates/web/versions").body, "value")->size(), 2U);
  EXPECT_EQ(entries("Microsoft.KeyVault/vaults/certificates/renew").size(), 1U);
}

TEST_F(CertificateTest, ItsContactsAreToldOnce) {
  ASSERT_EQ(create("web", policy("Self", R"("lifetime_actions":[{"trigger":{"lifetime_percentage":50},)"
                                         R"("action":{"action_type":"EmailContacts"}}])"))
                .status,
            202);
  for (int i = 0; i < 3; ++i) {
    clock_.advance(hours(24 * 100));
    must(vaults_->tick({}));
  }
  EXPECT_EQ(entries("Microsoft.KeyVault/vaults/certificates/nearExpiry").size(), 1U);
}

TEST_F(CertificateTest, APolicyIsCheckedWhole) {
  for (const std::string& bad :
       {R"({"issuer":{"name":"Self"}})", R"({"issuer":{},"x509_props":{"subject":"CN=a"}})",
        R"({"issuer":{"name":"Self"},"x509_props":{"subject":"no name"}})",
        R"({"issuer":{"name":"Self"},"x509_props":{"subject":"CN=a","validity_months":0}})",
        R"({"issuer":{"name":"Self"},"x509_props":{"subject":"CN=a"},"key_props":{"key_size":1024}})",
        R"({"issuer":{"name":"Self"},"x509_props":{"subject":"CN=a"},"key_props":{"kty":"oct"}})",
        R"({"issuer":{"name":"Self"},"x509_props":{"subject":"CN=a","key_usage":["x"]}})",
        R"({"issuer":{"name":"Self"},"x509_props":{"subject":"CN=a"},"secret_props":{"contentType":"x"}})",
        R"({"issuer":{"name":"Self"},"x509_props":7})"}) {
    const Seen refused = create("web", bad);
    EXPECT_EQ(refused.status, 400) << bad << refused.text;
    EXPECT_EQ(refused.code(), "BadParameter") << bad;
  }
  EXPECT_EQ(create("web", policy("Unknown", R"("lifetime_actions":[{"trigger":{"lifetime_percentage":50},)"
                                            R"("action":{"action_type":"AutoRenew"}}])"))
                .status,
            400);
  EXPECT_EQ(ask("GET", "/certificates/web").status, 404);
}

TEST_F(CertificateTest, WhoMayReadMayNotMake) {
  const Person reader = make_person("reader");
  assign(reader, "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", vault_id("kv-one"));  // Key Vault Certificate User
  const std::string bearer = token(reader, "https://vault.merlon.localhost:8443");
  ASSERT_EQ(create("web", policy("Self")).status, 202);
  EXPECT_EQ(data_as(bearer, "kv-one", "GET", "/certificates/web").status, 200);
  EXPECT_EQ(
      data_as(bearer, "kv-one", "POST", "/certificates/x/create", R"({"policy":)" + policy("Self") + "}")
          .inner(),
      "ForbiddenByRbac");
  EXPECT_EQ(data_as(bearer, "kv-one", "GET", "/certificates/issuers").status, 403);
  EXPECT_EQ(data_as(bearer, "kv-one", "GET", "/certificates/contacts").status, 403);
}

// Whoever has one certificate of the vault would else have any name signed by any of its authorities.
TEST_F(CertificateTest, ARightAtOneCertificateIsNoneAtTheVaultsAuthorities) {
  constexpr const char* kOfficer = "a4417e6f-fecd-4de8-b567-7b0420556985";  // Key Vault Certificates Officer
  make_authority();
  ASSERT_EQ(ask("PUT", "/certificates/issuers/house",
                R"({"provider":"Merlon","credentials":{"account_id":"root"}})")
                .status,
            200);
  const Person eve = make_person("eve");
  assign(eve, kOfficer, vault_id("kv-one") + "/certificates/dev");
  const std::string bearer = token(eve, "https://vault.merlon.localhost:8443");
  const auto as_eve = [&](const char* method, const std::string& path, const std::string& body) {
    return data_as(bearer, "kv-one", method, path, body);
  };
  const std::string by_house = R"({"policy":)" + policy("house") + "}";
  EXPECT_EQ(as_eve("POST", "/certificates/dev/create", by_house).inner(), "ForbiddenByRbac");
  EXPECT_EQ(ask("GET", "/certificates/dev").status, 404);
  ASSERT_EQ(as_eve("POST", "/certificates/dev/create", R"({"policy":)" + policy("Self") + "}").status, 202);
  EXPECT_EQ(as_eve("PATCH", "/certificates/dev/policy", policy("house")).inner(), "ForbiddenByRbac");
  EXPECT_EQ(as_eve("PATCH", "/certificates/dev", by_house).inner(), "ForbiddenByRbac");
  const std::string value = ask("GET", "/secrets/dev").at("value");
  EXPECT_EQ(as_eve("POST", "/certificates/dev/import",
                   R"({"value":")" + value + R"(","policy":)" + policy("house") + "}")
                .inner(),
            "ForbiddenByRbac");
  EXPECT_EQ(ask("GET", "/certificates/dev").at("policy.issuer.name"), "Self");
  assign(eve, kOfficer, vault_id("kv-one"));
  EXPECT_EQ(as_eve("POST", "/certificates/dev/create", by_house).status, 202);
}

TEST_F(CertificateTest, OneIsImportedAsItIs) {
  ASSERT_EQ(create("web", policy("Self")).status, 202);
  const std::string value = ask("GET", "/secrets/web").at("value");
  const Seen imported = ask("POST", "/certificates/copy/import", R"({"value":")" + value + R"("})");
  ASSERT_EQ(imported.status, 200) << imported.text;
  EXPECT_EQ(imported.at("cer"), ask("GET", "/certificates/web").at("cer"));
  EXPECT_EQ(imported.at("policy.issuer.name"), "Unknown");
  EXPECT_EQ(imported.at("policy.key_props.crv"), "P-256");
  EXPECT_EQ(ask("POST", "/certificates/x/import", R"({"value":"AAAA"})").code(), "BadParameter");
  EXPECT_EQ(ask("POST", "/certificates/x/import", R"({"value":"?"})").code(), "BadParameter");
}

}  // namespace
}  // namespace merlon::vault
