// The ledger: append-only, signed, provable (trust.md, Ledger). append() puts an entry beside the change it
// records, in the same transaction; the sequencer turns the entries of a group commit into leaves of one
// Merkle tree at the end of each group commit and signs one head for the group (Ed25519). Bodies are salted,
// so a leaf hash tells nothing about its entry.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/uuid.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"
#include "seal/seal.h"
#include "store/store.h"

namespace merlon::ledger {

const std::vector<store::TableSpec>& tables();

struct SignedHead {
  uint64_t size = 0;
  Hash root{};
  Timestamp time;
  std::string key_id;  // hex of SHA-256 of the public key's SPKI
  Bytes signature;     // Ed25519 over the canonical JSON of {keyId, root, size, tenantId, time}
  TenantId tenant;
  JsonObject to_json() const;
  static Result<SignedHead> from_json(const JsonObject& json);
};

// False also when the text is no Ed25519 key, or when the head names another key.
bool head_signature_valid(const SignedHead& head, std::string_view public_key_pem);

struct RecordedEntry {
  uint64_t index = 0;  // position in the tree; grows by one
  Entry entry;
};

struct Filter {
  std::string resource_prefix;  // lower-case comparison; empty = all
  std::string action_prefix;
  std::optional<Timestamp> from, to;
  std::string correlation_id;
};

class Ledger {
 public:
  // Makes or opens the signing key and hooks the sequencer into the store (Store::before_commit).
  static Result<std::unique_ptr<Ledger>> open(store::Store& store, const seal::Seal& seal, const Clock& clock,
                                              Random& random, const TenantId& tenant);
  virtual ~Ledger() = default;

  // Durable with the transaction; provable once the transaction is committed. What an attacker can make long
  // never keeps an entry out: text beyond its bound ends in "…", details beyond 8 KiB are replaced by their
  // size and SHA-256.
  virtual Result<void> append(store::Transaction& tx, const Entry& entry) = 0;
  // For denied reads and unauthenticated failures: one entry per (actor or source prefix /24 or /64, action,
  // minute), with a count. Counts in memory and writes once a minute through flush(); cheap enough to call
  // for every bad request. The summary's details say so: {"summary": true, "firstTime", "lastTime", and up to
  // five each of "resources", "addresses", "reasons"}. Beyond 10,000 callers a minute the rest is counted in
  // one entry (details.overflow is true).
  virtual void note_denial(const Entry& entry) = 0;
  // Writes finished minutes: call it every few seconds. At shutdown, flush(Timestamp::max()) writes the open
  // minute too.
  virtual Result<void> flush(Timestamp now) = 0;

  virtual Result<SignedHead> head(store::Reader& reader) = 0;
  virtual Result<std::vector<Hash>> inclusion(store::Reader& reader, uint64_t index, uint64_t size) = 0;
  virtual Result<std::vector<Hash>> consistency(store::Reader& reader, uint64_t from, uint64_t to) = 0;
  // Newest first when `descending`. `after` is the index of the last entry of the previous page.
  virtual Result<std::vector<RecordedEntry>> list(store::Reader& reader, const Filter& filter,
                                                  std::optional<uint64_t> after, size_t limit,
                                                  bool descending) = 0;
  // UTF-8 JSON lines: one per entry {index, salt, entry, leafHash}, then one {"head": …, "publicKey": PEM}.
  // Streams page by page into `line`, which gets each without its line end; the file has "\n" after every
  // line, the last one too.
  virtual Result<void> export_lines(const std::function<Result<void>(const std::string& line)>& line) = 0;
  virtual std::string public_key_pem() const = 0;
};

struct VerifyOptions {
  std::string public_key_pem;  // --key: must be the signer; empty = trust the file's own key, and say so
  std::vector<SignedHead> witnesses;  // --witness: heads kept elsewhere, one JSON object per line
};

struct VerifyReport {
  uint64_t entries = 0;
  SignedHead head;
  bool key_was_given = false;
  size_t witnesses_confirmed = 0;
};

// Proves an exported file consistent with its own signed head, and with every witness head. Any changed byte,
// removed, swapped or added entry, and a file cut short of a witness is an error that says which line and
// what does not fit.
Result<VerifyReport> verify_export(std::istream& file, const VerifyOptions& options);

}  // namespace merlon::ledger
