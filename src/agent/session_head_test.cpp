// The heads of the ledger that a server shows: each must continue the one before.
#include "agent/test_session.h"
#include "crypto/key.h"
#include "ledger/head_signer.h"

namespace merlon::agent::testing {
namespace {

// A ledger of our own, with heads at any size.
class Ledger {
 public:
  Ledger() : signer_(crypto::PrivateKey::generate(crypto::KeyKind::ed25519).value()) {}
  void add(std::string_view text) {
    leaves_.push_back(ledger::leaf_hash(as_bytes(text)));
    frontier_.append(leaves_.back(), [this](unsigned level, uint64_t index, const ledger::Hash& hash) {
      nodes_[{level, index}] = hash;
    });
  }
  std::string head() const {
    return to_text(signer_.sign({}, frontier_, Timestamp(hours(1))).value().to_json());
  }
  std::vector<std::string> proof(uint64_t from) const {
    std::vector<std::string> hex;
    for (const ledger::Hash& hash :
         ledger::consistency_proof(from, frontier_.size,
                                   [this](unsigned level, uint64_t index) -> Result<ledger::Hash> {
                                     return nodes_.at({level, index});
                                   })
             .value())
      hex.push_back(to_hex(hash));
    return hex;
  }

 private:
  ledger::HeadSigner signer_;
  ledger::Frontier frontier_;
  std::vector<ledger::Hash> leaves_;
  std::map<std::pair<unsigned, uint64_t>, ledger::Hash> nodes_;
};

class HeadTest : public SessionTest {
 protected:
  HeadTest() {
    for (const std::string_view text : {"a", "b", "c"}) ledger.add(text);
    seen = ledger.head();
    start(seen);
  }
  // What the server shows next, and whether the agent took it.
  bool takes(const std::string& head, std::vector<std::string> proof) {
    server.head = head;
    server.proof = std::move(proof);
    step();
    forked = false;
    step();
    for (const auto& observation : server.last().observations) forked = forked || observation.kind == "fork";
    return warden.head == head;
  }
  Ledger ledger;
  std::string seen;
  bool forked = false;
};

TEST_F(HeadTest, AContinuationIsTakenAndKept) {
  ledger.add("d");
  ledger.add("e");
  EXPECT_TRUE(takes(ledger.head(), ledger.proof(3)));
  EXPECT_FALSE(forked);
  EXPECT_EQ(server.last().head, ledger.head());
}

TEST_F(HeadTest, OpeningsDoNotWaitUntilAHeadIsKept) {
  server.state = state(4, {minutes(10)});
  ledger.add("d");
  server.head = ledger.head();
  server.proof = ledger.proof(3);
  step();
  EXPECT_THAT(told(), ElementsAre("apply", "openings", "keep-head"));
}

TEST_F(HeadTest, ARestoredServersOtherHistoryIsAForkAndFollowedFromThereOn) {
  server.state = state(4);
  step();
  Ledger other;
  for (const std::string_view text : {"a", "x"}) other.add(text);
  server.state->version = {1, 5};
  EXPECT_FALSE(takes(other.head(), {})) << "another number is no other epoch";
  EXPECT_TRUE(forked);
  other.add("y");
  server.state->version = {2, 1};
  EXPECT_TRUE(takes(other.head(), {}));
  EXPECT_TRUE(forked);
}

TEST_F(HeadTest, WhatDoesNotContinueIsAForkToldOnce) {
  ledger.add("d");
  EXPECT_FALSE(takes(ledger.head(), {}));
  EXPECT_TRUE(forked);
  EXPECT_EQ(server.last().head, seen) << "the evidence stays";
  EXPECT_FALSE(takes(ledger.head(), {}));
  EXPECT_FALSE(forked);
}

TEST_F(HeadTest, AnotherHistoryAShorterOneOrAnotherKeyIsAFork) {
  Ledger other;
  for (const std::string_view text : {"a", "b", "x", "d"}) other.add(text);
  EXPECT_FALSE(takes(other.head(), other.proof(3)));
  EXPECT_TRUE(forked);
  Ledger shorter;
  shorter.add("a");
  EXPECT_FALSE(takes(shorter.head(), {}));
  EXPECT_TRUE(forked);
  EXPECT_FALSE(takes("{\"size\":\"many\"}", {}));
  EXPECT_TRUE(forked);
}

}  // namespace
}  // namespace merlon::agent::testing
