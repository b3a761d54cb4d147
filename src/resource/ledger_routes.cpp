// The ledger over HTTP: entries, the signed head, proofs that it only ever grew, and the whole of it to
// verify elsewhere.
#include <charconv>
#include <memory>

#include "base/bytes.h"
#include "base/text.h"
#include "base/time_text.h"
#include "ledger/export_part.h"
#include "resource/ledger_walk.h"
#include "resource/paging.h"
#include "resource/query_filter.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr size_t kPageDefault = 100;
constexpr size_t kExportBytesMax = size_t{16} << 20U;

Result<uint64_t> number(std::string_view text, std::string_view name) {
  uint64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) {
    return fail(ErrorKind::invalid, "InvalidQueryParameterValue",
                "The query parameter '" + std::string(name) + "' must be a number of entries, e.g. '42'.",
                std::string(name));
  }
  return value;
}

Result<void> add_term(ledger::Filter& filter, const FilterTerm& term) {
  static constexpr const char* kKnown =
      "startswith(resource, '…'), startswith(action, '…'), correlationId eq '…', time ge|le '…'";
  const bool prefix =
      term.op == "call" && ascii_iequal(term.name, "startswith") && term.arguments.size() == 2;
  if (prefix && ascii_iequal(term.arguments[0], "resource")) {
    filter.resource_prefix = ascii_lower(term.arguments[1]);
  } else if (prefix && ascii_iequal(term.arguments[0], "action")) {
    filter.action_prefix = ascii_lower(term.arguments[1]);
  } else if (term.op == "eq" && ascii_iequal(term.name, "correlationId")) {
    filter.correlation_id = term.value;
  } else if (ascii_iequal(term.name, "time") && term.op == "ge") {
    filter.from = TRY(filter_time(term));
  } else if (ascii_iequal(term.name, "time") && term.op == "le") {
    filter.to = TRY(filter_time(term));
  } else {
    return unknown_filter_term(term, kKnown);
  }
  return {};
}

JsonObject entry_json(const ledger::RecordedEntry& recorded) {
  const ledger::Entry& entry = recorded.entry;
  return {{"index", recorded.index},
          {"time", to_rfc3339(entry.time)},
          {"actor",
           {{"kind", entry.actor.kind},
            {"objectId", entry.actor.object_id},
            {"name", entry.actor.name},
            {"address", entry.actor.address}}},
          {"action", entry.action},
          {"resource", entry.resource},
          {"decision", ledger::decision_text(entry.decision)},
          {"reason", entry.reason},
          {"requestId", entry.request_id},
          {"correlationId", entry.correlation_id},
          {"justification", entry.justification},
          {"details", entry.details},
          {"count", entry.count}};
}

Result<net::Response> list_entries(const State& state, const Call& call, store::Reader& reader) {
  ledger::Filter filter;
  if (const std::string* text = call.request.query.find("$filter")) {
    for (const FilterTerm& term : TRY(parse_query_filter(*text))) TRY(add_term(filter, term));
  }
  const std::string* order = call.request.query.find("$orderby");
  const bool ascending = order != nullptr && (*order == "index" || *order == "index asc");
  if (order != nullptr && !ascending && *order != "index desc") {
    return fail(ErrorKind::invalid, "InvalidQueryParameterValue",
                "The query parameter '$orderby' must be 'index asc' or 'index desc'.", "$orderby");
  }
  const Page page = TRY(page_of(call, kPageDefault));
  std::optional<uint64_t> after;
  if (!page.after.empty()) after = TRY(number(page.after, "$skiptoken"));
  const LedgerPage found = TRY(
      walk_ledger(state.core, reader,
                  {.filter = std::move(filter), .after = after, .top = page.top, .descending = !ascending}));
  std::vector<std::string> values;
  for (const auto& recorded : found.entries) values.push_back(to_text(entry_json(recorded)));
  return text_response(
      200, list_text(values, found.next ? next_link(call, std::to_string(*found.next)) : std::string()));
}

Result<net::Response> prove_growth(const State& state, const Call& call, store::Reader& reader) {
  const auto parameter = [&call](std::string_view name) -> Result<uint64_t> {
    const std::string* text = call.request.query.find(name);
    return number(text == nullptr ? std::string_view() : std::string_view(*text), name);
  };
  const uint64_t from = TRY(parameter("from"));
  const uint64_t to = TRY(parameter("to"));
  JsonArray proof;
  for (const auto& hash : TRY(state.core.ledger.consistency(reader, from, to)))
    proof.emplace_back(to_hex(hash));
  return json_response(200, {{"from", from}, {"to", to}, {"proof", std::move(proof)}});
}

// A part, and in a header where the next one begins.
Result<net::Response> export_lines(const State& state, const Call& call) {
  const std::string* text = call.request.query.find("from");
  const uint64_t from = text == nullptr ? 0 : TRY(number(*text, "from"));
  ledger::ExportPart part =
      TRY(ledger::export_part(state.core.store, state.core.ledger, state.core.tenant, from, kExportBytesMax));
  net::Response response = empty_response(200);
  response.headers.set("Content-Type", "application/x-ndjson; charset=utf-8");
  if (part.continued_at)
    response.headers.set(std::string(ledger::kContinuedAtHeader), std::to_string(*part.continued_at));
  response.body = std::move(part.text);
  return response;
}

Route ledger_route(std::string name, std::string permission, std::string summary) {
  Route route;
  route.method = "GET";
  route.path = "/providers/Merlon.Ledger/" + std::move(name);
  route.permission = "Merlon.Ledger/" + std::move(permission);
  route.checked_at = "/";
  route.summary = std::move(summary);
  return route;
}

}  // namespace

void add_ledger_routes(State& state, const AddRoute& add) {
  Route entries = ledger_route("entries", "entries/read", "Lists the ledger's entries, newest first.");
  entries.read = [&state](const Call& call, store::Reader& reader) {
    return list_entries(state, call, reader);
  };
  add(std::move(entries));
  Route head =
      ledger_route("head", "head/read", "Gets the ledger's newest signed head and the key that signs it.");
  head.read = [&state](const Call&, store::Reader& reader) -> Result<net::Response> {
    JsonObject body = TRY(state.core.ledger.head(reader)).to_json();
    return json_response(200, {{"head", std::move(body)}, {"publicKey", state.core.ledger.public_key_pem()}});
  };
  add(std::move(head));
  Route growth = ledger_route("consistency", "head/read",
                              "Proves that the ledger of 'to' entries begins with that of 'from'.");
  growth.read = [&state](const Call& call, store::Reader& reader) {
    return prove_growth(state, call, reader);
  };
  add(std::move(growth));
  Route whole = ledger_route("export", "export/read",
                             "The ledger as JSON lines, for 'merlon ledger verify', in parts: "
                             "x-merlon-continued-at says 'from' of the "
                             "next.");
  whole.gather = [&state](const Call& call) -> Result<Gathered> {
    return Gathered::of(std::make_shared<net::Response>(TRY(export_lines(state, call))));
  };
  whole.read = [](const Call& call, store::Reader&) -> Result<net::Response> {
    return std::move(*std::any_cast<const std::shared_ptr<net::Response>&>(call.gathered));
  };
  add(std::move(whole));
}

}  // namespace merlon::resource
