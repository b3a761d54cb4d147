// Opening, prolonging and ending: one grant for each port.
#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

#include "base/time_text.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using resource::ResourceId;
using resource::WriteContext;
using schema::object;
using schema::optional;
using schema::text;

Result<Timestamp> read_new_end(const JsonObject& body, Timestamp now) {
  const auto end = string_at(body, "endTimeUtc");
  const auto duration = string_at(body, "duration");
  if (end.has_value() == duration.has_value())
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "The extension needs either 'endTimeUtc' or 'duration' (from now on), and not both.",
                "endTimeUtc");
  if (end) {
    const auto time = from_rfc3339(*end);
    if (time) return *time;
    return fail(ErrorKind::invalid, "InvalidRequestContent", "'" + *end + "' is not an RFC 3339 time.",
                "endTimeUtc");
  }
  const auto lasts = from_iso8601_duration(*duration);
  if (!lasts || lasts->count() <= 0)
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "'" + *duration + "' is not an ISO 8601 duration such as PT1H.", "duration");
  return now + *lasts;
}

}  // namespace

schema::Shape extension_shape() {
  return object({optional("endTimeUtc", text()),
                 optional("duration", text().describe("from now on, ISO 8601")),
                 optional("justification", text().with_range(0, 1024))});
}

Result<Grant> Service::opening_grant(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  const auto grant = TRY(platform_.grants.get(reader, id));
  if (grant && grant->kind == kOpeningKind &&
      TRY(ResourceId::parse(TRY(PortGrant::from_json(grant->data)).policy_id)) == policy)
    return *grant;
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "The policy '" + policy.name() + "' has no opening " + id.text() +
                  ". 'merlon jit list' shows what is open.");
}

// One that goes on: what is over is so also when no timer has ended it yet.
Result<Grant> Service::live_opening(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  Grant grant = TRY(opening_grant(reader, policy, id));
  if (grant.state == grant::State::active && grant.deadline > platform_.grants.now()) return grant;
  return fail(ErrorKind::conflict, "JitOpeningEnded",
              fmt::format("The opening {} ended at {}{}. Ask for a new one: 'merlon jit request'.", id.text(),
                          to_rfc3339(grant.ended.value_or(grant.deadline)),
                          grant.end_reason.empty() ? "" : " (" + grant.end_reason + ")"));
}

Result<void> Service::end_openings(WriteContext& context, const ResourceId& policy, std::string_view reason,
                                   const std::function<bool(const PortGrant&)>& which) {
  std::vector<Uuid> ids;
  for (const Grant& grant : TRY(platform_.grants.active_of_group(context.tx, kOpeningKind, policy.key())))
    if (which(TRY(PortGrant::from_json(grant.data)))) ids.push_back(grant.id);
  return platform_.grants.end_together(context, ids, reason);
}

Result<Grant> Service::open_port(WriteContext& context, const Policy& policy, const AccessRequest& request,
                                 const PortRequest& port, const Terms& terms) {
  PortGrant data;
  data.policy_id = policy.id.text();
  data.vm_id = port.vm.text();
  data.number = port.number;
  data.protocol = port.protocol;
  data.sources = port.sources;
  data.request_id = terms.request_id;
  data.cut_established = terms.options.cut_established;
  data.live_server = terms.options.live_server;
  data.approved_by = terms.approved_by;
  Grant grant;
  grant.kind = kOpeningKind;
  grant.subject = port.vm.key();
  grant.group = policy.id.key();
  grant.holder = terms.holder.object_id.text();
  grant.holder_name = terms.holder.name;
  grant.justification = request.justification;
  grant.data = data.to_json();
  grant.deadline = port.end;
  grant.correlation_id = context.call.correlation_id;
  grant = TRY(platform_.grants.open(context.tx, std::move(grant)));
  JsonObject details = {{"opening", grant.id.text()},
                        {"policy", policy.id.text()},
                        {"port", port.number},
                        {"sources", texts_json(port.sources)},
                        {"until", to_rfc3339(grant.deadline)},
                        {"holder", grant.holder_name},
                        {"holderId", grant.holder},
                        {"request", terms.request_id}};
  if (!terms.approved_by.empty()) details["approvedBy"] = texts_json(terms.approved_by);
  TRY(context.record("Merlon.Jit/openings/open/action", port.vm.text(), std::move(details)));
  return grant;
}

// A newer request takes the place of what its holder has open for the same doors. What others hold stays
// beside it: to end that takes kRevokePermission. A request may name ten thousand ports: what is open on a
// machine is read once for all of them, and everything is brought in line once, at the end.
Result<Service::Replaced> Service::end_older(WriteContext& context, const Policy& policy,
                                             const AccessRequest& request, const Terms& terms) {
  using Door = std::pair<uint16_t, std::vector<std::string>>;
  std::map<std::string, std::set<Door>> wanted;
  for (const PortRequest& port : request.ports) wanted[port.vm.key()].emplace(port.number, port.sources);
  Replaced replaced;
  std::vector<Uuid> ids;
  for (const auto& [vm, doors] : wanted)
    for (const Grant& grant : TRY(platform_.grants.active_of_subject(context.tx, kOpeningKind, vm))) {
      if (grant.group != policy.id.key() || grant.holder != terms.holder.object_id.text()) continue;
      const PortGrant older = TRY(PortGrant::from_json(grant.data));
      if (!doors.contains({older.number, older.sources})) continue;
      ids.push_back(grant.id);
      replaced.grants.insert(grant.id.text());
      replaced.vms.insert(older.vm_id);
    }
  {
    const InOneGo in_one_go(in_one_go_);
    TRY(platform_.grants.end_together(context, ids, "NewerRequestInitiated"));
  }
  std::vector<Grant> ended;
  for (const Uuid& id : ids)
    if (auto grant = TRY(platform_.grants.get(context.tx, id))) ended.push_back(*std::move(grant));
  TRY(show_openings(context, policy.id, ended));
  return replaced;
}

Result<void> Service::open_ports(WriteContext& context, const Policy& policy, const AccessRequest& request,
                                 const Terms& terms) {
  const Replaced replaced = TRY(end_older(context, policy, request, terms));
  std::set<std::string> vms = replaced.vms;
  std::vector<Grant> opened;
  for (const PortRequest& port : request.ports) {
    opened.push_back(TRY(open_port(context, policy, request, port, terms)));
    vms.insert(port.vm.text());
  }
  TRY(show_rules(context, policy.id, opened, replaced));
  for (const std::string& vm : vms) TRY(sync_openings(context, TRY(ResourceId::parse(vm))));
  return {};
}

Result<JsonObject> Service::initiate(WriteContext& context, const ResourceId& policy_id) {
  const Policy policy = TRY(policy_of(context.tx, policy_id));
  const Options options = TRY(options_of(context.tx, policy.id));
  const identity::Principal& asker = context.call.principal;
  const Timestamp now = platform_.grants.now();
  const AccessRequest request = TRY(read_request(policy, context.call.body, asker.address, now));
  context.justification = request.justification;
  TRY(check_asker(context.tx, policy, options, request, asker, need_of(context)));
  if (options.approvals > 0) {
    const JsonObject waiting = TRY(wait_for_approval(context, policy, options, request, {}));
    JsonObject shown =
        shown_request(request, TRY(require_string(waiting, "name")), now, asker.name, "Initiating");
    TRY(show_request(context, policy.id, shown));
    shown["approval"] = waiting.at("properties");
    return shown;
  }
  const Terms terms{.holder = asker,
                    .request_id = Uuid::generate(context.core.random).text(),
                    .approved_by = {},
                    .options = options};
  TRY(open_ports(context, policy, request, terms));
  context.details = {{"request", terms.request_id}};
  JsonObject shown = shown_request(request, terms.request_id, now, asker.name, "Initiated");
  TRY(show_request(context, policy.id, shown));
  return shown;
}

// The same rights as the request, by whoever holds the opening: nobody prolongs in another's name.
Result<JsonObject> Service::extend(WriteContext& context, const ResourceId& policy_id, const Uuid& id) {
  const identity::Principal& asker = context.call.principal;
  const Timestamp now = platform_.grants.now();
  const Grant grant = TRY(opening_grant(context.tx, policy_id, id));
  if (grant.holder != asker.object_id.text())
    return fail(ErrorKind::forbidden, "JitOpeningNotYours",
                "The opening " + id.text() + " is held by '" + grant.holder_name +
                    "', who alone may extend it. Ask for one of your own: 'merlon jit request'.");
  TRY(live_opening(context.tx, policy_id, id));
  const PortGrant opened = TRY(PortGrant::from_json(grant.data));
  const Timestamp end = TRY(read_new_end(context.call.body, now));
  JsonObject port = {{"number", opened.number}, {"endTimeUtc", to_rfc3339(end)}};
  put_sources(port, opened.sources);
  const JsonObject body = {
      {"virtualMachines", JsonArray{JsonObject{{"id", opened.vm_id}, {"ports", JsonArray{std::move(port)}}}}},
      {"justification", string_at(context.call.body, "justification").value_or("")}};
  const Policy policy = TRY(policy_of(context.tx, policy_id));
  const Options options = TRY(options_of(context.tx, policy.id));
  const AccessRequest request = TRY(read_request(policy, body, asker.address, now));
  context.justification = request.justification;
  TRY(check_extension(policy, grant, request.ports.front()));
  TRY(check_asker(context.tx, policy, options, request, asker, need_of(context)));
  context.details["opening"] = id.text();
  if (options.approvals == 0) {
    TRY(prolong(context, grant, end, {}));
    return opening(context.tx, policy_id, id);
  }
  const JsonObject waiting = TRY(wait_for_approval(context, policy, options, request, id.text()));
  JsonObject shown = TRY(opening(context.tx, policy_id, id));
  shown["properties"].as_object()["extension"] = waiting.at("properties");
  return shown;
}

Result<void> check_extension(const Policy& policy, const Grant& opening, const PortRequest& wanted) {
  const PortPolicy* port = policy.machine(wanted.vm)->port(wanted.number);
  const Timestamp latest = opening.start + port->duration_max;
  if (wanted.end > latest)
    return fail(
        ErrorKind::invalid, "JitRequestTooLong",
        fmt::format("Access to port {} may last {} at most; this opening began at {} and may be extended "
                    "until {}.",
                    port->number, to_human_duration(port->duration_max), to_rfc3339(opening.start),
                    to_rfc3339(latest)),
        "endTimeUtc");
  if (wanted.end <= opening.deadline)
    return fail(ErrorKind::invalid, "JitExtensionNotLonger",
                fmt::format("The opening lasts until {} as it is. To end it sooner, revoke it: 'merlon jit "
                            "revoke {}'.",
                            to_rfc3339(opening.deadline), opening.id.text()),
                "endTimeUtc");
  return {};
}

Result<void> Service::prolong(WriteContext& context, const Grant& opening, Timestamp end,
                              const std::vector<std::string>& approved_by) {
  const Grant grant = TRY(platform_.grants.extend(context.tx, opening.id, end));
  const PortGrant port = TRY(PortGrant::from_json(grant.data));
  TRY(sync_openings(context, TRY(ResourceId::parse(port.vm_id))));
  TRY(show_opening(context, grant));
  JsonObject details = {{"opening", grant.id.text()},
                        {"policy", port.policy_id},
                        {"port", port.number},
                        {"sources", texts_json(port.sources)},
                        {"before", to_rfc3339(opening.deadline)},
                        {"until", to_rfc3339(grant.deadline)},
                        {"holder", grant.holder_name},
                        {"holderId", grant.holder}};
  if (!approved_by.empty()) details["approvedBy"] = texts_json(approved_by);
  return context.record("Merlon.Jit/openings/prolong/action", port.vm_id, std::move(details));
}

// By its holder, or by whoever has the right to. Twice is fine.
Result<JsonObject> Service::revoke(WriteContext& context, const ResourceId& policy, const Uuid& id) {
  const Grant grant = TRY(opening_grant(context.tx, policy, id));
  if (grant.holder != context.call.principal.object_id.text()) {
    TRY(need_of(context.tx, context.call.principal)(kRevokePermission, policy.text()));
    // With a fresh second factor, where one is asked for.
    TRY(context.require(kRevokePermission, policy.text()));
  }
  TRY(platform_.grants.end(context, id, "UserRequested"));
  context.details = {{"opening", id.text()}, {"holder", grant.holder_name}};
  return opening(context.tx, policy, id);
}

// A thousand may run out in the same moment: each machine, group and policy is written once.
Result<void> Service::openings_ended(WriteContext& context, const std::vector<Grant>& grants) {
  std::map<std::string, std::vector<Grant>> of_policy;
  std::set<std::string> vms, ids;
  for (const Grant& grant : grants) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    of_policy[port.policy_id].push_back(grant);
    vms.insert(port.vm_id);
    ids.insert(grant.id.text());
    TRY(context.record("Merlon.Jit/openings/close/action", port.vm_id,
                       {{"opening", grant.id.text()},
                        {"policy", port.policy_id},
                        {"port", port.number},
                        {"sources", texts_json(port.sources)},
                        {"reason", grant.end_reason},
                        {"holder", grant.holder_name},
                        {"holderId", grant.holder},
                        {"request", port.request_id}}));
  }
  if (!in_one_go_) {
    TRY(hide_rules(context, grants));
    for (const std::string& vm : vms) TRY(sync_openings(context, TRY(ResourceId::parse(vm))));
  }
  for (const auto& [policy, ended] : of_policy) {
    const ResourceId policy_id = TRY(ResourceId::parse(policy));
    if (!in_one_go_) TRY(show_openings(context, policy_id, ended));
    TRY(end_requests(context, policy_id, "OpeningEnded",
                     [&](const WaitingRequest& waiting) { return ids.contains(waiting.extends); }));
  }
  return {};
}

}  // namespace merlon::jit
