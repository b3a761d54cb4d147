// Azure's activity log, told from the ledger: what was changed in the subscription, by whom, and how it
// ended.
#include <charconv>

#include "base/text.h"
#include "base/time_text.h"
#include "resource/ledger_walk.h"
#include "resource/paging.h"
#include "resource/query_filter.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr size_t kPageDefault = 200;

struct EventFilter {
  ledger::Filter ledger;
  std::string resource_group, resource_provider, resource_id, resource_type, caller, status;  // empty = any
};

Result<void> add_term(EventFilter& filter, const FilterTerm& term) {
  static constexpr const char* kKnown =
      "eventTimestamp ge|gt|le|lt, and with eq: resourceGroupName, resourceProvider, resourceId, "
      "resourceUri, resourceType, "
      "correlationId, caller, status";
  if (ascii_iequal(term.name, "eventTimestamp")) {
    const Timestamp time = TRY(filter_time(term));
    if (term.op == "ge" || term.op == "gt") {
      filter.ledger.from = time;
    } else if (term.op == "le" || term.op == "lt") {
      filter.ledger.to = time;
    } else {
      return unknown_filter_term(term, kKnown);
    }
    return {};
  }
  if (term.op != "eq") return unknown_filter_term(term, kKnown);
  const std::pair<const char*, std::string*> fields[] = {{"resourceGroupName", &filter.resource_group},
                                                         {"resourceProvider", &filter.resource_provider},
                                                         {"resourceId", &filter.resource_id},
                                                         {"resourceUri", &filter.resource_id},
                                                         {"resourceType", &filter.resource_type},
                                                         {"correlationId", &filter.ledger.correlation_id},
                                                         {"caller", &filter.caller},
                                                         {"status", &filter.status}};
  for (const auto& [name, field] : fields) {
    if (!ascii_iequal(term.name, name)) continue;
    *field = term.value;
    return {};
  }
  // Merlon has one channel and level scheme; a client that names them means all that there is.
  if (ascii_iequal(term.name, "eventChannels") || ascii_iequal(term.name, "levels")) return {};
  return unknown_filter_term(term, kKnown);
}

Result<EventFilter> filter_of(const State& state, const Call& call) {
  EventFilter filter;
  filter.ledger.resource_prefix = ascii_lower(state.subscription_path());
  if (const std::string* text = call.request.query.find("$filter")) {
    for (const FilterTerm& term : TRY(parse_query_filter(*text))) TRY(add_term(filter, term));
  }
  if (ascii_istarts_with(filter.resource_id, state.subscription_path())) {
    filter.ledger.resource_prefix = ascii_lower(filter.resource_id);
  }
  return filter;
}

std::string_view status_of(const ledger::Entry& entry) {
  return entry.decision == ledger::Decision::allowed ? "Succeeded" : "Failed";
}

bool fits(const EventFilter& filter, const ledger::Entry& entry, const ResourceId& id) {
  const auto same = [](const std::string& wanted, std::string_view found) {
    return wanted.empty() || ascii_iequal(wanted, found);
  };
  const std::string provider = entry.action.substr(0, entry.action.find('/'));
  return same(filter.resource_group, id.resource_group()) && same(filter.resource_provider, provider) &&
         same(filter.resource_id, id.text()) && same(filter.resource_type, id.type()) &&
         (same(filter.caller, entry.actor.name) || same(filter.caller, entry.actor.object_id)) &&
         same(filter.status, status_of(entry));
}

JsonObject named(std::string_view value) { return {{"value", value}, {"localizedValue", value}}; }

// Stable across requests, as Azure's is.
std::string event_id(uint64_t index) {
  std::string digits = std::to_string(index);
  digits.insert(0, digits.size() < 12 ? 12 - digits.size() : 0, '0');
  return "00000000-0000-4000-8000-" + digits;
}

JsonObject event_json(const State& state, const ledger::RecordedEntry& recorded, const ResourceId& id) {
  const ledger::Entry& entry = recorded.entry;
  const std::string time = to_rfc3339(entry.time);
  const std::string event = event_id(recorded.index);
  const bool denied = entry.decision == ledger::Decision::denied;
  JsonObject properties = entry.details;
  if (!entry.justification.empty()) properties["justification"] = entry.justification;
  if (!entry.reason.empty()) properties["reason"] = entry.reason;
  if (entry.count > 1) properties["count"] = entry.count;
  const std::string provider = entry.action.substr(0, entry.action.find('/'));
  return {{"authorization", {{"action", entry.action}, {"scope", id.text()}}},
          {"caller", entry.actor.name.empty() ? entry.actor.object_id : entry.actor.name},
          {"channels", "Operation"},
          {"claims",
           {{"http://schemas.microsoft.com/identity/claims/objectidentifier", entry.actor.object_id},
            {"name", entry.actor.name}}},
          {"correlationId", entry.correlation_id},
          {"description", ""},
          {"eventDataId", event},
          {"eventName", named("EndRequest")},
          {"category", named("Administrative")},
          {"httpRequest", {{"clientRequestId", entry.request_id}, {"clientIpAddress", entry.actor.address}}},
          {"id", id.text() + "/events/" + event},
          {"level", entry.decision == ledger::Decision::allowed ? "Informational" : "Error"},
          {"resourceGroupName", id.resource_group()},
          {"resourceProviderName", named(provider)},
          {"resourceType", named(id.type())},
          {"resourceId", id.text()},
          {"operationId", entry.correlation_id},
          {"operationName", named(entry.action)},
          {"properties", std::move(properties)},
          {"status", named(status_of(entry))},
          {"subStatus", named(denied ? "Forbidden" : "")},
          {"eventTimestamp", time},
          {"submissionTimestamp", time},
          {"subscriptionId", state.core.subscription.text()},
          {"tenantId", state.core.tenant.text()}};
}

Result<std::optional<uint64_t>> position_of(const Page& page) {
  if (page.after.empty()) return std::optional<uint64_t>();
  uint64_t index = 0;
  const auto [end, fault] = std::from_chars(page.after.data(), page.after.data() + page.after.size(), index);
  if (fault != std::errc() || end != page.after.data() + page.after.size()) {
    return fail(ErrorKind::invalid, "InvalidSkipToken",
                "The query parameter '$skiptoken' belongs to another list.", "$skiptoken");
  }
  return std::optional(index);
}

// Azure's pages may be short, or empty: a filter that little fits does not go through everything at once.
Result<net::Response> list_events(const State& state, const Call& call, store::Reader& reader) {
  const EventFilter filter = TRY(filter_of(state, call));
  const Page page = TRY(page_of(call, kPageDefault));
  const auto wanted = [&filter](const ledger::RecordedEntry& recorded) {
    const auto id = ResourceId::parse(recorded.entry.resource);
    return id && fits(filter, recorded.entry, *id);
  };
  const LedgerPage found = TRY(walk_ledger(state.core, reader,
                                           {.filter = filter.ledger,
                                            .after = TRY(position_of(page)),
                                            .top = page.top,
                                            .descending = true,
                                            .wanted = wanted}));
  std::vector<std::string> values;
  for (const ledger::RecordedEntry& recorded : found.entries)
    values.push_back(to_text(event_json(state, recorded, TRY(ResourceId::parse(recorded.entry.resource)))));
  return text_response(
      200, list_text(values, found.next ? next_link(call, std::to_string(*found.next)) : std::string()));
}

}  // namespace

void add_activity_log_routes(State& state, const AddRoute& add) {
  Route route;
  route.method = "GET";
  route.path = "/subscriptions/{subscriptionId}/providers/Microsoft.Insights/eventtypes/management/values";
  route.permission = "Microsoft.Insights/eventtypes/values/read";
  route.checked_at = "/subscriptions/{subscriptionId}";
  route.summary = "Lists the activity log of the subscription, newest first.";
  route.read = [&state](const Call& call, store::Reader& reader) { return list_events(state, call, reader); };
  add(std::move(route));
}

}  // namespace merlon::resource
