// Follow the chain, then hold it against the ledger.
#include "recording/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::recording {
namespace {

constexpr size_t kEntriesPerPage = 500;
constexpr auto kDay = std::chrono::hours(24);

void judge_heads(const Chain& chain, const LedgerFacts& facts, VerifyReport& report) {
  for (const LedgerFacts::Head& head : facts.heads) {
    if (head.chunks == 0) continue;
    if (head.chunks > chain.hashes.size()) {
      report.problems.push_back(
          {"Cut", fmt::format("It ends after {} chunks, but the ledger knows of {}: the rest was cut off.",
                              chain.hashes.size(), head.chunks)});
      return;
    }
    if (to_hex(chain.hashes[head.chunks - 1]) != head.hash) {
      report.problems.push_back(
          {"Changed",
           fmt::format("Its first {} chunks are not those that the ledger knows: it was changed, or it "
                       "is another recording.",
                       head.chunks)});
      return;
    }
    report.ledgered = std::max(report.ledgered, head.chunks);
  }
}

// `live`: it is being written, so that more may follow.
void judge(const Chain& chain, const LedgerFacts& facts, bool live, VerifyReport& report) {
  report.chunks = chain.hashes.size();
  report.bytes = chain.bytes;
  if (!chain.hashes.empty()) report.head = to_hex(chain.hashes.back());
  report.state = facts.end ? (facts.ended_properly ? "closed" : "interrupted") : "open";
  if (!facts.opened) report.problems.push_back({"NotInLedger", "The ledger knows no recording of this id."});
  const bool cut_while_written = live && chain.fault && chain.fault->code == "ChunkCut";
  if (chain.fault && !cut_while_written)
    report.problems.push_back(
        {chain.fault->code == "ChunkCut" ? "Cut" : "Changed",
         fmt::format("After {} sound chunks: {}", chain.hashes.size(), chain.fault->message)});
  judge_heads(chain, facts, report);
  if (facts.end && chain.hashes.size() > facts.end->chunks)
    report.problems.push_back({"Extended", fmt::format("It has {} chunks, but ended after {}.",
                                                       chain.hashes.size(), facts.end->chunks)});
}

void judge_row(const Record& record, const Chain& chain, const LedgerFacts& facts, VerifyReport& report) {
  if (!facts.opened) return;
  if (facts.person != record.person.object_id || !ascii_iequal(facts.machine, record.machine))
    report.problems.push_back(
        {"RowChanged", "Person or machine in its record are not those that the ledger knows."});
  if (record.state == RecordState::open || chain.fault) return;
  const std::string head = chain.hashes.empty() ? std::string() : to_hex(chain.hashes.back());
  if (record.chunks != chain.hashes.size() || record.head != head)
    report.problems.push_back({"RowChanged", "Its record tells of another end than its file has."});
}

// A recording that no server writes any more and whose end is in no ledger yet: the last thing that is known
// for certain is how far its server had come.
Result<void> judge_progress(Recordings& all, const Record& record, const Chain& chain, VerifyReport& report) {
  const Progress progress = TRY(store::read_value<Progress>(all.store(), [&](store::Reader& reader) {
    return read_progress(reader, all.seal(), all.tenant(), record.place);
  }));
  for (const auto& [id, head] : progress.heads) {
    if (id != record.id || head.chunks == 0) continue;
    if (head.chunks > chain.hashes.size())
      report.problems.push_back(
          {"Cut",
           fmt::format("It ends after {} chunks, but {} were on the disk when its server died: the rest was "
                       "cut off.",
                       chain.hashes.size(), head.chunks)});
    else if (chain.hashes[head.chunks - 1] != head.hash)
      report.problems.push_back({"Changed", "It is not what was on the disk when its server died."});
  }
  return {};
}

Result<void> add_entries(Recordings& all, ledger::Filter filter, LedgerFacts& facts) {
  std::optional<uint64_t> after;
  for (;;) {
    const auto entries =
        TRY(store::read_value<std::vector<ledger::RecordedEntry>>(all.store(), [&](store::Reader& reader) {
          return all.ledger().list(reader, filter, after, kEntriesPerPage, false);
        }));
    for (const auto& [index, entry] : entries) {
      facts.add(entry.action, entry.resource, entry.details, entry.actor.object_id);
      after = index;
    }
    if (entries.size() < kEntriesPerPage) return {};
  }
}

}  // namespace

void LedgerFacts::add_head(const JsonObject& details) {
  const auto chunks = int_at(details, "chunks");
  if (chunks && *chunks >= 0)
    heads.push_back({static_cast<uint64_t>(*chunks), string_at(details, "hash").value_or("")});
}

void LedgerFacts::add(std::string_view action, std::string_view resource, const JsonObject& details,
                      std::string_view actor_id) {
  if (!action.starts_with("Merlon.Bastion/recordings/")) return;
  if (action == kHeadsAction) {
    const JsonArray* all = array_at(details, "heads");
    if (all == nullptr) return;
    for (const Json& each : *all) {
      const JsonArray* head = each.if_array();
      if (head == nullptr || head->size() != 3 || !head->at(0).is_string() ||
          head->at(0).get_string() != recording_)
        continue;
      if (head->at(1).is_int64() && head->at(1).get_int64() >= 0 && head->at(2).is_string())
        heads.push_back(
            {static_cast<uint64_t>(head->at(1).get_int64()), std::string(head->at(2).get_string())});
    }
    return;
  }
  if (resource.size() < recording_.size() || !resource.ends_with("/" + recording_)) return;
  if (action == kOpenAction) {
    opened = true;
    person = std::string(actor_id);
    machine = string_at(details, "machine").value_or("");
    add_head(details);
  } else if (action == kCloseAction || action == kInterruptedAction) {
    add_head(details);
    if (!heads.empty()) end = heads.back();
    ended_properly = action == kCloseAction;
  } else if (action == kDeleteAction) {
    deleted = true;
  }
}

Chain follow_chain(const ReadAt& file, const Uuid& recording, const Secret* key) {
  Chain chain;
  ChunkReader reader(file);
  const auto fault = [&](Error error) {
    chain.fault = std::move(error);
    return chain;
  };
  const auto damaged = [&](std::string message) {
    Error error;
    error.kind = ErrorKind::conflict;
    error.code = "RecordingDamaged";
    error.message = std::move(message);
    return fault(std::move(error));
  };
  if (auto begins = reader.check_magic(); !begins) return fault(begins.error());
  chain.bytes = reader.offset();
  ChunkHash previous{};
  for (;;) {
    auto next = reader.next();
    if (!next) return fault(next.error());
    if (!*next) return chain;
    const Chunk& chunk = **next;
    if (chain.has_last) return damaged("Something follows its last chunk.");
    if (chunk.header.number != chain.hashes.size())
      return damaged(
          fmt::format("Where chunk {} should be is chunk {}.", chain.hashes.size(), chunk.header.number));
    if (chunk.header.previous != previous)
      return damaged(fmt::format("Chunk {} does not follow the one before it.", chunk.header.number));
    if (key != nullptr)
      if (auto opened = open_chunk(*key, recording, chunk); !opened) return fault(opened.error());
    previous = hash_chunk(recording, chunk.body);
    chain.hashes.push_back(previous);
    chain.bytes = chunk.end();
    chain.length = chunk.header.until;
    chain.has_last = chunk.header.kind == ChunkKind::last;
  }
}

std::string heads_correlation(Timestamp time) {
  return "recording-heads/" +
         to_rfc3339(Timestamp(std::chrono::floor<std::chrono::days>(time))).substr(0, 10);
}

Result<LedgerFacts> ledger_facts(Recordings& all, const Record& record) {
  LedgerFacts facts(record.id);
  ledger::Filter filter;
  filter.correlation_id = record.correlation_id;
  filter.action_prefix = "merlon.bastion/recordings/";
  TRY(add_entries(all, filter, facts));
  // A day more on either side: the wall clock may have been set meanwhile.
  const Timestamp last = record.ended.value_or(all.clock().now()) + kDay;
  for (Timestamp day = record.started - kDay; day <= last; day += kDay) {
    filter.correlation_id = heads_correlation(day);
    TRY(add_entries(all, filter, facts));
  }
  return facts;
}

Result<VerifyReport> verify(Recordings& all, const Record& given) {
  // The ledger first: what is in it was in the file before.
  const LedgerFacts facts = TRY(ledger_facts(all, given));
  const auto found = TRY(store::read_value<std::optional<Record>>(
      all.store(), [&](store::Reader& reader) { return find_record(reader, all.tenant(), given.id); }));
  const Record record = found.value_or(given);
  if (record.place != all.blobs().id())
    return fail(ErrorKind::conflict, "RecordingElsewhere",
                "The recording " + record.id.text() + " lies with another server, at " + record.place +
                    ". Ask that one.");
  VerifyReport report;
  auto key = open_key(all.seal(), record);
  if (!key && key.error().kind == ErrorKind::gone) return std::unexpected(key.error());
  if (!key) report.problems.push_back({"RowChanged", key.error().message});
  const bool live = all.is_live(record.id);
  const Chain chain =
      follow_chain(read_blob(all.blobs(), record.data_name()), record.id, key ? &*key : nullptr);
  report.opened_with_key = key.has_value();
  judge(chain, facts, live, report);
  judge_row(record, chain, facts, report);
  if (!live && record.state == RecordState::open) TRY(judge_progress(all, record, chain, report));
  return report;
}

VerifyReport verify_file(const ReadAt& file, const Uuid& recording, const LedgerFacts& facts) {
  VerifyReport report;
  judge(follow_chain(file, recording, nullptr), facts, false, report);
  return report;
}

}  // namespace merlon::recording
