// What people and automation may do with machines over the API.
#include "machine/routes.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"
#include "machine/proposal.h"

namespace merlon::machine {
namespace {

using resource::Call;
using resource::Route;
using resource::WriteContext;

constexpr std::string_view kGroupPath = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";
constexpr auto kTokenLifetime = std::chrono::hours(1);
constexpr auto kTokenLifetimeMax = std::chrono::hours(24 * 7);
constexpr auto kSilentAfter = std::chrono::seconds(90);
constexpr uint16_t kSshPort = 22;

std::string group_path(std::string_view rest) { return std::string(kGroupPath) + std::string(rest); }

std::string group_of(const Call& call) {
  return "/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
         call.parameter("resourceGroupName");
}

// Names that Azure accepts for a virtual machine running Linux: up to 64 characters, none of which a file
// name or URL minds.
std::optional<std::string> check_machine_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= 64;
  const bool clean =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
      std::string_view::npos;
  if (fits && clean && name.front() != '-' && name.front() != '.' && name.front() != '_' &&
      name.back() != '-' && name.back() != '.')
    return std::nullopt;
  return "must have 1 to 64 letters, digits, '-', '_' or '.', and start and end with a letter or digit";
}

std::string connection_text(const Machine& machine, Timestamp now) {
  if (machine.quarantined) return "Quarantined";
  if (!machine.last_seen) return "NeverConnected";
  return now - *machine.last_seen > kSilentAfter ? "Disconnected" : "Connected";
}

JsonObject view(const Machine& machine, const std::string& group, Timestamp now) {
  JsonArray addresses;
  for (const InterfacePolicy& policy : machine.desired.interfaces)
    for (const IpAddress& address : policy.addresses) addresses.emplace_back(address.text());
  JsonArray open;
  for (const std::string& id : machine.applied.open) open.emplace_back(id);
  JsonArray blockers;
  for (const std::string& blocker : machine.applied.blockers) blockers.emplace_back(blocker);
  JsonObject properties = {{"machineId", machine.id.text()},
                           {"virtualMachineId", machine.resource_id},
                           {"status", connection_text(machine, now)},
                           {"mode", mode_text(machine.mode)},
                           {"appliedMode", mode_text(machine.applied.mode)},
                           {"desiredVersion", JsonObject{{"epoch", machine.desired.version.epoch},
                                                         {"number", machine.desired.version.number}}},
                           {"appliedVersion", JsonObject{{"epoch", machine.applied.version.epoch},
                                                         {"number", machine.applied.version.number}}},
                           {"confirmed", machine.applied.confirmed},
                           {"error", machine.applied.error},
                           {"addresses", std::move(addresses)},
                           {"open", std::move(open)},
                           {"blockers", std::move(blockers)},
                           {"facts", machine.facts.to_json()},
                           {"enrolled", to_rfc3339(machine.enrolled)},
                           {"certificateEnd", to_rfc3339(machine.certificate_end)}};
  if (machine.last_seen) properties["lastSeen"] = to_rfc3339(*machine.last_seen);
  return {{"id", group + "/providers/Merlon.Machines/machines/" + machine.name},
          {"name", machine.name},
          {"type", "Merlon.Machines/machines"},
          {"properties", std::move(properties)}};
}

std::string group_of(const Machine& machine) {
  const auto id = resource::ResourceId::parse(machine.resource_id);
  MERLON_CHECK(id.has_value());
  return id->group_id();
}

Result<Machine> named_machine(Fleet& fleet, store::Reader& reader, const Call& call) {
  const std::string id =
      group_of(call) + "/providers/Microsoft.Compute/virtualMachines/" + call.parameter("machineName");
  auto machine = TRY(fleet.by_resource(reader, id));
  if (!machine)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "No machine named '" + call.parameter("machineName") +
                    "' is enrolled in the resource group '" + call.parameter("resourceGroupName") +
                    "'. 'merlon machine list' shows what is.");
  return *std::move(machine);
}

Result<net::Response> create_token(Fleet& fleet, WriteContext& context) {
  const JsonObject& body = context.call.body;
  EnrolmentToken token;
  token.group_id = group_of(context.call);
  token.machine_name = string_at(body, "name").value_or("");
  token.mode = bool_at(body, "enforce").value_or(false) ? Mode::enforce : Mode::audit;
  Duration lifetime = kTokenLifetime;
  if (const auto text = string_at(body, "lifetime")) {
    const auto wanted = from_iso8601_duration(*text);
    if (!wanted || wanted->count() <= 0 || *wanted > kTokenLifetimeMax)
      return fail(ErrorKind::invalid, "InvalidParameter",
                  "The lifetime must be an ISO 8601 duration of at most P7D, for instance PT1H.", "lifetime");
    lifetime = *wanted;
  }
  if (!TRY(fleet.manager.group_exists(context.tx, token.group_id))) {
    const auto group = TRY(resource::ResourceId::parse(token.group_id));
    TRY(context.require("Microsoft.Resources/subscriptions/resourceGroups/write", token.group_id));
    TRY(fleet.manager.ensure_group(context, group, context.core.default_location));
  }
  TRY(fleet.check_invitation(context.tx, context.call.principal, token));
  token.expires = context.call.now + lifetime;
  token.created_by = context.call.principal.object_id.text();
  const Secret text = make_token_text(token, context.core.random);
  TRY(store::put(context.tx, context.core.tenant, token));
  context.details["token"] = token.id.text();
  context.details["machine"] = token.machine_name;
  context.details["mode"] = mode_text(token.mode);
  return resource::json_response(201, {{"name", token.machine_name},
                                       {"resourceGroup", token.group_id},
                                       {"enforce", token.mode == Mode::enforce},
                                       {"expires", to_rfc3339(token.expires)},
                                       {"token", text.expose_text()}});
}

Result<net::Response> list_machines(Fleet& fleet, const Call& call, store::Reader& reader) {
  const std::string group =
      call.parameters.contains("resourceGroupName") ? ascii_lower(group_of(call)) : std::string();
  JsonArray value;
  for (const Machine& machine : TRY(fleet.all(reader))) {
    const std::string own_group = group_of(machine);
    if (machine.removed || (!group.empty() && ascii_lower(own_group) != group)) continue;
    value.push_back(view(machine, own_group, call.now));
  }
  return resource::json_response(200, {{"value", std::move(value)}});
}

// Would enforcement cut the connection of the one who asks? Their own address, to the port they are likely to
// sit on.
bool would_cut(const Machine& machine, const IpAddress& peer, Timestamp now) {
  if (peer.is_loopback()) return false;
  for (const InterfacePolicy& policy : machine.desired.interfaces)
    for (const IpAddress& address : policy.addresses) {
      if (address.family() != peer.family()) continue;
      const Flow flow{.inbound = true,
                      .protocol = Protocol::tcp,
                      .source = peer,
                      .destination = address,
                      .source_port = 50'000,
                      .destination_port = kSshPort};
      if (judge(machine.desired, flow, now).access == Access::deny) return true;
    }
  return false;
}

JsonArray texts_json(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

// As many as a person reads.
std::string some_of(const std::vector<std::string>& texts) {
  constexpr size_t kShown = 5;
  std::string out;
  for (size_t i = 0; i < std::min(texts.size(), kShown); ++i) out += (i == 0 ? "" : "; ") + texts[i];
  if (texts.size() > kShown) out += fmt::format("; and {} more", texts.size() - kShown);
  return out;
}

Result<void> refuse_to_lock_out(Fleet& fleet, WriteContext& context, const Machine& machine) {
  const IpAddress& peer = context.call.principal.address;
  if (would_cut(machine, peer, context.call.now))
    return fail(ErrorKind::conflict, "WouldCutYourAccess",
                "Once enforced, the rules of '" + machine.name + "' deny SSH from your address " +
                    peer.text() +
                    ". Add a rule that allows it, or a just-in-time policy, or confirm with --confirm-cut.");
  const auto traffic = TRY(fleet.traffic_of(context.tx, machine));
  if (machine.mode == Mode::enforce || !traffic) return {};
  const auto obstacles = enforcement_obstacles(machine.desired, *traffic, context.call.now);
  if (obstacles.empty()) return {};
  return fail(ErrorKind::conflict, "WouldCutSessions",
              "Enforcing the rules of '" + machine.name + "' would cut others off, as its agent saw at " +
                  to_rfc3339(traffic->updated) + ": " + some_of(obstacles) +
                  ". See 'merlon machine propose " + machine.name +
                  "' for rules that let them in, or confirm with --confirm-cut.");
}

Result<net::Response> show_proposal(Fleet& fleet, const Call& call, store::Reader& reader) {
  const Machine machine = TRY(named_machine(fleet, reader, call));
  const auto traffic = TRY(fleet.traffic_of(reader, machine));
  if (!traffic)
    return fail(ErrorKind::conflict, "NothingSeenYet",
                "The agent of '" + machine.name +
                    "' has not reported any traffic. It does so every minute in audit mode: check that the "
                    "machine is connected and in audit mode ('merlon machine show'), and wait.");
  const Proposal proposal = propose(machine.desired, *traffic, call.now);
  JsonArray rules;
  for (const ProposedRule& rule : proposal.rules) rules.push_back(rule.to_json());
  return resource::json_response(
      200, {{"name", machine.name},
            {"since", to_rfc3339(traffic->since)},
            {"updated", to_rfc3339(traffic->updated)},
            {"networkSecurityGroupId", group_for_proposal(machine.desired)},
            {"rules", std::move(rules)},
            {"notes", texts_json(proposal.notes)},
            {"enforcementWouldCut", texts_json(enforcement_obstacles(machine.desired, *traffic, call.now))}});
}

Result<net::Response> set_mode(Fleet& fleet, WriteContext& context, Mode mode) {
  const Machine machine = TRY(named_machine(fleet, context.tx, context.call));
  TRY(context.require_unlocked(machine.resource_id));
  const bool confirmed = bool_at(context.call.body, "confirmCut").value_or(false);
  if (mode == Mode::enforce && !confirmed) TRY(refuse_to_lock_out(fleet, context, machine));
  TRY(fleet.change(context.tx, machine.id, [&](Machine& changed) {
    changed.mode = mode;
    changed.desired.mode = mode;
  }));
  context.details["mode"] = mode_text(mode);
  const auto changed = TRY(store::get<Machine>(context.tx, fleet.core.tenant, machine.id.text()));
  MERLON_CHECK(changed.has_value());
  return resource::json_response(200, view(*changed, group_of(context.call), context.call.now));
}

Route token_route(Fleet& fleet) {
  Route route;
  route.method = "POST";
  route.path = group_path("/providers/Merlon.Machines/enrolmentTokens");
  route.permission = "Merlon.Machines/enrolmentTokens/write";
  route.checked_at = std::string(kGroupPath);
  route.summary = "Make a token with which one machine may enrol, once";
  route.body = schema::object(
      {schema::required("name",
                        schema::text().with_check(check_machine_name).describe("name of the machine")),
       schema::optional("enforce", schema::boolean().describe("enrol straight into enforcement, not audit")),
       schema::optional("lifetime",
                        schema::text().describe("ISO 8601 duration, at most P7D; PT1H when not given"))});
  route.write = [&fleet](WriteContext& context) { return create_token(fleet, context); };
  return route;
}

Route list_route(Fleet& fleet, std::string path, std::string checked_at) {
  Route route;
  route.method = "GET";
  route.path = std::move(path);
  route.permission = "Merlon.Machines/machines/read";
  route.checked_at = std::move(checked_at);
  route.summary = "List enrolled machines with their connection and enforcement";
  route.read = [&fleet](const Call& call, store::Reader& reader) {
    return list_machines(fleet, call, reader);
  };
  return route;
}

Route mode_route(Fleet& fleet, std::string action, Mode mode, std::string summary) {
  Route route;
  route.method = "POST";
  route.path = group_path("/providers/Merlon.Machines/machines/{machineName}/" + action);
  route.permission = "Merlon.Machines/machines/" + action + "/action";
  route.summary = std::move(summary);
  route.body = schema::object({schema::optional(
      "confirmCut", schema::boolean().describe("go on although it would cut you or others off"))});
  route.write = [&fleet, mode](WriteContext& context) { return set_mode(fleet, context, mode); };
  return route;
}

}  // namespace

void add_routes(Fleet& fleet) {
  resource::Manager& manager = fleet.manager;
  manager.add(token_route(fleet));
  manager.add(list_route(fleet, group_path("/providers/Merlon.Machines/machines"), std::string(kGroupPath)));
  manager.add(list_route(fleet, "/subscriptions/{subscriptionId}/providers/Merlon.Machines/machines",
                         "/subscriptions/{subscriptionId}"));
  Route show;
  show.method = "GET";
  show.path = group_path("/providers/Merlon.Machines/machines/{machineName}");
  show.permission = "Merlon.Machines/machines/read";
  show.summary = "Show one enrolled machine";
  show.read = [&fleet](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200,
                                   view(TRY(named_machine(fleet, reader, call)), group_of(call), call.now));
  };
  manager.add(std::move(show));
  Route proposal;
  proposal.method = "GET";
  proposal.path = group_path("/providers/Merlon.Machines/machines/{machineName}/proposal");
  proposal.permission = "Merlon.Machines/machines/proposal/read";
  proposal.summary = "Rules that would let in what came to the machine in audit mode";
  proposal.read = [&fleet](const Call& call, store::Reader& reader) {
    return show_proposal(fleet, call, reader);
  };
  manager.add(std::move(proposal));
  Route remove;
  remove.method = "DELETE";
  remove.path = group_path("/providers/Merlon.Machines/machines/{machineName}");
  remove.permission = "Merlon.Machines/machines/delete";
  remove.summary = "Remove a machine: its agent takes Merlon's rules down and stops";
  remove.write = [&fleet](WriteContext& context) -> Result<net::Response> {
    Machine machine = TRY(named_machine(fleet, context.tx, context.call));
    TRY(context.require_unlocked(machine.resource_id, resource::Change::remove));
    TRY(fleet.remove(context, std::move(machine)));
    return resource::empty_response(200);
  };
  manager.add(std::move(remove));
  manager.add(mode_route(fleet, "enforce", Mode::enforce, "Turn enforcement of the machine's rules on"));
  manager.add(
      mode_route(fleet, "audit", Mode::audit, "Go back to audit: count what would be dropped, drop nothing"));
}

}  // namespace merlon::machine
