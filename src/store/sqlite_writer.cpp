// Group commit, checkpoints and the full disk.
#include "store/sqlite_writer.h"

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"

namespace merlon::store {
namespace {

constexpr size_t kGroupWritesMax = 256;
constexpr size_t kGroupBytesMax = 8 * 1024 * 1024;  // a group lives in the page cache until COMMIT
constexpr int kFrameBytes = 4096 + 24;  // https://www.sqlite.org/fileformat.html#the_write_ahead_log
// About 16 MiB. A page that many commits change is copied once for each checkpoint.
constexpr int kCheckpointFrames = 4 * 1000;
constexpr int kRestartFrames = 16 * 1000;  // about 64 MiB: wait for readers instead of growing on
constexpr int kRestartWaitMs = 500;
constexpr int kBusyTimeoutMs = 5000;
constexpr auto kIdle = std::chrono::milliseconds(1000);
constexpr std::chrono::nanoseconds kPatienceMax = std::chrono::milliseconds(5);
// For who is still computing: a commit costs what a signature by RSA does, and takes as long as a few of
// them.
constexpr auto kComputingMax = std::chrono::milliseconds(4);
constexpr auto kReserveRetry = std::chrono::seconds(1);

std::unexpected<Error> storage_full(std::string cause) {
  auto error = fail(
      ErrorKind::unavailable, "StorageFull",
      "Nothing was changed: the disk that holds Merlon's state is full. Free space on it, then try again.");
  error.error().cause = std::move(cause);
  return error;
}

}  // namespace

SqliteWriter::SqliteWriter(std::unique_ptr<Connection> connection, const Layout& layout, StateDisk& disk,
                           WriterMode mode, TableChanges& changes, SqliteReaders& readers)
    : connection_(std::move(connection)),
      layout_(layout),
      directory_(disk),
      mode_(std::move(mode)),
      changes_(changes),
      readers_(readers) {
  sqlite3_wal_hook(connection_->handle(), &SqliteWriter::on_wal, this);
  if (mode_.callers_thread) {
    begin();
  } else {
    thread_ = std::thread([this] { run(); });
  }
}

SqliteWriter::~SqliteWriter() {
  if (mode_.callers_thread) {
    close();
    return;
  }
  queue_.stop();
  thread_.join();
}

Result<void> SqliteWriter::write(const Work& work) {
  if (!mode_.callers_thread) return queue_.write(work);
  MERLON_CHECK(writing_.load() != std::this_thread::get_id());  // as WriteQueue has it
  const std::lock_guard lock(one_at_a_time_);
  writing_ = std::this_thread::get_id();
  const auto no_longer = [this](void*) { writing_ = std::thread::id(); };
  const std::unique_ptr<void, decltype(no_longer)> writing(this, no_longer);
  WaitingWrite waiting{.work = &work, .result = {}, .effects = {}};
  queue_.add(waiting);
  commit_group();
  if (log_frames_ >= std::max(kCheckpointFrames, next_checkpoint_)) checkpoint(kCheckpointFrames);
  return std::move(waiting.result);
}

void SqliteWriter::write_later(Work work, LaterWrites::Told told) {
  if (!mode_.callers_thread) return queue_.write_later(std::move(work), std::move(told));
  told(write(work));
}

void SqliteWriter::idle() {
  const std::lock_guard lock(one_at_a_time_);
  if (checkpoint_due()) checkpoint(0);
  directory_.restore_reserve();
}

void SqliteWriter::close() {
  try {
    if (!given_up_ && checkpoint_due()) checkpoint(0);
  } catch (...) {
    // Whoever plays the process has heard of it; the next start finds the log.
    given_up_ = true;
  }
}

void SqliteWriter::give_up(const char* doing, const Error& error) {
  given_up_ = true;
  if (mode_.instead_of_exit) mode_.instead_of_exit(error);
  end_process(doing, error);
}

int SqliteWriter::on_wal(void* self, sqlite3*, const char*, int frames) {
  auto& writer = *static_cast<SqliteWriter*>(self);
  if (frames < writer.log_frames_) writer.next_checkpoint_ = 0;  // the log has started again
  writer.log_frames_ = frames;
  return SQLITE_OK;
}

void SqliteWriter::begin() {
  const auto number = commit_number(*connection_);
  if (!number) give_up("reading the number of the newest commit", number.error());
  commit_number_ = *number;
  changes_.committed(commit_number_, {});
  checkpoint(0);  // what opening wrote, and what a killed server left
}

void SqliteWriter::run() {
  queue_.belongs_to_this_thread();
  begin();
  while (wait_for_work()) {
    commit_group();
    if (log_frames_ >= std::max(kCheckpointFrames, next_checkpoint_)) checkpoint(kCheckpointFrames);
    restore_reserve();
  }
  if (checkpoint_due()) checkpoint(0);
}

bool SqliteWriter::checkpoint_due() const { return log_frames_ != copied_frames_; }

// False when the store closes and nothing waits. Idle time goes to the checkpoint and the reserve.
bool SqliteWriter::wait_for_work() {
  for (;;) {
    const bool chores = checkpoint_due() || !directory_.has_reserve();
    const auto ready = queue_.wait(chores ? std::optional(kIdle) : std::nullopt);
    if (ready) return *ready;
    if (checkpoint_due()) checkpoint(0);
    restore_reserve();
  }
}

bool SqliteWriter::is_full(const Group& group) {
  return group.writes.size() >= kGroupWritesMax || group.bytes >= kGroupBytesMax;
}

WaitingWrite* SqliteWriter::take(Group& group) {
  if (is_full(group)) return nullptr;
  WaitingWrite* next = queue_.take();
  if (next != nullptr) group.writes.push_back(next);
  return next;
}

void SqliteWriter::commit_group() {
  Group group;
  auto outcome = connection_->run("BEGIN IMMEDIATE");
  if (outcome) {
    outcome = run_group(group);
  } else {
    while (take(group) != nullptr) {
    }
  }
  if (!outcome) {
    if (connection_->in_transaction()) {
      if (const auto undone = connection_->run("ROLLBACK"); !undone) give_up("ROLLBACK", undone.error());
    }
    log_error("a group of writes was rolled back", outcome.error(), {{"writes", group.writes.size()}});
    for (WaitingWrite* write : group.writes) {
      if (write->result) write->result = std::unexpected(outcome.error());
      write->effects.clear();
    }
    group.hook_effects.clear();
  }
  for (const WaitingWrite* write : group.writes) run_effects(write->effects);
  run_effects(group.hook_effects);
  company_ = std::min(group.writes.size() + queue_.size(), kGroupWritesMax);
  queue_.release(group.writes);
}

// Those that the last commit let go are back with their next write in a moment: a part of what the commit
// takes is well spent on waiting for them, since they would otherwise wait for the whole of it. Those who
// have said that they are coming are waited for longer: until half of them are there.
bool SqliteWriter::wait_for_company(const Group& group, std::chrono::steady_clock::time_point begun) {
  if (mode_.callers_thread || !group.changed || is_full(group)) return false;
  if (queue_.expects())
    return queue_.wait_for_expected(begun + kComputingMax, {group.writes.size(), kGroupWritesMax});
  return group.writes.size() < company_ && queue_.wait_until(begun + patience_);
}

Result<void> SqliteWriter::run_group(Group& group) {
  std::optional<std::chrono::steady_clock::time_point> begun;
  do {
    while (WaitingWrite* next = take(group)) TRY(run_one(*next, group));
    if (!begun) begun = std::chrono::steady_clock::now();
  } while (wait_for_company(group, *begun));
  if (!group.changed) return connection_->run("ROLLBACK");
  TRY(run_hook(group));
  TRY(number_commit());
  TRY(make_room(group));
  return commit(group);
}

// A number is never used for two states, also not where a commit failed: readers know a state by it.
Result<void> SqliteWriter::number_commit() {
  commit_number_ = (commit_number_ + 1) & 0x7fffffff;  // user_version is a signed 32-bit number
  return connection_->execute(("PRAGMA user_version = " + std::to_string(commit_number_)).c_str());
}

// An error here is the group's; the write's own error is in write.result.
Result<void> SqliteWriter::run_one(WaitingWrite& write, Group& group) {
  SqliteTransaction transaction(*connection_, layout_, {&group.tables, &changes_},
                                SqliteTransaction::Savepoint::when_it_changes);
  write.result = run_guarded(*write.work, transaction);
  if (!connection_->in_transaction()) {
    return internal_error("SQLite rolled the transaction back: " +
                          (write.result ? std::string("the write hid why") : write.result.error().cause));
  }
  if (write.result && transaction.changed() && !transaction.is_urgent() && directory_.reserve_was_spent()) {
    write.result = storage_full("the reserve is spent and this write is not urgent");
  }
  TRY(transaction.end_savepoint(write.result.has_value()));
  if (!write.result) return {};
  write.effects = transaction.take_effects();
  std::ranges::move(transaction.take_handed_over(), std::back_inserter(group.handed_over));
  group.bytes += transaction.bytes();
  group.changed |= transaction.changed();
  group.urgent |= transaction.changed() && transaction.is_urgent();
  return {};
}

Result<void> SqliteWriter::run_hook(Group& group) {
  const BeforeCommit* hook = queue_.hook();
  if (hook == nullptr) return {};
  SqliteTransaction transaction(*connection_, layout_, {&group.tables, &changes_});
  TRY(run_guarded(*hook, transaction, group.handed_over));
  if (!connection_->in_transaction())
    return internal_error("SQLite rolled the transaction back in the before-commit hook");
  group.hook_effects = transaction.take_effects();
  return {};
}

// The blocks for this commit's frames are taken before COMMIT, since a full disk inside COMMIT would lose the
// group and `work` may run once only. No page has left the cache yet (cache_spill=OFF), so all cached pages
// bound the dirty ones.
Result<void> SqliteWriter::make_room(const Group& group) {
  int cache_bytes = 0;
  int highest = 0;
  sqlite3_db_status(connection_->handle(), SQLITE_DBSTATUS_CACHE_USED, &cache_bytes, &highest, 0);
  const off_t frames = static_cast<off_t>(log_frames_) + cache_bytes / 4096 + 8;
  const off_t bytes = frames * kFrameBytes;
  if (directory_.ensure_log_space(bytes)) return {};
  if (group.urgent && directory_.release_reserve() && directory_.ensure_log_space(bytes)) return {};
  return storage_full("no disk blocks for " + std::to_string(bytes) + " bytes of log");
}

Result<void> SqliteWriter::commit(Group& group) {
  const auto begun = std::chrono::steady_clock::now();
  const int code = sqlite3_exec(connection_->handle(), "COMMIT", nullptr, nullptr, nullptr);
  patience_ = std::min((std::chrono::steady_clock::now() - begun) / 4, kPatienceMax);
  if (code == SQLITE_OK) {
    commit_count_.fetch_add(1);
    changes_.committed(commit_number_, group.tables);
    readers_.end_old();
    return {};
  }
  const auto failed = connection_->failure(code, "COMMIT");
  // A full disk is the one failure whose outcome is known: a frame could not be written, the commit frame
  // comes last and nothing follows it (powersafe overwrite: no padding), so the transaction is not in the log
  // and SQLite has rolled it back. It can happen only where the filesystem could not promise blocks to
  // make_room().
  if ((code & 0xff) != SQLITE_FULL) give_up("COMMIT", failed.error());
  if (group.urgent) directory_.release_reserve();  // for the caller's next attempt
  return failed;
}

// PASSIVE waits for nobody. Readers that overlap without end could keep the log from ever starting again;
// RESTART waits for them when it has grown far. Between attempts the log may grow by `frames_of_grace`.
void SqliteWriter::checkpoint(int frames_of_grace) {
  const bool restart = log_frames_ >= kRestartFrames;
  const int mode = restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
  int frames = 0;
  int copied = 0;
  readers_.hold_none(true);
  if (restart) sqlite3_busy_timeout(connection_->handle(), kRestartWaitMs);
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, mode, &frames, &copied);
  if (restart) sqlite3_busy_timeout(connection_->handle(), kBusyTimeoutMs);
  readers_.hold_none(false);
  if (frames >= 0) log_frames_ = frames;
  next_checkpoint_ = log_frames_ + frames_of_grace;
  if (code == SQLITE_OK) {
    if (frames == copied) copied_frames_ = log_frames_;
    return;
  }
  const auto failed = connection_->failure(code, "checkpoint");
  switch (code & 0xff) {
    case SQLITE_BUSY:
      return;  // readers; the next attempt gets further
    case SQLITE_FULL:
      // The log keeps everything; it grows until there is room or make_room() refuses.
      log_error("the disk is full: the database could not take over its log", failed.error());
      return;
    default:
      give_up("checkpoint", failed.error());
  }
}

void SqliteWriter::restore_reserve() {
  if (directory_.has_reserve()) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - reserve_tried_ < kReserveRetry) return;
  reserve_tried_ = now;
  directory_.restore_reserve();
}

}  // namespace merlon::store
