// Group commit on PostgreSQL.
#include "store/postgres_writer.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "base/log.h"
#include "store/postgres_error.h"

namespace merlon::store {
namespace {

// PostgreSQL keeps 64 subtransactions of a transaction in shared memory; more, and every snapshot of every
// server looks them up one by one.
constexpr size_t kGroupWritesMax = 60;
constexpr size_t kGroupBytesMax = 8 * 1024 * 1024;
constexpr int kBeginAttempts = 10;
constexpr size_t kOwnCommitsMax = 100'000;

std::unexpected<Error> upgraded_meanwhile() {
  return fail(ErrorKind::unavailable, "DatabaseUpgraded",
              "Nothing was changed: a newer merlon has upgraded the database, and this server is too old to "
              "write to it. Upgrade this server and start it again.");
}

}  // namespace

void OwnCommits::add(int64_t number) {
  const std::lock_guard lock(mutex_);
  numbers_.insert(number);
  // Nobody looks: forgetting costs no more than a look too many.
  if (numbers_.size() > kOwnCommitsMax) numbers_.erase(numbers_.begin());
}

void OwnCommits::remove(int64_t number) {
  const std::lock_guard lock(mutex_);
  numbers_.erase(number);
}

bool OwnCommits::others_in(int64_t from, int64_t to) {
  const std::lock_guard lock(mutex_);
  const auto first = numbers_.upper_bound(from);
  const auto last = numbers_.upper_bound(to);
  const auto own = std::distance(first, last);
  numbers_.erase(numbers_.begin(), last);
  return to - from > own;
}

PostgresWriter::PostgresWriter(PostgresAddress address, const Layout& layout, size_t migrations)
    : address_(std::move(address)), layout_(layout), migrations_(migrations) {
  thread_ = std::thread([this] { run(); });
}

PostgresWriter::~PostgresWriter() {
  queue_.stop();
  thread_.join();
}

void PostgresWriter::run() {
  queue_.belongs_to_this_thread();
  while (queue_.wait(std::nullopt).value_or(false)) commit_group();
  connection_.reset();
}

WaitingWrite* PostgresWriter::take(Group& group) {
  if (group.writes.size() >= kGroupWritesMax || group.bytes >= kGroupBytesMax) return nullptr;
  WaitingWrite* next = queue_.take();
  if (next != nullptr) group.writes.push_back(next);
  return next;
}

void PostgresWriter::commit_group() {
  Group group;
  auto outcome = begin();
  if (outcome) {
    outcome = run_group(group);
  } else {
    while (take(group) != nullptr) {
    }
  }
  if (!outcome) {
    roll_back();
    log_error("a group of writes was rolled back", outcome.error(), {{"writes", group.writes.size()}});
    for (WaitingWrite* write : group.writes) {
      if (write->result) write->result = std::unexpected(outcome.error());
      write->effects.clear();
    }
    group.hook_effects.clear();
  }
  for (const WaitingWrite* write : group.writes) run_effects(write->effects);
  run_effects(group.hook_effects);
  queue_.release(group.writes);
}

// Nothing of a group has run yet: a lock that PostgreSQL takes away, and a connection that died while it was
// idle, are tried again.
Result<void> PostgresWriter::begin() {
  for (int attempt = 1;; ++attempt) {
    const bool had_connection = connection_ != nullptr;
    auto begun = begin_once();
    if (begun) return begun;
    const bool lost = connection_ == nullptr || !connection_->is_alive();
    roll_back();
    const bool again = (lost && had_connection) || is_serialization_failure(begun.error());
    if (!again || attempt >= kBeginAttempts) return begun;
  }
}

Result<void> PostgresWriter::begin_once() {
  if (!connection_) connection_ = TRY(PostgresConnection::open(address_));
  // READ COMMITTED: each statement sees what is committed when it begins, and behind the row's lock that is
  // the same for all of them. The notification goes out with the commit, or not at all.
  TRY(connection_->execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; NOTIFY merlon_commits"));
  const Answer turn = TRY(connection_->run(
      "UPDATE merlon_writer SET commits = commits + 1 WHERE id = 1 RETURNING commits, migration"));
  if (turn.rows() != 1) return internal_error("merlon_writer has lost its row");
  if (turn.number(0, 1) > static_cast<int64_t>(migrations_)) return upgraded_meanwhile();
  number_ = turn.number(0, 0);
  own_.add(number_);
  return {};
}

Result<void> PostgresWriter::run_group(Group& group) {
  while (WaitingWrite* next = take(group)) TRY(run_one(*next, group));
  if (!group.changed) {
    roll_back();
    return {};
  }
  TRY(run_hook(group));
  return commit();
}

// An error here is the group's; the write's own error is in write.result.
Result<void> PostgresWriter::run_one(WaitingWrite& write, Group& group) {
  if (!group.savepoint_is_fresh)
    TRY(connection_->execute(group.writes.size() == 1 ? "SAVEPOINT one"
                                                      : "RELEASE SAVEPOINT one; SAVEPOINT one"));
  PostgresTransaction transaction(*connection_, layout_);
  write.result = run_guarded(*write.work, transaction);
  if (!connection_->is_alive())
    return std::unexpected(transaction.failure() ? *transaction.failure()
                                                 : connection_lost_error("the write hid why"));
  // A write that takes no notice of a failed statement would answer for changes that are not there.
  if (write.result && connection_->in_failed_transaction())
    write.result = std::unexpected(transaction.failure()
                                       ? *transaction.failure()
                                       : internal_error("a statement failed, and the write hid why").error());
  group.savepoint_is_fresh = !write.result;
  if (!write.result) {
    TRY(connection_->execute("ROLLBACK TO SAVEPOINT one"));
    return {};
  }
  write.effects = transaction.take_effects();
  std::ranges::move(transaction.take_handed_over(), std::back_inserter(group.handed_over));
  group.bytes += transaction.bytes();
  group.changed |= transaction.changed();
  return {};
}

Result<void> PostgresWriter::run_hook(Group& group) {
  const BeforeCommit* hook = queue_.hook();
  if (hook == nullptr) return {};
  PostgresTransaction transaction(*connection_, layout_);
  TRY(run_guarded(*hook, transaction, group.handed_over));
  if (connection_->in_failed_transaction())
    return std::unexpected(transaction.failure()
                               ? *transaction.failure()
                               : internal_error("a statement failed, and the hook hid why").error());
  group.hook_effects = transaction.take_effects();
  return {};
}

// PostgreSQL answers COMMIT with an error only when it has rolled back; but an answer that never comes leaves
// open whether the commit is there. Then nobody may be told either, and nothing that was read since may be
// trusted: the process ends. A connection that PostgreSQL has ended before COMMIT is sent is no such case.
Result<void> PostgresWriter::commit() {
  if (connection_->was_ended()) {
    connection_.reset();
    return std::unexpected(connection_lost_error("it was ended before COMMIT"));
  }
  const auto committed = connection_->execute("COMMIT");
  if (committed && committed->command() == "COMMIT") {
    commit_count_.fetch_add(1);
    number_ = 0;  // it stays ours
    return {};
  }
  if (!connection_->is_alive())
    end_process("COMMIT", committed ? connection_lost_error("") : committed.error());
  if (committed)
    return internal_error("PostgreSQL answered COMMIT with " + std::string(committed->command()));
  return std::unexpected(committed.error());
}

// The number is given back before the row's lock is: afterwards it may be another server's.
void PostgresWriter::roll_back() {
  if (number_ != 0) own_.remove(std::exchange(number_, 0));
  if (connection_ && (!connection_->is_alive() || !connection_->execute("ROLLBACK"))) connection_.reset();
}

}  // namespace merlon::store
