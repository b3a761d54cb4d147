// The tree against the known answers of Certificate Transparency's reference test
// (certificate-transparency-go, merkle_tree_test: eight fixed leaves), and against a slow reading of RFC
// 9162's recursive definitions for every size up to 70.
#include "ledger/merkle.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace merlon::ledger {
namespace {

Hash hash_of_hex(std::string_view hex) {
  const Bytes bytes = *from_hex(hex);
  Hash hash{};
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

std::string hex(const Hash& hash) { return to_hex(hash); }

// The eight inputs of the reference test.
std::vector<Bytes> reference_inputs() {
  std::vector<Bytes> inputs;
  for (const char* text :
       {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}) {
    inputs.push_back(*from_hex(text));
  }
  return inputs;
}

std::vector<Hash> leaves(size_t count) {
  std::vector<Hash> hashes;
  for (size_t i = 0; i < count; ++i) hashes.push_back(leaf_hash(as_bytes("entry " + std::to_string(i))));
  return hashes;
}

// MTH(D[n]) as section 2.1.1 writes it.
Hash slow_root(std::span<const Hash> d) {
  if (d.empty()) return empty_root();
  if (d.size() == 1) return d[0];
  size_t k = 1;
  while (k * 2 < d.size()) k *= 2;
  return node_hash(slow_root(d.first(k)), slow_root(d.subspan(k)));
}

// PATH(m, D_n), section 2.1.3.1.
std::vector<Hash> slow_path(size_t m, std::span<const Hash> d) {
  if (d.size() == 1) return {};
  size_t k = 1;
  while (k * 2 < d.size()) k *= 2;
  std::vector<Hash> path = m < k ? slow_path(m, d.first(k)) : slow_path(m - k, d.subspan(k));
  path.push_back(m < k ? slow_root(d.subspan(k)) : slow_root(d.first(k)));
  return path;
}

// SUBPROOF(m, D_n, b), section 2.1.4.1.
std::vector<Hash> slow_subproof(size_t m, std::span<const Hash> d, bool b) {
  if (m == d.size()) return b ? std::vector<Hash>() : std::vector<Hash>{slow_root(d)};
  size_t k = 1;
  while (k * 2 < d.size()) k *= 2;
  std::vector<Hash> proof =
      m <= k ? slow_subproof(m, d.first(k), b) : slow_subproof(m - k, d.subspan(k), false);
  proof.push_back(m <= k ? slow_root(d.subspan(k)) : slow_root(d.first(k)));
  return proof;
}

struct Tree {
  Frontier frontier;
  std::map<std::pair<unsigned, uint64_t>, Hash> nodes;

  void append(const Hash& leaf) {
    frontier.append(leaf, [this](unsigned level, uint64_t index, const Hash& hash) {
      EXPECT_TRUE(nodes.emplace(std::pair(level, index), hash).second) << "a node was completed twice";
    });
  }
  NodeReader reader() const {
    return [this](unsigned level, uint64_t index) -> Result<Hash> {
      const auto found = nodes.find({level, index});
      if (found == nodes.end()) return internal_error("a node that is not complete was asked for");
      return found->second;
    };
  }
};

TEST(Merkle, KnownAnswers) {
  EXPECT_EQ(hex(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(leaf_hash({})), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  const std::vector<std::string> roots = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                          "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                          "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                          "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                          "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                          "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                          "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Frontier frontier;
  const auto inputs = reference_inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    frontier.append(leaf_hash(inputs[i]), nullptr);
    EXPECT_EQ(hex(frontier.root()), roots[i]) << i + 1 << " leaves";
  }
}

TEST(Merkle, KnownProofs) {
  Tree tree;
  for (const Bytes& input : reference_inputs()) tree.append(leaf_hash(input));
  const auto path = inclusion_proof(5, 8, tree.reader());
  ASSERT_TRUE(path);
  EXPECT_EQ(*path, (std::vector<Hash>{
                       hash_of_hex("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
                       hash_of_hex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
                       hash_of_hex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")}));
  const auto grown = consistency_proof(6, 8, tree.reader());
  ASSERT_TRUE(grown);
  EXPECT_EQ(*grown, (std::vector<Hash>{
                        hash_of_hex("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"),
                        hash_of_hex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
                        hash_of_hex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")}));
}

TEST(Merkle, RootsAgreeWithTheDefinition) {
  const auto all = leaves(70);
  Tree tree;
  EXPECT_EQ(tree.frontier.root(), empty_root());
  for (size_t n = 1; n <= all.size(); ++n) {
    tree.append(all[n - 1]);
    EXPECT_EQ(tree.frontier.root(), slow_root(std::span(all).first(n))) << n;
  }
}

TEST(Merkle, EveryInclusionProofUpToSeventy) {
  const auto all = leaves(70);
  Tree tree;
  for (const Hash& leaf : all) tree.append(leaf);  // proofs for old sizes come from the grown tree
  for (size_t n = 1; n <= all.size(); ++n) {
    const auto d = std::span(all).first(n);
    const Hash root = slow_root(d);
    for (size_t m = 0; m < n; ++m) {
      const auto proof = inclusion_proof(m, n, tree.reader());
      ASSERT_TRUE(proof) << proof.error().cause;
      ASSERT_EQ(*proof, slow_path(m, d)) << m << " in " << n;
      ASSERT_TRUE(verify_inclusion(all[m], m, n, *proof, root)) << m << " in " << n;
      // Everything that is not this claim is refused.
      ASSERT_FALSE(verify_inclusion(all[(m + 1) % 70], m, n, *proof, root));
      if (n > 1) {
        ASSERT_FALSE(verify_inclusion(all[m], (m + 1) % n, n, *proof, root));
      }
      auto longer = *proof;
      longer.push_back(root);
      ASSERT_FALSE(verify_inclusion(all[m], m, n, longer, root));
      for (size_t i = 0; i < proof->size(); ++i) {
        auto bent = *proof;
        bent[i][7] ^= 1;
        ASSERT_FALSE(verify_inclusion(all[m], m, n, bent, root));
      }
      if (!proof->empty()) {
        auto shorter = *proof;
        shorter.pop_back();
        ASSERT_FALSE(verify_inclusion(all[m], m, n, shorter, root));
      }
    }
    EXPECT_FALSE(verify_inclusion(all[0], n, n, {}, root));
    EXPECT_FALSE(inclusion_proof(n, n, tree.reader()));
  }
  EXPECT_FALSE(verify_inclusion(all[0], 0, 0, {}, empty_root()));
  EXPECT_FALSE(inclusion_proof(0, 0, tree.reader()));
}

TEST(Merkle, EveryConsistencyProofUpToSeventy) {
  const auto all = leaves(70);
  Tree tree;
  for (const Hash& leaf : all) tree.append(leaf);
  std::vector<Hash> roots;
  for (size_t n = 0; n <= all.size(); ++n) roots.push_back(slow_root(std::span(all).first(n)));
  for (size_t n = 1; n <= all.size(); ++n) {
    for (size_t m = 1; m <= n; ++m) {
      const auto proof = consistency_proof(m, n, tree.reader());
      ASSERT_TRUE(proof) << proof.error().cause;
      ASSERT_EQ(*proof, m == n ? std::vector<Hash>() : slow_subproof(m, std::span(all).first(n), true));
      ASSERT_TRUE(verify_consistency(m, n, roots[m], roots[n], *proof)) << m << " to " << n;
      auto other = roots[m];
      other[0] ^= 0x80;
      ASSERT_FALSE(verify_consistency(m, n, other, roots[n], *proof));
      other = roots[n];
      other[31] ^= 1;
      ASSERT_FALSE(verify_consistency(m, n, roots[m], other, *proof));
      if (m > 1) {
        ASSERT_FALSE(verify_consistency(m - 1, n, roots[m], roots[n], *proof));
      }
      auto longer = *proof;
      longer.push_back(roots[n]);
      ASSERT_FALSE(verify_consistency(m, n, roots[m], roots[n], longer));
      for (size_t i = 0; i < proof->size(); ++i) {
        auto bent = *proof;
        bent[i][0] ^= 1;
        ASSERT_FALSE(verify_consistency(m, n, roots[m], roots[n], bent));
        auto without = *proof;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
        ASSERT_FALSE(verify_consistency(m, n, roots[m], roots[n], without));
      }
    }
  }
}

TEST(Merkle, ConsistencyAtTheEdges) {
  const auto all = leaves(5);
  Tree tree;
  for (const Hash& leaf : all) tree.append(leaf);
  const Hash root = tree.frontier.root();
  const auto from_empty = consistency_proof(0, 5, tree.reader());
  ASSERT_TRUE(from_empty);
  EXPECT_TRUE(from_empty->empty());
  EXPECT_TRUE(verify_consistency(0, 5, empty_root(), root, {}));
  EXPECT_TRUE(verify_consistency(0, 0, empty_root(), empty_root(), {}));
  EXPECT_FALSE(verify_consistency(0, 5, root, root, {}));
  EXPECT_FALSE(verify_consistency(0, 5, empty_root(), root, {root}));
  EXPECT_FALSE(verify_consistency(5, 5, root, root, {root}));
  EXPECT_FALSE(verify_consistency(5, 4, root, root, {}));
  EXPECT_FALSE(verify_consistency(4, 5, root, root, {}));
  EXPECT_FALSE(consistency_proof(6, 5, tree.reader()));
}

// A leaf must never pass for a node: that is what the two prefixes are for.
TEST(Merkle, LeavesAndNodesDoNotMix) {
  const auto all = leaves(2);
  Bytes joined(all[0].begin(), all[0].end());
  joined.insert(joined.end(), all[1].begin(), all[1].end());
  EXPECT_NE(leaf_hash(joined), node_hash(all[0], all[1]));
}

TEST(Merkle, ProofsSayWhenTheReaderFails) {
  const NodeReader broken = [](unsigned, uint64_t) -> Result<Hash> { return internal_error("disk"); };
  EXPECT_FALSE(inclusion_proof(1, 4, broken));
  EXPECT_FALSE(consistency_proof(2, 5, broken));
}

}  // namespace
}  // namespace merlon::ledger
