// RFC 9162 section 2.1. Proofs are put together from complete subtrees alone: the tree over any [begin, end)
// is the left subtree of the largest power of two below its size, then the rest. Hence a proof for an old
// size reads only nodes that were complete at that size, and nodes never change.
#include "ledger/merkle.h"

#include <algorithm>
#include <bit>
#include <string>

namespace merlon::ledger {
namespace {

constexpr uint8_t kLeafPrefix = 0x00;
constexpr uint8_t kNodePrefix = 0x01;

// The largest power of two smaller than n (RFC 9162: k < n <= 2k); n > 1.
uint64_t split_point(uint64_t n) { return std::bit_floor(n - 1); }

// The root over leaves [begin, begin + count), count >= 1, where begin is a multiple of the largest power of
// two in count: true of every range that the recursions below visit.
Result<Hash> range_root(uint64_t begin, uint64_t count, const NodeReader& nodes) {
  std::vector<Hash> parts;
  for (uint64_t rest = count; rest > 0;) {
    const uint64_t width = std::bit_floor(rest);
    const auto level = static_cast<unsigned>(std::countr_zero(width));
    parts.push_back(TRY(nodes(level, begin >> level)));
    begin += width;
    rest -= width;
  }
  Hash root = parts.back();
  for (size_t i = parts.size() - 1; i > 0; --i) root = node_hash(parts[i - 1], root);
  return root;
}

std::unexpected<Error> no_such_tree(std::string message) {
  return fail(ErrorKind::invalid, "InvalidLedgerRange", std::move(message));
}

}  // namespace

// "The hash of an empty list is the hash of an empty string" (section 2.1.1).
Hash empty_root() { return crypto::sha256({}); }

Hash leaf_hash(ByteView entry) {
  Bytes input;
  input.reserve(entry.size() + 1);
  input.push_back(kLeafPrefix);
  input.insert(input.end(), entry.begin(), entry.end());
  return crypto::sha256(input);
}

Hash node_hash(const Hash& left, const Hash& right) {
  std::array<uint8_t, 65> input{};
  input[0] = kNodePrefix;
  std::copy(left.begin(), left.end(), input.begin() + 1);
  std::copy(right.begin(), right.end(), input.begin() + 33);
  return crypto::sha256(input);
}

void Frontier::append(const Hash& leaf,
                      const std::function<void(unsigned, uint64_t, const Hash&)>& completed) {
  MERLON_CHECK(subtrees.size() == static_cast<size_t>(std::popcount(size)));
  Hash hash = leaf;
  unsigned level = 0;
  if (completed) completed(0, size, hash);
  // As in binary addition: every trailing one bit of size is a subtree that the new one completes.
  for (; ((size >> level) & 1U) != 0; ++level) {
    hash = node_hash(subtrees.back(), hash);
    subtrees.pop_back();
    if (completed) completed(level + 1, size >> (level + 1), hash);
  }
  subtrees.push_back(hash);
  ++size;
}

Hash Frontier::root() const {
  if (subtrees.empty()) return empty_root();
  Hash root = subtrees.back();
  for (size_t i = subtrees.size() - 1; i > 0; --i) root = node_hash(subtrees[i - 1], root);
  return root;
}

// PATH(m, D_n), section 2.1.3.1, from the root down; the proof lists the nodes from the leaf up.
Result<std::vector<Hash>> inclusion_proof(uint64_t index, uint64_t size, const NodeReader& nodes) {
  if (index >= size) {
    return no_such_tree("Entry " + std::to_string(index) + " is not in a tree of " + std::to_string(size) +
                        " entries. Ask for an index below the size.");
  }
  std::vector<Hash> proof;
  uint64_t begin = 0;
  uint64_t count = size;
  while (count > 1) {
    const uint64_t left = split_point(count);
    if (index - begin < left) {
      proof.push_back(TRY(range_root(begin + left, count - left, nodes)));
      count = left;
    } else {
      proof.push_back(TRY(range_root(begin, left, nodes)));
      begin += left;
      count -= left;
    }
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

// SUBPROOF(m, D_n, b), section 2.1.4.1, from the root down. Between a tree and itself, and from the empty
// tree, the proof is empty.
Result<std::vector<Hash>> consistency_proof(uint64_t from, uint64_t to, const NodeReader& nodes) {
  if (from > to) {
    return no_such_tree("A tree of " + std::to_string(from) + " entries can not grow into one of " +
                        std::to_string(to) + ". Swap the two sizes.");
  }
  std::vector<Hash> proof;
  if (from == 0 || from == to) return proof;
  uint64_t begin = 0;
  uint64_t old_count = from;
  uint64_t count = to;
  bool is_old_root = true;  // the subtree is the whole old tree, whose root the verifier has
  while (old_count != count) {
    const uint64_t left = split_point(count);
    if (old_count <= left) {
      proof.push_back(TRY(range_root(begin + left, count - left, nodes)));
      count = left;
    } else {
      proof.push_back(TRY(range_root(begin, left, nodes)));
      begin += left;
      old_count -= left;
      count -= left;
      is_old_root = false;
    }
  }
  if (!is_old_root) proof.push_back(TRY(range_root(begin, count, nodes)));
  std::reverse(proof.begin(), proof.end());
  return proof;
}

// Section 2.1.3.2, step by step.
bool verify_inclusion(const Hash& leaf, uint64_t index, uint64_t size, const std::vector<Hash>& proof,
                      const Hash& root) {
  if (index >= size) return false;
  uint64_t fn = index;
  uint64_t sn = size - 1;
  Hash hash = leaf;
  for (const Hash& p : proof) {
    if (sn == 0) return false;
    if ((fn & 1U) != 0 || fn == sn) {
      hash = node_hash(p, hash);
      while ((fn & 1U) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      hash = node_hash(hash, p);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && hash == root;
}

// Section 2.1.4.2. The RFC leaves out the sizes for which no proof is needed; those are decided here.
bool verify_consistency(uint64_t from, uint64_t to, const Hash& from_root, const Hash& to_root,
                        const std::vector<Hash>& proof) {
  if (from > to) return false;
  if (from == to) return proof.empty() && from_root == to_root;
  if (from == 0) return proof.empty() && from_root == empty_root();
  if (proof.empty()) return false;

  // "If first is an exact power of 2, then prepend first_hash to the consistency_path array."
  size_t next = 0;
  const Hash seed = std::has_single_bit(from) ? from_root : proof[next++];
  uint64_t fn = from - 1;
  uint64_t sn = to - 1;
  while ((fn & 1U) != 0) {
    fn >>= 1;
    sn >>= 1;
  }
  Hash fr = seed;
  Hash sr = seed;
  for (; next < proof.size(); ++next) {
    const Hash& c = proof[next];
    if (sn == 0) return false;
    if ((fn & 1U) != 0 || fn == sn) {
      fr = node_hash(c, fr);
      sr = node_hash(c, sr);
      while ((fn & 1U) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      sr = node_hash(sr, c);
    }
    fn >>= 1;
    sn >>= 1;
  }
  return sn == 0 && fr == from_root && sr == to_root;
}

}  // namespace merlon::ledger
