// What is known of a recording beside its content: one row each. The key of the content is in it, sealed;
// without that key nothing of the content, nor of its index, can be read: erasing it is how a recording is
// deleted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/secret.h"
#include "ledger/entry.h"
#include "recording/chunks.h"
#include "seal/seal.h"
#include "store/store.h"

namespace merlon::recording {

const store::TableSpec& recordings_table();
const store::TableSpec& progress_table();

enum class RecordState {
  open,         // being written
  closed,       // ended by its session
  interrupted,  // its server died; what follows its last full chunk is lost
  deleted,      // its key is gone
};
std::string_view state_text(RecordState state);

struct Record {
  Uuid id;
  RecordState state = RecordState::open;
  std::string session;   // whose recording it is; the session's own id
  std::string scope;     // resource id of the bastion host (or of whatever else made it)
  std::string machine;   // resource id of the machine, may be empty
  std::string kind;      // "shell", "command", "sftp", "import"
  std::string protocol;  // "ssh"
  std::string login;     // the account on the machine
  std::string title;
  std::string signed_in_by;  // "certificate"; empty where nobody says
  std::string correlation_id;
  ledger::Actor person;
  Timestamp started;
  std::optional<Timestamp> ended;
  std::optional<Timestamp> keep_until;  // is deleted then, by itself
  std::string reason;                   // why it ended
  int64_t cols = 80, rows = 24;
  uint64_t chunks = 0;  // of a recording that has ended
  uint64_t bytes = 0;   // of its file
  int64_t duration_ms = 0;
  std::string head;   // hex: the hash of the last chunk
  std::string place;  // BlobStore::id() of where it lies
  std::string sealed_key;
  std::optional<Duration> keep;  // after its end, as it was wanted at the start
  std::string heads;  // correlation id of the ledger's entries with its heads; empty: see verify.cpp

  std::string data_name() const { return "recordings/" + id.text(); }
  std::string index_name() const { return "recording-indexes/" + id.text(); }
  // "…/providers/Merlon.Bastion/recordings/{id}", what the ledger names.
  std::string resource() const;

  store::Row to_row() const;
  static Result<Record> from_row(const store::Row& row);
};

// One secret, for the content; index_key() for the index. It opens only in a row that says what this one says
// of everything that is settled at the start: who, where, when, what, for how long.
std::string seal_key(const seal::Seal& seal, const Record& record, const Secret& key);
Result<Secret> open_key(const seal::Seal& seal, const Record& record);
Secret index_key(const Secret& key);

Result<std::optional<Record>> find_record(store::Reader& reader, const TenantId& tenant, const Uuid& id);

// How far a server's recordings have certainly come: what tells an honest crash from a cut file. One sealed
// row for each place of blobs.
struct Progress {
  struct Head {
    uint64_t chunks = 0;  // how many there are at least
    ChunkHash hash{};     // of the last of them
  };
  std::vector<std::pair<Uuid, Head>> heads;
};
Result<void> write_progress(store::Transaction& tx, const seal::Seal& seal, const TenantId& tenant,
                            const std::string& place, const Progress& progress);
Result<Progress> read_progress(store::Reader& reader, const seal::Seal& seal, const TenantId& tenant,
                               const std::string& place);

}  // namespace merlon::recording
