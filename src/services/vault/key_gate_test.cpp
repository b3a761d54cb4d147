// Who gets a turn to make a key, who waits for one, and who is told to come again.
#include "services/vault/key_gate.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/vault/service.h"
#include "services/vault/vault_fixture.h"

namespace merlon::vault {
namespace {

Uuid vault(int number) {
  return *Uuid::parse("00000000-0000-4000-8000-00000000000" + std::to_string(number));
}

// Again and again: a slow machine may need longer than five seconds to have all of them there.
bool waits(KeyGate& gate, int number) {
  while (!gate.enter(vault(number))) std::this_thread::yield();
  return true;
}

TEST(KeyGate, AsManyAtOnceAsItHasTurns) {
  KeyGate gate(2);
  auto first = gate.enter(vault(1));
  auto second = gate.enter(vault(1));
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  std::promise<void> waits;
  auto third = std::async(std::launch::async, [&] {
    waits.set_value();
    return gate.enter(vault(1)).has_value();
  });
  waits.get_future().wait();
  {
    const auto given_back = std::move(*first);
  }
  EXPECT_TRUE(third.get());
}

// Whoever waits has one of the server's workers.
TEST(KeyGate, OneOfEachVaultWaitsAndEightInAll) {
  KeyGate gate(1);
  std::optional<KeyGate::Turn> turn(*gate.enter(vault(0)));
  std::vector<std::future<bool>> waiting;
  for (int i = 1; i <= 8; ++i)
    waiting.push_back(std::async(std::launch::async, [&gate, i] { return waits(gate, i); }));
  while (gate.waiting() < 8) std::this_thread::yield();
  for (const int i : {1, 9}) {
    const auto refused = gate.enter(vault(i));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::throttled);
  }
  turn.reset();
  for (auto& one : waiting) EXPECT_TRUE(one.get());
}

// All turns are taken, and all places to wait: no worker is held by a request for one more.
class KeysInTurn : public VaultFixture {};

TEST_F(KeysInTurn, WhoFindsNoTurnIsToldToComeAgain) {
  ASSERT_EQ(make_vault("kv-test").status, 200);
  ASSERT_EQ(data("kv-test", "POST", "/keys/there/create", R"({"kty":"RSA"})").status, 200);
  KeyGate& gate = dynamic_cast<Service&>(*vaults_).hsm().gate();
  std::vector<KeyGate::Turn> turns;
  for (unsigned i = 0; i < gate.at_once(); ++i) turns.push_back(must(gate.enter(vault(0))));
  std::vector<std::future<bool>> waiting;
  for (int i = 1; i <= 8; ++i)
    waiting.push_back(std::async(std::launch::async, [&gate, i] { return waits(gate, i); }));
  while (gate.waiting() < 8) std::this_thread::yield();
  const auto expect_busy = [](const Seen& seen) {
    EXPECT_EQ(seen.status, 429) << seen.text;
    EXPECT_EQ(seen.code(), "Throttled");
    EXPECT_EQ(seen.headers.value_or("Retry-After", ""), "2");
  };
  expect_busy(data("kv-test", "POST", "/keys/k/create", R"({"kty":"RSA","key_size":4096})"));
  expect_busy(data("kv-test", "POST", "/keys/there/rotate"));
  expect_busy(data("kv-test", "PUT", "/keys/k", R"({"key":{"kty":"RSA","n":"AQAB","e":"AQAB"}})"));
  expect_busy(data("kv-test", "POST", "/certificates/c/create", R"({"policy":{}})"));
  expect_busy(data("kv-test", "POST", "/certificates/c/import", R"({"value":"AAAA"})"));
  expect_busy(control("PUT", vault_id("kv-test") + "/keys/k", R"({"properties":{"kty":"RSA"}})"));
  // What takes no time needs no turn.
  EXPECT_EQ(data("kv-test", "POST", "/keys/k/create", R"({"kty":"EC"})").status, 200);
  EXPECT_EQ(data("kv-test", "POST", "/keys/o/create", R"({"kty":"oct"})").status, 200);
  EXPECT_EQ(
      control("PUT", vault_id("kv-test") + "/keys/e", R"({"properties":{"kty":"EC","curveName":"P-256"}})")
          .status,
      200);
  // Nor does a key that is there already, and is not made anew.
  EXPECT_EQ(control("PUT", vault_id("kv-test") + "/keys/there", R"({"properties":{"kty":"RSA"}})").status,
            200);
  turns.clear();
  for (auto& one : waiting) one.get();
  EXPECT_EQ(data("kv-test", "POST", "/keys/r/create", R"({"kty":"RSA"})").status, 200);
}

}  // namespace
}  // namespace merlon::vault
