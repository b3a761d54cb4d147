// The ledger over the store. Everything that must survive is in rows; in memory are the signing key and the
// counters of denials that wait for their minute to end.
#include "ledger/ledger.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/own_key.h"
#include "ledger/denial_counter.h"
#include "ledger/export_format.h"
#include "ledger/ledger_rows.h"
#include "ledger/sequencer.h"

namespace merlon::ledger {
namespace {

constexpr size_t kPageRows = 500;
constexpr size_t kDenialsPerWrite = 500;
constexpr size_t kListMax = 10'000;
constexpr std::string_view kKeyRow = "signing";

std::unexpected<Error> damaged(std::string_view what) {
  return fail(
      ErrorKind::internal, "LedgerDamaged",
      "The ledger in the database does not fit together: " + std::string(what) +
          ". It was changed outside Merlon, or the disk is faulty. Keep the state directory as evidence and "
          "restore a backup.");
}

std::string key_context(const std::string& key_id) { return "ledger_keys/" + key_id + "/private/1"; }

Result<std::optional<crypto::PrivateKey>> read_key(store::Store& store, const seal::Seal& seal) {
  const auto row = TRY(store::read_value<std::optional<store::Row>>(
      store, [](store::Reader& reader) { return reader.get(keys_table(), TenantId(), kKeyRow); }));
  if (!row) return std::optional<crypto::PrivateKey>();
  const JsonObject json = TRY(parse_json_object(row->body));
  const std::string key_id = TRY(require_string(json, "keyId"));
  const Secret der = TRY(seal.open(key_context(key_id), TRY(require_string(json, "private"))));
  auto key = TRY(crypto::read_own_key(der));
  if (key.kind() != crypto::KeyKind::ed25519 || crypto::spki_hash_hex(key.public_key()) != key_id)
    return damaged("the signing key is not the one that its row names");
  return std::optional(std::move(key));
}

Result<void> write_key(store::Transaction& tx, const seal::Seal& seal, const HeadSigner& signer,
                       const crypto::PrivateKey& key) {
  const JsonObject json{{"keyId", signer.key_id()},
                        {"publicKey", signer.pem()},
                        {"private", seal.seal(key_context(signer.key_id()), key.pkcs8_der())}};
  return tx.put(keys_table(), TenantId(), {std::string(kKeyRow), to_text(json), {}});
}

// At each start: the newest head is ours and fits the frontier, and the entries end where it says.
Result<void> check_state(store::Reader& reader, const TenantId& tenant, const std::optional<State>& state,
                         const HeadSigner& signer) {
  const auto newest = TRY(reader.scan(
      entries_table(), tenant, {.prefix = {}, .after = {}, .after_key = {}, .limit = 1, .descending = true}));
  const uint64_t entries = newest.empty() ? 0 : TRY(index_of_key(newest.front().key)) + 1;
  if (!state) {
    if (entries != 0) return damaged("there are entries, but no signed head");
    return {};
  }
  if (!head_verifies(state->head, signer.public_key())) return damaged("its head is not signed with its key");
  if (state->head.tenant != tenant || state->frontier.root() != state->head.root)
    return damaged("its head is not that of its tree");
  if (entries != state->head.size)
    return damaged(
        fmt::format("its head counts {} entries, but the last one is number {}", state->head.size, entries));
  return {};
}

bool matches(const Entry& entry, const Filter& filter) {
  return ascii_istarts_with(entry.resource, filter.resource_prefix) &&
         ascii_istarts_with(entry.action, filter.action_prefix) &&
         (!filter.from || entry.time >= *filter.from) && (!filter.to || entry.time <= *filter.to) &&
         (filter.correlation_id.empty() || ascii_iequal(entry.correlation_id, filter.correlation_id));
}

// Pages of rows in order of index: of one correlation id through its index, else of all.
class EntryPages {
 public:
  EntryPages(store::Reader& reader, const TenantId& tenant, std::string_view correlation,
             std::optional<uint64_t> after, bool descending)
      : reader_(reader), tenant_(tenant), correlation_(ascii_lower(correlation)), descending_(descending) {
    if (after) after_key_ = index_key(*after);
  }

  Result<std::vector<store::Row>> next() {
    if (done_) return std::vector<store::Row>();
    std::vector<store::Row> rows = TRY(correlation_.empty() ? scan() : scan_correlation());
    done_ = done_ || rows.size() < kPageRows;
    if (!rows.empty()) after_key_ = rows.back().key;
    return rows;
  }

 private:
  Result<std::vector<store::Row>> scan() {
    return reader_.scan(
        entries_table(), tenant_,
        {.prefix = {}, .after = after_key_, .after_key = {}, .limit = kPageRows, .descending = descending_});
  }

  Result<std::vector<store::Row>> scan_correlation() {
    // Longer ids with the same beginning sort behind this one. '~' is above, '!' below every key, which is
    // digits.
    const std::string edge = after_key_.empty() ? (descending_ ? "~" : "!") : after_key_;
    const auto found = TRY(reader_.scan_index(entries_table(), tenant_, "correlation",
                                              {.prefix = correlation_,
                                               .after = correlation_,
                                               .after_key = edge,
                                               .limit = kPageRows,
                                               .descending = descending_}));
    std::vector<store::Row> rows;
    for (const store::IndexedRow& hit : found) {
      if (hit.value == correlation_) rows.push_back(hit.row);
    }
    return rows;
  }

  store::Reader& reader_;
  TenantId tenant_;
  std::string correlation_;
  std::string after_key_;
  bool descending_;
  bool done_ = false;
};

class StoreLedger final : public Ledger {
 public:
  StoreLedger(store::Store& store, Random& random, const TenantId& tenant,
              std::shared_ptr<const Sequencer> sequencer)
      : store_(store), random_(random), tenant_(tenant), sequencer_(std::move(sequencer)) {}

  Result<void> append(store::Transaction& tx, const Entry& entry) override;
  void note_denial(const Entry& entry) override { denials_.note(entry); }
  Result<void> flush(Timestamp now) override;
  Result<SignedHead> head(store::Reader& reader) override;
  Result<std::vector<Hash>> inclusion(store::Reader& reader, uint64_t index, uint64_t size) override;
  Result<std::vector<Hash>> consistency(store::Reader& reader, uint64_t from, uint64_t to) override;
  Result<std::vector<RecordedEntry>> list(store::Reader& reader, const Filter& filter,
                                          std::optional<uint64_t> after, size_t limit,
                                          bool descending) override;
  Result<void> export_lines(const std::function<Result<void>(const std::string& line)>& line) override;
  std::string public_key_pem() const override { return sequencer_->signer().pem(); }

 private:
  Result<void> check_size(store::Reader& reader, uint64_t size);
  Result<void> write_denials(const DenialCounter::Counts& denials);
  Result<std::vector<store::Row>> read_page(const std::string& after);

  store::Store& store_;
  Random& random_;
  TenantId tenant_;
  std::shared_ptr<const Sequencer> sequencer_;
  DenialCounter denials_;
  std::mutex flush_mutex_;
};

Result<void> StoreLedger::append(store::Transaction& tx, const Entry& entry) {
  Appended appended;
  random_.fill(appended.stored.salt);
  appended.stored.text = entry_text(entry);
  appended.correlation_id = entered_correlation_id(entry);
  tx.hand_over(std::move(appended));
  return {};
}

Result<void> StoreLedger::flush(Timestamp now) {
  const std::lock_guard one_at_a_time(flush_mutex_);
  DenialCounter::Counts finished = denials_.take_finished(now);
  while (!finished.empty()) {
    DenialCounter::Counts part;
    while (!finished.empty() && part.size() < kDenialsPerWrite)
      part.insert(finished.extract(finished.begin()));
    if (auto written = write_denials(part); !written) {
      denials_.restore(std::move(part));
      denials_.restore(std::move(finished));
      return written;
    }
  }
  return {};
}

Result<void> StoreLedger::write_denials(const DenialCounter::Counts& denials) {
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    for (const auto& [key, summary] : denials) TRY(append(tx, summary.entry()));
    return {};
  });
}

Result<SignedHead> StoreLedger::head(store::Reader& reader) {
  const auto state = TRY(read_state(reader, tenant_));
  if (!state) return damaged("its head has gone");
  return state->head;
}

Result<void> StoreLedger::check_size(store::Reader& reader, uint64_t size) {
  const uint64_t have = TRY(head(reader)).size;
  if (size <= have) return {};
  return fail(
      ErrorKind::invalid, "InvalidLedgerRange",
      fmt::format("The ledger has {} entries, not {}. Ask for a proof up to the size of a head that it gave.",
                  have, size));
}

Result<std::vector<Hash>> StoreLedger::inclusion(store::Reader& reader, uint64_t index, uint64_t size) {
  TRY(check_size(reader, size));
  return inclusion_proof(index, size, node_reader(reader, tenant_));
}

Result<std::vector<Hash>> StoreLedger::consistency(store::Reader& reader, uint64_t from, uint64_t to) {
  TRY(check_size(reader, to));
  return consistency_proof(from, to, node_reader(reader, tenant_));
}

Result<std::vector<RecordedEntry>> StoreLedger::list(store::Reader& reader, const Filter& filter,
                                                     std::optional<uint64_t> after, size_t limit,
                                                     bool descending) {
  limit = std::min(limit, kListMax);
  std::vector<RecordedEntry> found;
  EntryPages pages(reader, tenant_, filter.correlation_id, after, descending);
  while (found.size() < limit) {
    const auto rows = TRY(pages.next());
    if (rows.empty()) return found;
    for (const store::Row& row : rows) {
      if (found.size() == limit) break;
      RecordedEntry recorded{TRY(index_of_key(row.key)),
                             TRY(entry_of_text(TRY(StoredEntry::from_body(row.body)).text))};
      if (matches(recorded.entry, filter)) found.push_back(std::move(recorded));
    }
  }
  return found;
}

Result<std::vector<store::Row>> StoreLedger::read_page(const std::string& after) {
  return store::read_value<std::vector<store::Row>>(store_, [&](store::Reader& reader) {
    return reader.scan(entries_table(), tenant_,
                       {.prefix = {}, .after = after, .after_key = {}, .limit = kPageRows});
  });
}

// The head first, then as many entries as it counts: entries never change, so pages need not be of one
// snapshot, and a slow receiver holds none open.
Result<void> StoreLedger::export_lines(const std::function<Result<void>(const std::string& line)>& line) {
  const auto newest =
      TRY(store::read_value<SignedHead>(store_, [&](store::Reader& reader) { return head(reader); }));
  uint64_t next = 0;
  std::string after;
  while (next < newest.size) {
    const auto rows = TRY(read_page(after));
    if (rows.empty()) return damaged(fmt::format("entry {} has gone", next));
    for (const store::Row& row : rows) {
      if (next == newest.size) break;
      if (row.key != index_key(next)) return damaged(fmt::format("entry {} has gone", next));
      TRY(line(to_line(next, TRY(StoredEntry::from_body(row.body)))));
      ++next;
    }
    after = rows.back().key;
  }
  return line(to_line(HeadLine{newest, public_key_pem()}));
}

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(store::Store& store, const seal::Seal& seal, const Clock& clock,
                                             Random& random, const TenantId& tenant) {
  std::optional<crypto::PrivateKey> key = TRY(read_key(store, seal));
  const bool is_new_key = !key;
  if (is_new_key) key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  const auto sequencer = std::make_shared<const Sequencer>(HeadSigner(*key), clock, tenant);

  std::optional<State> state;
  TRY(store.read([&](store::Reader& reader) -> Result<void> {
    state = TRY(read_state(reader, tenant));
    return check_state(reader, tenant, state, sequencer->signer());
  }));
  // The hook owns what it needs: the store may outlive this ledger.
  store.before_commit([sequencer](store::Transaction& tx, std::span<const std::any> handed_over) {
    return sequencer->run(tx, handed_over);
  });
  if (is_new_key || !state) {
    TRY(store.write([&](store::Transaction& tx) -> Result<void> {
      if (is_new_key) TRY(write_key(tx, seal, sequencer->signer(), *key));
      if (!state) TRY(write_state(tx, tenant, TRY(sequencer->empty_state())));
      return {};
    }));
  }
  return std::make_unique<StoreLedger>(store, random, tenant, sequencer);
}

}  // namespace merlon::ledger
