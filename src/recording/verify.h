// Whether a recording is what was recorded: its chain of chunks against what the ledger says of it, with the
// key where there is one. Found: a changed byte, a removed, added or swapped chunk, a cut end, another
// recording's file in its place, a changed row. What the ledger itself is worth is for 'merlon ledger verify'
// to say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "recording/recordings.h"

namespace merlon::recording {

// What the entries of a ledger say about one recording. Entries may come in any order, others' too.
class LedgerFacts {
 public:
  explicit LedgerFacts(const Uuid& recording) : recording_(recording.text()) {}
  void add(const ledger::Entry& entry);

  struct Head {
    uint64_t chunks = 0;
    std::string hash;  // hex
  };
  std::optional<ledger::Entry> opening, ending;
  std::vector<Head> heads;  // opening and end included
  std::optional<Head> end;
  bool ended_properly = false;  // by its session, not by a recovery
  bool deleted = false;

 private:
  void add_head(const JsonObject& details);
  std::string recording_;
};

struct Problem {
  std::string code;  // "Changed", "Cut", "Extended", "NotInLedger", "RowChanged"
  std::string message;
};

struct VerifyReport {
  std::string state;  // "closed", "interrupted", "open"
  uint64_t chunks = 0, bytes = 0;
  std::string head;       // hex
  uint64_t ledgered = 0;  // chunks that the ledger vouches for
  bool opened_with_key = false;
  std::vector<Problem> problems;
  bool sound() const { return problems.empty(); }
};

// On the running server, which has the key: everything. Waits for the disk.
Result<VerifyReport> verify(Recordings& all, const Record& record);

// Without any server or key: a file as 'merlon recording export --sealed' writes it, and facts from a
// ledger's export.
VerifyReport verify_file(const ReadAt& file, const Uuid& recording, const LedgerFacts& facts);

// The facts of the ledger of this server.
Result<LedgerFacts> ledger_facts(Recordings& all, const Record& record);
// Where the heads of recordings are whose opening names no entries of its own: all of a day together, as it
// was before there were companies (Recordings::heads_of_new).
std::string heads_correlation(Timestamp time);

// Follows a chain to its end. Stops at the first fault, which it returns beside what came before.
struct Chain {
  std::vector<ChunkHash> hashes;  // of each chunk
  uint64_t bytes = 0;             // up to the end of the last sound chunk
  Duration length{0};
  bool has_last = false;  // the chunk that a close writes
  std::optional<Error> fault;
};
Chain follow_chain(const ReadAt& file, const Uuid& recording, const Secret* key);

}  // namespace merlon::recording
