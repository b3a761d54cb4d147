// Vaults: the key hierarchy at rest, what time makes due, and the rules that clients do not reach by
// themselves.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "services/vault/records.h"
#include "services/vault/rotation.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string set_body(const std::string& value) { return R"({"value":")" + value + R"("})"; }

class VaultTest : public VaultFixture {
 protected:
  void SetUp() override {
    const Seen made = make_vault("kv-test");
    ASSERT_EQ(made.status, 200) << made.text;
  }
  std::string whole_state() const {
    std::string all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
  }
  template <class T>
  std::vector<T> rows() {
    return must(store::read_value<std::vector<T>>(
        *store_, [&](store::Reader& reader) { return store::scan_all<T>(reader, tenant_); }));
  }
  void advance_days(int days) {
    clock_.advance(std::chrono::hours(24 * days));
    owner_token_.clear();
    must(vaults_->tick({}));
  }
};

TEST_F(VaultTest, NothingSecretLiesInTheState) {
  const std::string value = "xyzzy-the-planted-secret-value";
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/planted", set_body(value)).status, 200);
  const std::string octets = to_base64url(as_bytes("0123456789abcdef0123456789abcdef"));
  ASSERT_EQ(data("kv-test", "PUT", "/keys/planted", R"({"key":{"kty":"oct","k":")" + octets + "\"}}").status,
            200);
  const Seen backup = data("kv-test", "POST", "/secrets/planted/backup");
  ASSERT_EQ(backup.status, 200);
  EXPECT_EQ(data("kv-test", "GET", "/secrets/planted").at("value"), value);
  const std::string state = whole_state();
  ASSERT_THAT(state, HasSubstr("planted"));  // its name: this is where it lies
  for (const std::string& secret : {value, to_base64url(as_bytes(value)), to_base64(as_bytes(value)), octets,
                                    std::string("0123456789abcdef0123456789abcdef")}) {
    EXPECT_EQ(state.find(secret), std::string::npos);
    EXPECT_EQ(backup.text.find(secret), std::string::npos);
  }
}

TEST_F(VaultTest, WhatIsSealedForOneVersionOpensAsNoOther) {
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/one", set_body("first")).status, 200);
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/two", set_body("second")).status, 200);
  auto versions = rows<Version>();
  ASSERT_EQ(versions.size(), 2U);
  std::swap(versions[0].sealed, versions[1].sealed);
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(store::put(tx, tenant_, versions[0]));
    return store::put(tx, tenant_, versions[1]);
  }));
  const Seen moved = data("kv-test", "GET", "/secrets/one");
  EXPECT_EQ(moved.status, 500) << moved.text;
  EXPECT_EQ(moved.text.find("second"), std::string::npos);
}

TEST_F(VaultTest, APurgedVaultsKeysAreGoneAtOnceAndItsRowsSoon) {
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(data("kv-test", "PUT", "/secrets/s" + std::to_string(i), set_body("v")).status, 200);
  ASSERT_EQ(control("DELETE", vault_id("kv-test")).status, 200);
  const std::string deleted =
      "/subscriptions/22222222-2222-4222-8222-222222222222/providers/Microsoft.KeyVault/locations/local/"
      "deletedVaults/kv-test";
  ASSERT_EQ(control("GET", deleted).status, 200);
  ASSERT_EQ(control("POST", deleted + "/purge").status, 202);
  EXPECT_TRUE(rows<Vault>().empty());
  EXPECT_EQ(rows<Version>().size(), 3U);
  for (int i = 0; i < 3; ++i) {
    clock_.advance(std::chrono::seconds(10));
    must(vaults_->tick({}));
  }
  EXPECT_TRUE(rows<Version>().empty());
  EXPECT_TRUE(rows<Object>().empty());
  EXPECT_TRUE(rows<Leftover>().empty());
  // A new vault of the name knows nothing of the old one.
  ASSERT_EQ(make_vault("kv-test").status, 200);
  EXPECT_EQ(data("kv-test", "GET", "/secrets/s0").code(), "SecretNotFound");
}

TEST_F(VaultTest, RetentionEndsByItself) {
  ASSERT_EQ(
      make_vault(
          "kv-week",
          R"("enableRbacAuthorization":true,"softDeleteRetentionInDays":7,"enablePurgeProtection":true)")
          .status,
      200);
  ASSERT_EQ(data("kv-week", "PUT", "/secrets/s", set_body("v")).status, 200);
  const Seen gone = data("kv-week", "DELETE", "/secrets/s");
  EXPECT_EQ(gone.at("attributes.recoveryLevel"), "CustomizedRecoverable");
  EXPECT_EQ(*int_at(gone.body, "scheduledPurgeDate") - *int_at(gone.body, "deletedDate"), 7 * 24 * 3600);
  EXPECT_EQ(data("kv-week", "DELETE", "/deletedsecrets/s").status, 403);
  advance_days(6);
  EXPECT_EQ(data("kv-week", "GET", "/deletedsecrets/s").status, 200);
  advance_days(2);
  EXPECT_EQ(data("kv-week", "GET", "/deletedsecrets/s").status, 404);
  EXPECT_TRUE(rows<Version>().empty());
  ASSERT_EQ(control("DELETE", vault_id("kv-week")).status, 200);
  advance_days(6);
  EXPECT_EQ(make_vault("kv-week").code(), "ConflictError");
  advance_days(2);
  EXPECT_EQ(make_vault("kv-week").status, 200);
  const auto purges = entries("Microsoft.KeyVault/locations/deletedVaults/purge/action");
  ASSERT_EQ(purges.size(), 1U);
  EXPECT_EQ(purges[0].actor.kind, "System");
}

TEST_F(VaultTest, ARotationPolicyIsCarriedOutByTheTimer) {
  ASSERT_EQ(data("kv-test", "POST", "/keys/k/create", R"({"kty":"EC"})").status, 200);
  const Seen policy =
      data("kv-test", "PUT", "/keys/k/rotationpolicy",
           R"({"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"rotate"}}],
                               "attributes":{"expiryTime":"P2M"}})");
  ASSERT_EQ(policy.status, 200) << policy.text;
  const std::string first = data("kv-test", "GET", "/keys/k").at("key.kid");
  advance_days(29);
  EXPECT_EQ(data("kv-test", "GET", "/keys/k").at("key.kid"), first);
  advance_days(2);
  const Seen second = data("kv-test", "GET", "/keys/k");
  EXPECT_NE(second.at("key.kid"), first);
  EXPECT_GT(*int_at(second.body, "attributes.exp"), *int_at(second.body, "attributes.created") + 58 * 86400);
  must(vaults_->tick({}));
  EXPECT_EQ(rows<Version>().size(), 2U);
  const auto rotations = entries("Microsoft.KeyVault/vaults/keys/rotate/action");
  ASSERT_EQ(rotations.size(), 1U);
  EXPECT_EQ(rotations[0].actor.kind, "System");
  // Not while the vault is deleted; when it is back, within the hour.
  ASSERT_EQ(control("DELETE", vault_id("kv-test")).status, 200);
  advance_days(31);
  EXPECT_EQ(rows<Version>().size(), 2U);
  ASSERT_EQ(make_vault("kv-test", R"("createMode":"recover")").status, 200);
  advance_days(1);
  EXPECT_EQ(rows<Version>().size(), 3U);
}

constexpr const char* kMonthly =
    R"({"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"rotate"}}]})";

TEST_F(VaultTest, AKeyOfWhichOnlyThePublicHalfIsHereIsNeverDue) {
  const Seen own = data("kv-test", "POST", "/keys/own/create", R"({"kty":"EC"})");
  JsonObject jwk = *object_at(own.body, "key");
  for (const std::string_view member : {"kid", "key_ops"}) jwk.erase(member);
  ASSERT_EQ(data("kv-test", "POST", "/keys/k/create", R"({"kty":"EC"})").status, 200);
  ASSERT_EQ(data("kv-test", "PUT", "/keys/k/rotationpolicy", kMonthly).status, 200);
  ASSERT_EQ(data("kv-test", "PUT", "/keys/k", to_text(JsonObject{{"key", jwk}})).status, 200);
  for (const Object& object : rows<Object>()) EXPECT_FALSE(object.rotate_due.has_value()) << object.name.name;
}

// Rows that nobody can read stand for whatever cannot be done.
TEST_F(VaultTest, AThousandThingsThatCannotBeDoneCostNothingElseItsTurn) {
  ASSERT_EQ(data("kv-test", "POST", "/keys/k/create", R"({"kty":"EC"})").status, 200);
  ASSERT_EQ(data("kv-test", "PUT", "/keys/k/rotationpolicy", kMonthly).status, 200);
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    Object bad = rows<Object>().front();
    bad.rotate_due = clock_.now();
    for (int i = 0; i < 1000; ++i) {
      bad.name.name = "bad" + std::to_string(i);
      TRY(tx.put(Object::table(), tenant_, {bad.key(), "{}", bad.index_values()}));
    }
    return {};
  }));
  advance_days(31);
  for (int i = 0; i < 11; ++i) {
    clock_.advance(std::chrono::seconds(10));
    must(vaults_->tick({}));
  }
  EXPECT_EQ(rows<Version>().size(), 2U) << "the good key's turn came, although all of them are due before it";
}

TEST_F(VaultTest, ADisabledKeyIsNotRotated) {
  ASSERT_EQ(data("kv-test", "POST", "/keys/k/create", R"({"kty":"EC"})").status, 200);
  ASSERT_EQ(data("kv-test", "PUT", "/keys/k/rotationpolicy",
                 R"({"lifetimeActions":[{"trigger":{"timeAfterCreate":"P7D"},"action":{"type":"Rotate"}}]})")
                .status,
            200);
  ASSERT_EQ(data("kv-test", "PATCH", "/keys/k", R"({"attributes":{"enabled":false}})").status, 200);
  EXPECT_EQ(data("kv-test", "POST", "/keys/k/rotate").inner(), "KeyDisabled");
  advance_days(10);
  EXPECT_EQ(rows<Version>().size(), 1U);
  ASSERT_EQ(data("kv-test", "PATCH", "/keys/k", R"({"attributes":{"enabled":true}})").status, 200);
  advance_days(0);
  clock_.advance(std::chrono::seconds(10));
  must(vaults_->tick({}));
  EXPECT_EQ(rows<Version>().size(), 2U);
}

TEST_F(VaultTest, NewVaultsAskRolesSinceTheVersionThatSaysSo) {
  const std::string body = R"({"location":"local","properties":{"tenantId":")" + tenant_.text() +
                           R"(","sku":{"family":"A","name":"standard"}}})";
  EXPECT_EQ(*bool_at(control("PUT", vault_id("kv-old"), body, "2023-07-01").body,
                     "properties.enableRbacAuthorization"),
            false);
  EXPECT_EQ(*bool_at(control("PUT", vault_id("kv-new"), body, "2026-02-01").body,
                     "properties.enableRbacAuthorization"),
            true);
}

TEST_F(VaultTest, PromisesOfAVaultAreKept) {
  ASSERT_EQ(make_vault("kv-safe", R"("enablePurgeProtection":true)").status, 200);
  // Leaving it out does not take it back.
  EXPECT_EQ(*bool_at(make_vault("kv-safe", "").body, "properties.enablePurgeProtection"), true);
  EXPECT_EQ(make_vault("kv-safe", R"("enablePurgeProtection":false)").status, 400);
  EXPECT_EQ(make_vault("kv-safe", R"("enableSoftDelete":false)").status, 400);
  EXPECT_EQ(make_vault("kv-safe", R"("softDeleteRetentionInDays":30)").status, 400);
  EXPECT_EQ(make_vault("kv-safe", R"("softDeleteRetentionInDays":90)").status, 200);
  EXPECT_EQ(make_vault("kv-days", R"("softDeleteRetentionInDays":6)").status, 400);
  EXPECT_EQ(
      control("PUT", vault_id("kv-other"), R"({"location":"local","properties":{"sku":{"name":"standard"},
      "tenantId":"99999999-9999-4999-8999-999999999999"}})")
          .status,
      400);
  // Names are unique beyond the group.
  const std::string group = "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/rg2";
  ASSERT_EQ(control("PUT", group, R"({"location":"local"})").status, 201);
  const Seen taken = control("PUT", group + "/providers/Microsoft.KeyVault/vaults/KV-Safe",
                             R"({"location":"local","properties":{"tenantId":")" + tenant_.text() +
                                 R"(","sku":{"name":"standard"}}})");
  EXPECT_EQ(taken.code(), "VaultAlreadyExists");
}

TEST_F(VaultTest, AGroupThatIsDeletedKeepsItsVaultsForTheirRetention) {
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/s", set_body("v")).status, 200);
  ASSERT_EQ(control("DELETE", kGroup).status, 202);
  EXPECT_EQ(data("kv-test", "GET", "/secrets/s").code(), "VaultNotFound");
  ASSERT_EQ(control("PUT", kGroup, R"({"location":"local"})").status, 201);
  ASSERT_EQ(make_vault("kv-test", R"("createMode":"recover")").status, 200);
  EXPECT_EQ(data("kv-test", "GET", "/secrets/s").at("value"), "v");
}

TEST_F(VaultTest, WhoIsNotKnownLearnsNothingAndIsCounted) {
  for (const std::string vault : {"kv-test", "kv-nothing"}) {
    const Seen answer = data_as("", vault, "GET", "/secrets/s");
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.code(), "Unauthorized");
    EXPECT_EQ(answer.headers.value_or("WWW-Authenticate", ""),
              "Bearer authorization=\"https://merlon.localhost:8443/11111111-1111-4111-8111-111111111111\", "
              "resource=\"https://vault.merlon.localhost:8443\"");
  }
  EXPECT_EQ(data("kv-nothing", "GET", "/secrets/s").code(), "VaultNotFound");
  const Person nobody = make_person("nobody");
  const std::string bearer = token(nobody, "https://vault.azure.net");
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(data_as(bearer, "kv-test", "GET", "/secrets/s").inner(), "ForbiddenByRbac");
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(data_as(bearer, "kv-test", "PUT", "/secrets/s", set_body("x")).inner(), "ForbiddenByRbac");
  int64_t denied = 0;
  size_t rows_of_denial = 0;
  for (const ledger::Entry& entry : entries("Microsoft.KeyVault/vaults/secrets/")) {
    if (entry.decision != ledger::Decision::denied || entry.actor.object_id != nobody.id.text()) continue;
    denied += entry.count;
    ++rows_of_denial;
  }
  EXPECT_EQ(denied, 100);
  EXPECT_LE(rows_of_denial, 4U);
}

TEST_F(VaultTest, ATokenForTheResourceManagerOpensNoVault) {
  for (const std::string audience :
       {"https://merlon.localhost:8443/", "https://management.azure.com/", "https://graph.microsoft.com",
        "https://kv-test.vault.merlon.localhost:8443"})
    EXPECT_EQ(data_as(token(owner_, audience), "kv-test", "GET", "/secrets?").status, 401) << audience;
  net::Request request = this->request("GET", "/subscriptions?api-version=2022-12-01", "",
                                       token(owner_, "https://vault.azure.net"));
  request.host = "merlon.localhost:8443";
  EXPECT_FALSE(vaults_->handles(request));
  EXPECT_EQ(manager_->handle(request, kOrigin).status, 401);
}

TEST_F(VaultTest, EveryUseIsEnteredWithoutItsSecret) {
  const std::string value = "entered-nowhere";
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/s", set_body(value)).status, 200);
  ASSERT_EQ(data("kv-test", "GET", "/secrets/s").status, 200);
  ASSERT_EQ(data("kv-test", "GET", "/secrets/absent").status, 404);
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/s", R"({"value":17})").status, 400);
  std::vector<std::string> seen;
  for (const ledger::Entry& entry : entries("Microsoft.KeyVault/vaults/secrets/")) {
    seen.push_back(entry.action.substr(std::string("Microsoft.KeyVault/vaults/").size()) + " " +
                   std::string(ledger::decision_text(entry.decision)));
    EXPECT_THAT(to_text(entry.details), Not(HasSubstr(value)));
    EXPECT_THAT(entry.resource, HasSubstr("/vaults/kv-test/secrets/"));
  }
  using testing::ElementsAre;
  EXPECT_THAT(seen, ElementsAre("secrets/setSecret/action allowed", "secrets/getSecret/action allowed",
                                "secrets/getSecret/action failed", "secrets/setSecret/action failed"));
}

// Decision 0049: no worker is woken for what takes less than to wake one.
TEST_F(VaultTest, WhatIsQuickIsAnsweredWithoutAWorkerAndEnteredFirst) {
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/one", set_body("first")).status, 200);
  int number = 0;
  for (const char* body : {R"({"kty":"RSA"})", R"({"kty":"EC","crv":"P-256"})",
                           R"({"kty":"EC","crv":"P-384"})", R"({"kty":"oct","key_size":256})"}) {
    const std::string name = "k" + std::to_string(number++);
    ASSERT_EQ(data("kv-test", "POST", "/keys/" + name + "/create", body).status, 200) << body;
  }
  data("kv-test", "GET", "/secrets/one");  // from here on rights are in memory
  const std::string digest = R"({"value":")" + std::string(43, 'A') + R"(","alg":")";
  const auto begins = [&](const std::string& method, const std::string& path, const std::string& body = {}) {
    const int before = begun_;
    const size_t entries_before = entries().size();
    EXPECT_EQ(data("kv-test", method, path, body).status, 200) << path;
    EXPECT_EQ(entries().size(), entries_before + 1) << path;
    return begun_ > before;
  };
  EXPECT_TRUE(begins("GET", "/secrets/one"));
  EXPECT_TRUE(begins("POST", "/keys/k1/sign", digest + R"(ES256"})"));
  EXPECT_TRUE(begins("POST", "/keys/k3/wrapkey", digest + R"(A256KW"})"));
  EXPECT_TRUE(begins("POST", "/keys/k0/encrypt", digest + R"(RSA-OAEP"})"));
  EXPECT_EQ(computed_, 0);
  EXPECT_TRUE(begins("POST", "/keys/k0/sign", digest + R"(RS256"})"));
  EXPECT_EQ(computed_, 1) << "RSA's private half takes its time";
  const std::string longer = R"({"value":")" + std::string(64, 'A') + R"(","alg":"ES384"})";
  EXPECT_TRUE(begins("POST", "/keys/k2/sign", longer));
  EXPECT_EQ(computed_, 2);
  // What is refused is refused by a worker, which enters it.
  const int before = begun_;
  EXPECT_EQ(data("kv-test", "GET", "/secrets/none").code(), "SecretNotFound");
  EXPECT_EQ(data("kv-test", "POST", "/keys/k1/sign", digest + R"(RS256"})").status, 400);
  EXPECT_EQ(begun_, before);
}

// What was found out for one request holds for that one alone: the next sees what has been changed since.
TEST_F(VaultTest, EachSignatureIsByTheKeyAndTheRightsOfItsOwnTime) {
  const std::string digest = R"({"value":")" + std::string(43, 'A') + R"(","alg":"RS256"})";
  const std::string first = data("kv-test", "POST", "/keys/k/create", R"({"kty":"RSA"})").at("key.kid");
  data("kv-test", "GET", "/keys/k");  // from here on rights are in memory
  const auto sign = [&] { return data("kv-test", "POST", "/keys/k/sign", digest); };
  const Seen by_first = sign();
  EXPECT_EQ(by_first.at("kid"), first);
  EXPECT_EQ(computed_, 1);
  // Rotated: the new version signs, and its signature is of no other key.
  ASSERT_EQ(data("kv-test", "POST", "/keys/k/rotate").status, 200);
  const Seen by_second = sign();
  EXPECT_NE(by_second.at("kid"), first);
  EXPECT_NE(by_second.at("value"), by_first.at("value"));
  const std::string checked = R"({"alg":"RS256","digest":")" + std::string(43, 'A') + R"(","value":")" +
                              by_second.at("value") + R"("})";
  const auto verifies = [&](const std::string& kid) {
    return data("kv-test", "POST", kid.substr(kid.find("/keys/")) + "/verify", checked).text;
  };
  EXPECT_EQ(verifies(by_second.at("kid")), R"({"value":true})");
  EXPECT_EQ(verifies(first), R"({"value":false})");
  // Disabled, and enabled again.
  const auto enable = [&](const char* enabled) {
    return data("kv-test", "PATCH", "/keys/k", std::string(R"({"attributes":{"enabled":)") + enabled + "}}")
        .status;
  };
  ASSERT_EQ(enable("false"), 200);
  EXPECT_EQ(sign().inner(), "KeyDisabled");
  ASSERT_EQ(enable("true"), 200);
  EXPECT_EQ(sign().status, 200);
  // The right, withdrawn.
  const Person other = make_person("other");
  assign(other, kVaultAdministrator, vault_id("kv-test"));
  const std::string bearer = token(other, "https://vault.merlon.localhost:8443");
  const auto sign_as_other = [&] { return data_as(bearer, "kv-test", "POST", "/keys/k/sign", digest); };
  EXPECT_EQ(sign_as_other().status, 200);
  // While it waited to be computed, for long: it is looked at again.
  before_its_turn_ = [&] {
    must(store_->write(
        [&](store::Transaction& tx) { return access_->forget_scope(tx, vault_id("kv-test")); }));
    clock_.advance(std::chrono::seconds(1));
  };
  EXPECT_EQ(sign_as_other().inner(), "ForbiddenByRbac");
  before_its_turn_ = nullptr;
  EXPECT_EQ(sign_as_other().inner(), "ForbiddenByRbac");
  // Deleted.
  ASSERT_EQ(data("kv-test", "DELETE", "/keys/k").status, 200);
  EXPECT_EQ(sign().code(), "KeyNotFound");
}

// A request that the threads which compute find to be wrong is entered as any other.
TEST_F(VaultTest, WhatFailsWhileItIsComputedIsEnteredBeforeItIsTold) {
  ASSERT_EQ(data("kv-test", "POST", "/keys/k/create", R"({"kty":"RSA"})").status, 200);
  data("kv-test", "GET", "/keys/k");
  const std::string action = "Microsoft.KeyVault/vaults/keys/sign/action";
  const Seen refused = data("kv-test", "POST", "/keys/k/sign", R"({"value":"AAAA","alg":"RS256"})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.code(), "BadParameter");
  EXPECT_EQ(computed_, 1);
  const auto entered = entries(action);
  ASSERT_EQ(entered.size(), 1U);
  EXPECT_EQ(entered[0].decision, ledger::Decision::failed);
  EXPECT_EQ(entered[0].reason, "BadParameter");
  // Where too much is being computed already, a worker does it.
  computes_ = false;
  EXPECT_EQ(
      data("kv-test", "POST", "/keys/k/sign", R"({"value":")" + std::string(43, 'A') + R"(","alg":"RS256"})")
          .status,
      200);
  EXPECT_EQ(computed_, 1);
  EXPECT_EQ(entries(action).size(), 2U);
}

TEST_F(VaultTest, WhatIsWrongIsRefusedAndChangesNothing) {
  ASSERT_EQ(data("kv-test", "PUT", "/secrets/s", set_body("v")).status, 200);
  struct Case {
    const char* method;
    const char* path;
    const char* body;
    int status;
  };
  for (const Case& c : {Case{"PUT", "/secrets/s", "{", 400},
                        Case{"PUT", "/secrets/s", "[]", 400},
                        Case{"PUT", "/secrets/s", R"({"value":null})", 400},
                        Case{"PUT", "/secrets/s", R"({"value":"a","value":"b"})", 400},
                        Case{"PUT", "/secrets/s", R"({"value":"a","tags":{"x":1}})", 400},
                        Case{"PUT", "/secrets/s", R"({"value":"a","attributes":{"exp":-1}})", 400},
                        Case{"PUT", "/secrets/s", R"({"value":"a","attributes":{"exp":1e300}})", 400},
                        Case{"PUT", "/secrets/a%2Fb", R"({"value":"a"})", 400},
                        Case{"GET", "/secrets/s/zz", "", 400},
                        Case{"GET", "/secrets/s?maxresults=1", "", 200},
                        Case{"GET", "/secrets?maxresults=26", "", 400},
                        Case{"GET", "/secrets?maxresults=x", "", 400},
                        Case{"GET", "/secrets?$skiptoken=abc", "", 400},
                        Case{"POST", "/secrets/s", "{}", 405},
                        Case{"GET", "/elsewhere", "", 404},
                        Case{"POST", "/secrets/restore", R"({"value":"AAAA"})", 400},
                        Case{"POST", "/keys/k/create", R"({"kty":"RSA","key_size":1024})", 400},
                        Case{"POST", "/keys/k/create", R"({"kty":"RSA","public_exponent":3})", 400},
                        Case{"POST", "/keys/k/create", R"({"kty":"EC","crv":"P-192"})", 400},
                        Case{"POST", "/keys/k/create", R"({"kty":"EC","key_ops":["encrypt"]})", 400},
                        Case{"POST", "/keys/k/create", R"({"kty":"OKP"})", 400},
                        Case{"PUT", "/keys/k", R"({"key":{"kty":"oct","k":"AAAA"}})", 400},
                        Case{"PUT", "/keys/k",
                             R"({"key":{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","d":"AAAA"}})", 400}})
    EXPECT_EQ(data("kv-test", c.method, c.path, c.body).status, c.status)
        << c.method << " " << c.path << " " << c.body;
  EXPECT_EQ(rows<Version>().size(), 1U);
  EXPECT_EQ(rows<Object>().size(), 1U);
}

TEST_F(VaultTest, AKeyWithoutItsPrivateHalfVerifiesAndNoMore) {
  const Seen made = data("kv-test", "POST", "/keys/own/create", R"({"kty":"EC"})");
  JsonObject jwk = *object_at(made.body, "key");
  for (const std::string_view member : {"kid", "key_ops"}) jwk.erase(member);
  const Seen imported = data("kv-test", "PUT", "/keys/theirs", to_text(JsonObject{{"key", jwk}}));
  ASSERT_EQ(imported.status, 200) << imported.text;
  EXPECT_EQ(to_text(*array_at(imported.body, "key.key_ops")), R"(["verify"])");
  const std::string digest = to_base64url(Bytes(32, 7));
  const Seen signature =
      data("kv-test", "POST", "/keys/own/sign", R"({"alg":"ES256","value":")" + digest + "\"}");
  const Seen verified =
      data("kv-test", "POST", "/keys/theirs/verify",
           to_text(JsonObject{{"alg", "ES256"}, {"digest", digest}, {"value", signature.at("value")}}));
  EXPECT_EQ(*bool_at(verified.body, "value"), true) << verified.text;
  EXPECT_EQ(
      data("kv-test", "POST", "/keys/theirs/sign", R"({"alg":"ES256","value":")" + digest + "\"}").inner(),
      "KeyOperationForbidden");
  EXPECT_EQ(data("kv-test", "POST", "/keys/theirs/rotate").status, 400);
}

TEST(CalendarSpan, ReadsWhatAzureWritesAndCountsByTheCalendar) {
  for (const char* bad : {"", "P", "90D", "PT5M", "P1W", "P1D1Y", "P-1D", "P1", "P99999D", "P0D"})
    EXPECT_FALSE(CalendarSpan::parse(bad)) << bad;
  const Timestamp start = from_seconds(1'769'817'600);  // 2026-01-31
  EXPECT_EQ(CalendarSpan::parse("P1M")->after(start), start + std::chrono::hours(24 * 28));
  EXPECT_EQ(CalendarSpan::parse("P1Y")->after(start), start + std::chrono::hours(24 * 365));
  EXPECT_EQ(CalendarSpan::parse("P30D")->before(start), start - std::chrono::hours(24 * 30));
}

}  // namespace
}  // namespace merlon::vault
