// Follow the chain, then hold it against the ledger.
#include "recording/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/time_text.h"
#include "recording/entries.h"

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
  if (!facts.opening) report.problems.push_back({"NotInLedger", "The ledger knows no recording of this id."});
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

// What the ledger's entry has of `names`, and the row's own differs from. Older entries have less.
void compare(const JsonObject& entered, const JsonObject& of_row,
             std::span<const std::pair<std::string_view, std::string_view>> names,
             std::vector<std::string_view>& differing) {
  for (const auto& [name, called] : names) {
    const Json* said = entered.if_contains(name);
    const Json* has = of_row.if_contains(name);
    if (said != nullptr && (has == nullptr || to_canonical_text(*said) != to_canonical_text(*has)))
      differing.push_back(called);
  }
}

// The ledger cuts what is too long, and says so.
bool is_same(std::string_view entered, std::string_view of_row) {
  constexpr std::string_view kCut = "…";
  return entered == of_row ||
         (entered.ends_with(kCut) && of_row.starts_with(entered.substr(0, entered.size() - kCut.size())));
}

void compare_opening(const Record& record, const ledger::Entry& opening,
                     std::vector<std::string_view>& differing) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kNames{{
      {"session", "session"},
      {"machine", "machine"},
      {"kind", "kind"},
      {"protocol", "protocol"},
      {"login", "login"},
      {"signedInBy", "how the person signed in"},
      {"title", "title"},
      {"cols", "width"},
      {"rows", "height"},
      {"place", "where it lies"},
      {"heads", "where its heads are entered"},
      {"keepMs", "how long it is kept"},
  }};
  const ledger::Actor& person = record.person;
  if (opening.actor.kind != person.kind || opening.actor.object_id != person.object_id ||
      !is_same(opening.actor.name, person.name))
    differing.emplace_back("person");
  if (!is_same(opening.actor.address, person.address)) differing.emplace_back("address");
  if (!is_same(opening.resource, record.resource())) differing.emplace_back("scope");
  if (opening.time != record.started) differing.emplace_back("start");
  compare(opening.details, opening_entry(record, 0, "").details, kNames, differing);
  // From its end on the ledger says until when.
  if (record.state == RecordState::open && opening.details.contains("keepMs") &&
      record.keep_until != (record.keep ? std::optional(record.started + *record.keep) : std::nullopt))
    differing.emplace_back("until when it is kept");
}

void compare_end(const Record& record, const LedgerFacts& facts, std::vector<std::string_view>& differing) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNames{{
      {"bytes", "size"},
      {"durationMs", "duration"},
      {"reason", "reason of the end"},
      {"endTime", "end"},
      {"keepUntil", "until when it is kept"},
  }};
  const RecordState state = !facts.ending          ? RecordState::open
                            : facts.ended_properly ? RecordState::closed
                                                   : RecordState::interrupted;
  if (record.state != state) differing.emplace_back("state");
  if (facts.ending) compare(facts.ending->details, end_details(record), kNames, differing);
}

void judge_row(const Record& record, const Chain& chain, const LedgerFacts& facts, VerifyReport& report) {
  if (!facts.opening) return;
  std::vector<std::string_view> differing;
  compare_opening(record, *facts.opening, differing);
  compare_end(record, facts, differing);
  if (!differing.empty())
    report.problems.push_back(
        {"RowChanged",
         fmt::format("Its record was changed. Not what the ledger knows: {}.", fmt::join(differing, ", "))});
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
      facts.add(entry);
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

void LedgerFacts::add(const ledger::Entry& entry) {
  const std::string_view action = entry.action, resource = entry.resource;
  const JsonObject& details = entry.details;
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
    if (!opening) opening = entry;
    add_head(details);
  } else if (action == kCloseAction || action == kInterruptedAction) {
    add_head(details);
    if (!heads.empty()) end = heads.back();
    ending = entry;
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
  if (!facts.opening) return facts;
  if (const auto heads = string_at(facts.opening->details, "heads"); heads && !heads->empty()) {
    filter.correlation_id = *heads;
    TRY(add_entries(all, filter, facts));
    return facts;
  }
  // A day more on either side: the wall clock may have been set meanwhile.
  const Timestamp last = record.ended.value_or(all.clock().now()) + kDay;
  for (Timestamp day = record.started - kDay; day <= last; day += kDay) {
    filter.correlation_id = heads_correlation(day);
    TRY(add_entries(all, filter, facts));
  }
  return facts;
}

Result<VerifyReport> verify(Recordings& all, const Record& given) {
  // The ledger first: what is in it was in the file before, and in the row.
  LedgerFacts facts = TRY(ledger_facts(all, given));
  const auto found = TRY(store::read_value<std::optional<Record>>(
      all.store(), [&](store::Reader& reader) { return find_record(reader, all.tenant(), given.id); }));
  const Record record = found.value_or(given);
  if (record.state != given.state) facts = TRY(ledger_facts(all, record));  // it has ended meanwhile
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
