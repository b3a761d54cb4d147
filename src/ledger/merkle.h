// The Merkle tree of RFC 9162 section 2.1: leaf and node hashes, roots, inclusion and consistency proofs and
// their verification. Pure functions over hashes.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"

namespace merlon::ledger {

using Hash = crypto::Sha256Digest;

Hash empty_root();
Hash leaf_hash(ByteView entry);                       // SHA-256(0x00 ‖ entry)
Hash node_hash(const Hash& left, const Hash& right);  // SHA-256(0x01 ‖ left ‖ right)

// The complete subtrees on the right edge: what is needed to append. hashes[i] is the root of 2^i leaves
// where size has bit i set, from the largest subtree to the smallest.
struct Frontier {
  uint64_t size = 0;
  std::vector<Hash> subtrees;
  // Appends; calls `completed(level, index, hash)` for every complete node that this leaf closes, the leaf
  // itself first.
  void append(const Hash& leaf, const std::function<void(unsigned, uint64_t, const Hash&)>& completed);
  Hash root() const;
};

// Reads the complete node `index` at `level` (level 0 = leaves).
using NodeReader = std::function<Result<Hash>(unsigned level, uint64_t index)>;
Result<std::vector<Hash>> inclusion_proof(uint64_t index, uint64_t size, const NodeReader& nodes);
Result<std::vector<Hash>> consistency_proof(uint64_t from, uint64_t to, const NodeReader& nodes);
bool verify_inclusion(const Hash& leaf, uint64_t index, uint64_t size, const std::vector<Hash>& proof,
                      const Hash& root);
bool verify_consistency(uint64_t from, uint64_t to, const Hash& from_root, const Hash& to_root,
                        const std::vector<Hash>& proof);

}  // namespace merlon::ledger
