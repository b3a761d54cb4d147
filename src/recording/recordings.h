// Recordings of sessions: written as they happen, sealed under a key of their own, chained chunk by chunk to
// the ledger, kept in the blob store, searched and verified. See docs/recording.md for what a reader can rely
// on.
//
// A recording that cannot be written says so at the next call and through on_failure: the session decides
// whether it ends (policy "require") or goes on unrecorded ("best-effort").
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "ledger/ledger.h"
#include "recording/limits.h"
#include "recording/rate.h"
#include "recording/records.h"
#include "store/blob_store.h"

namespace merlon::recording {

const std::vector<store::TableSpec>& tables();

// What is known when a recording begins.
struct Opening {
  std::string session;
  std::string scope;    // resource id of the bastion host: rights on it are rights on its recordings
  std::string machine;  // resource id
  std::string kind;     // "shell", "command", "sftp", "forward"
  std::string protocol = "ssh";
  std::string login;
  std::string title;
  std::string correlation_id;
  std::string signed_in_by;  // how the person showed who they are: "certificate", "key", "webSession" …
  ledger::Actor person;
  int64_t cols = 80, rows = 24;
  std::optional<Duration> keep;  // after its end; none = until somebody deletes it
  // An administrator's session: it may begin on a full disk's reserve.
  bool may_use_reserve = false;
};

class Live;
class Recordings;

// One session's. Thread-safe; calls return quickly, but for those that say that they wait for the disk. Must
// not outlive its Recordings.
class Recorder {
 public:
  Recorder(Recordings& all, std::shared_ptr<Live> live) : all_(all), live_(std::move(live)) {}
  ~Recorder();  // a recording that nobody has closed ends as "abandoned"
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  const Uuid& id() const;
  // As it came, cut anywhere, UTF-8 or not.
  Result<void> output(std::string_view bytes);
  Result<void> input(std::string_view bytes);  // may hold passwords: only where the policy wants it
  Result<void> resize(int64_t cols, int64_t rows);
  Result<void> marker(std::string_view text);
  // "command", "forward", "transfer", with what is to be known of it.
  Result<void> fact(std::string_view kind, JsonObject facts);
  // All that was added so far is on the disk when this returns. Waits.
  Result<void> flush();
  // For what was recorded elsewhere: what is added from now on happened then, since the start.
  void at(Duration since_start);
  // The end, in the row and in the ledger. Waits. The second time nothing happens. An error: they could not
  // be written yet, and tick() goes on trying.
  Result<void> close(std::string_view reason, std::optional<int> exit_status = std::nullopt);
  // How long nothing more should be added, so that it stays within its rate: what is added all the same is
  // kept too.
  Duration wait() const;
  // Called once, from another thread, with no lock held, when it can be written no further.
  void on_failure(std::function<void(const Error&)> tell);

 private:
  Recordings& all_;
  const std::shared_ptr<Live> live_;
};

// A piece of a recording's asciicast text, of whole lines.
struct Page {
  std::string text;
  std::string next;     // where the next piece begins; give it back as `from`
  bool at_end = false;  // there is no more yet
  bool ended = false;   // nor will there be
};

class Recordings {
 public:
  Recordings(store::Store& store, const seal::Seal& seal, ledger::Ledger& ledger,
             std::unique_ptr<store::BlobStore> blobs, const Clock& clock, Random& random, TenantId tenant,
             RecordingLimits limits = {});
  ~Recordings();

  // Row, ledger entry and first chunk are durable when this returns. Waits. StorageFull when there is no
  // room.
  Result<std::unique_ptr<Recorder>> start(const Opening& opening);

  // Writes what is due, ends what a dead server left, deletes what has been kept long enough. Call it several
  // times a second, from one thread. Waits for the disk.
  void tick();
  // Ends everything that is open, for a server that stops.
  void close_all(std::string_view reason);

  Result<Page> read(const Record& record, std::string_view from, size_t bytes_max);
  // Within the caller's transaction: its key is gone with it, its blobs soon after. Not while it is being
  // written.
  Result<void> remove(store::Transaction& tx, Record record, const ledger::Actor& actor,
                      std::string_view reason, const std::string& request_id);
  bool is_live(const Uuid& id);
  // Somebody watches it: for a few seconds it is written in shorter steps.
  void look_on(const Uuid& id);
  size_t open_count();

  store::BlobStore& blobs() { return *blobs_; }
  store::Store& store() { return store_; }
  const seal::Seal& seal() const { return seal_; }
  ledger::Ledger& ledger() { return ledger_; }
  const TenantId& tenant() const { return tenant_; }
  const Clock& clock() const { return clock_; }
  std::shared_ptr<Live> live(const Uuid& id);

 private:
  friend class Recorder;
  using LiveList = std::vector<std::shared_ptr<Live>>;

  LiveList all_live();
  Result<void> add(Live& live, const std::function<Result<void>(Duration now)>& work);
  Result<void> make_durable(const LiveList& lives);
  Result<void> flush(const std::shared_ptr<Live>& live);
  Result<void> close(const std::shared_ptr<Live>& live, std::string_view reason,
                     std::optional<int> exit_status);
  std::optional<Error> finish_file(const std::shared_ptr<Live>& live, std::optional<int> exit_status);
  Result<void> enter_end(const std::shared_ptr<Live>& live);
  void enter_ends(const LiveList& lives);
  void fail_live(const std::shared_ptr<Live>& live, const Error& error);
  void write_due(Duration now);
  // Why the disk is too full: it is in use to more than `percent`.
  std::optional<Error> is_full(unsigned percent, std::string_view what) const;
  void end_on_full_disk(const LiveList& lives);
  void keep_progress(const LiveList& lives);
  void enter_heads(const LiveList& lives);
  void recover();
  Result<void> recover_one(Record record, const Progress& progress);
  void rebuild_index(const Record& record, const Secret& key);
  void expire();
  void remove_blobs();
  std::string heads_of_new(Duration now);

  store::Store& store_;
  const seal::Seal& seal_;
  ledger::Ledger& ledger_;
  const std::unique_ptr<store::BlobStore> blobs_;
  const Clock& clock_;
  Random& random_;
  const TenantId tenant_;
  const RecordingLimits limits_;
  RateShare rates_;
  std::mutex mutex_;
  std::map<Uuid, std::shared_ptr<Live>> live_;
  std::vector<Uuid> doomed_;  // deleted: their blobs may go
  // Recordings that began after one another have their heads in the same entries, which are theirs alone.
  struct Company {
    std::string heads;  // correlation id
    size_t members = 0;
    Duration since{0};
  } company_;
  std::optional<Duration> entered_at_, expired_at_, progress_at_;
  bool recovered_ = false;
  bool progress_failed_ = false;
};

// How ledger entries of recordings are called, and what their details say.
inline constexpr std::string_view kOpenAction = "Merlon.Bastion/recordings/open";
inline constexpr std::string_view kHeadsAction = "Merlon.Bastion/recordings/heads";
inline constexpr std::string_view kCloseAction = "Merlon.Bastion/recordings/close";
inline constexpr std::string_view kInterruptedAction = "Merlon.Bastion/recordings/interrupted";
inline constexpr std::string_view kDeleteAction = "Merlon.Bastion/recordings/delete";
inline constexpr std::string_view kFailedAction = "Merlon.Bastion/recordings/failed";

}  // namespace merlon::recording
