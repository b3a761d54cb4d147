// Requests that others must agree to. They wait as grants of their own kind, so that a deadline ends them
// whatever happens to the server. Nothing that held when somebody asked is taken to hold still: the policy,
// the rights of whoever asked and those of each who agreed are judged again at the moment of opening.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/time_text.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using identity::Principal;
using resource::ResourceId;
using resource::WriteContext;
using schema::object;
using schema::optional;
using schema::text;

constexpr size_t kWaitingMax = 20;  // of one person under one policy

// As initiate takes it; sources and ends are those that were read, so that nothing is made up later.
JsonObject body_of(const AccessRequest& request, const JsonObject& asked) {
  JsonArray machines;
  const JsonArray* asked_machines = array_at(asked, "virtualMachines");
  size_t next = 0;
  for (const Json& machine : *asked_machines) {
    JsonArray ports;
    for (const Json& port : *array_at(machine.as_object(), "ports")) {
      const PortRequest& read = request.ports[next++];
      JsonObject json = {{"number", read.number}};
      put_sources(json, read.sources);
      for (const std::string_view key : {"endTimeUtc", "duration"})
        if (const Json* value = port.as_object().if_contains(key)) json[key] = *value;
      ports.push_back(std::move(json));
    }
    machines.push_back(JsonObject{{"id", request.ports[next - 1].vm.text()}, {"ports", std::move(ports)}});
  }
  return {{"virtualMachines", std::move(machines)}, {"justification", request.justification}};
}

// An extension is of one port, and its end is a time.
JsonObject extension_body(const AccessRequest& request) {
  const PortRequest& port = request.ports.front();
  JsonObject json = {{"number", port.number}, {"endTimeUtc", to_rfc3339(port.end)}};
  put_sources(json, port.sources);
  return {{"virtualMachines",
           JsonArray{JsonObject{{"id", port.vm.text()}, {"ports", JsonArray{std::move(json)}}}}},
          {"justification", request.justification}};
}

// "vm port source,source": what a request would open.
std::set<std::string> doors_of(const JsonObject& body) {
  std::set<std::string> doors;
  const JsonArray* machines = array_at(body, "virtualMachines");
  if (machines == nullptr) return doors;
  for (const Json& machine : *machines) {
    const auto vm = ResourceId::parse(string_at(machine.as_object(), "id").value_or(""));
    for (const Json& port : *array_at(machine.as_object(), "ports")) {
      std::string door =
          fmt::format("{} {}", vm ? vm->key() : "", int_at(port.as_object(), "number").value_or(0));
      const auto sources = read_source_texts(port.as_object(), "");
      for (const std::string& source : sources.value_or(std::vector<std::string>())) door += " " + source;
      doors.insert(std::move(door));
    }
  }
  return doors;
}

std::string_view state_of(const Grant& grant, Timestamp now) {
  if (grant.state == grant::State::active) return grant.deadline > now ? "Pending" : "Expired";
  for (const std::string_view state : {"Approved", "Denied", "Expired"})
    if (grant.end_reason == state) return state;
  return "Canceled";
}

std::vector<std::string> names_of(const std::vector<Verdict>& verdicts) {
  std::vector<std::string> names;
  for (const Verdict& verdict : verdicts) names.push_back(verdict.name);
  return names;
}

Verdict verdict_of(const WriteContext& context, Timestamp now) {
  return {.object_id = context.call.principal.object_id.text(),
          .name = context.call.principal.name,
          .justification = string_at(context.call.body, "justification").value_or(""),
          .time = now};
}

// What was right when it was asked for and is not any more is a conflict, not the approver's mistake.
std::unexpected<Error> no_longer(Error error) {
  if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable)
    return std::unexpected(std::move(error));
  error.kind = ErrorKind::conflict;
  error.message = "The request can not be granted any more: " + error.message;
  return std::unexpected(std::move(error));
}

}  // namespace

schema::Shape verdict_shape() {
  return object({optional("justification", text().with_range(0, 1024).describe("why; kept in the ledger"))});
}

// A newer request for the same takes the place of the person's older one; and nobody buries the approvers.
Result<void> Service::make_room_for(WriteContext& context, const Policy& policy,
                                    const WaitingRequest& waiting) {
  const std::set<std::string> doors = doors_of(waiting.body);
  const std::string asker = context.call.principal.object_id.text();
  size_t others = 0;
  for (const Grant& grant :
       TRY(platform_.grants.active_of_group(context.tx, kRequestKind, policy.id.key()))) {
    const WaitingRequest older = TRY(WaitingRequest::from_json(grant.data));
    if (grant.holder != asker) continue;
    const std::set<std::string> older_doors = doors_of(older.body);
    if (older.extends == waiting.extends &&
        std::includes(doors.begin(), doors.end(), older_doors.begin(), older_doors.end())) {
      TRY(platform_.grants.end(context, grant.id, "NewerRequestInitiated"));
    } else if (++others >= kWaitingMax) {
      return fail(
          ErrorKind::conflict, "JitTooManyRequests",
          fmt::format("{} requests of yours wait for approval under this policy already. Cancel some: "
                      "'merlon jit pending' lists them.",
                      kWaitingMax));
    }
  }
  return {};
}

Result<JsonObject> Service::wait_for_approval(WriteContext& context, const Policy& policy,
                                              const Options& options, const AccessRequest& request,
                                              const std::string& extends) {
  const Principal& asker = context.call.principal;
  WaitingRequest waiting;
  waiting.policy_id = policy.id.text();
  waiting.body = extends.empty() ? body_of(request, context.call.body) : extension_body(request);
  waiting.address = asker.address.text();
  waiting.extends = extends;
  TRY(make_room_for(context, policy, waiting));
  Grant grant;
  grant.kind = kRequestKind;
  grant.subject = policy.id.key();
  grant.group = policy.id.key();
  grant.holder = asker.object_id.text();
  grant.holder_name = asker.name;
  grant.justification = request.justification;
  grant.data = waiting.to_json();
  grant.deadline = platform_.grants.now() + options.waits_for;
  // After the end that was asked for there is nothing left to agree to.
  for (const PortRequest& port : request.ports)
    if (port.fixed_end) grant.deadline = std::min(grant.deadline, port.end);
  grant.correlation_id = context.call.correlation_id;
  grant = TRY(platform_.grants.open(context.tx, std::move(grant)));
  context.details["request"] = grant.id.text();
  context.details["state"] = "Pending";
  context.details["approvalsRequired"] = options.approvals;
  context.details["waitsUntil"] = to_rfc3339(grant.deadline);
  return request_view(context.tx, grant);
}

Result<Grant> Service::request_grant(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  const auto grant = TRY(platform_.grants.get(reader, id));
  if (grant && grant->kind == kRequestKind &&
      TRY(ResourceId::parse(TRY(WaitingRequest::from_json(grant->data)).policy_id)) == policy)
    return *grant;
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "The policy '" + policy.name() + "' has no request " + id.text() +
                  ". 'merlon jit pending' shows what waits for approval.");
}

Result<Grant> Service::pending_grant(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  Grant grant = TRY(request_grant(reader, policy, id));
  const std::string_view state = state_of(grant, platform_.grants.now());
  if (state == "Pending") return grant;
  return fail(
      ErrorKind::conflict, "JitRequestNotPending",
      fmt::format(
          "The request {} does not wait any more: it is {}{}.", id.text(), state,
          grant.end_reason.empty() || grant.end_reason == state ? "" : " (" + grant.end_reason + ")"));
}

Result<bool> Service::may_approve(store::Reader& reader, const Options& options, const ResourceId& policy,
                                  const Principal& approver) {
  if (!need_of(reader, approver)(kApprovePermission, policy.text())) return false;
  if (options.approvers.empty()) return true;
  return is_among(reader, approver.object_id, options.approvers);
}

Result<JsonObject> Service::approve(WriteContext& context, const ResourceId& policy_id, const Uuid& id) {
  const Grant grant = TRY(pending_grant(context.tx, policy_id, id));
  WaitingRequest waiting = TRY(WaitingRequest::from_json(grant.data));
  const Verdict mine = verdict_of(context, platform_.grants.now());
  context.justification = mine.justification;
  context.details = {{"request", id.text()}, {"requestor", grant.holder_name}, {"requestorId", grant.holder}};
  if (grant.holder == mine.object_id)
    return fail(ErrorKind::forbidden, "JitApproverIsRequester",
                "This request is your own: somebody else must approve it.");
  const Policy policy = TRY(policy_of(context.tx, policy_id));
  const Options options = TRY(options_of(context.tx, policy.id));
  if (!TRY(may_approve(context.tx, options, policy.id, context.call.principal)))
    return fail(ErrorKind::forbidden, "JitApproverNotAllowed",
                "'" + mine.name +
                    "' is not among those who may approve under this policy. Who is, stands in its "
                    "options: 'merlon jit policy options'.");
  std::vector<Verdict> agreed;
  for (Verdict& earlier : waiting.approvals) {
    if (earlier.object_id == mine.object_id) continue;
    const auto approver = TRY(principal_of(context.tx, earlier.object_id, earlier.name));
    if (approver && TRY(may_approve(context.tx, options, policy.id, *approver)))
      agreed.push_back(std::move(earlier));
  }
  agreed.push_back(mine);
  waiting.approvals = std::move(agreed);
  TRY(platform_.grants.set_data(context.tx, id, waiting.to_json()));
  const auto needed = static_cast<size_t>(std::max<int64_t>(1, options.approvals));
  context.details["approvals"] = waiting.approvals.size();
  context.details["approvalsRequired"] = needed;
  if (waiting.approvals.size() >= needed) {
    if (auto done = carry_out(context, policy, options, grant, waiting); !done)
      return no_longer(std::move(done).error());
    TRY(platform_.grants.end(context, id, "Approved"));
  }
  return request(context.tx, policy.id, id);
}

Result<void> Service::carry_out(WriteContext& context, const Policy& policy, const Options& options,
                                const Grant& grant, const WaitingRequest& waiting) {
  auto asker = TRY(principal_of(context.tx, grant.holder, grant.holder_name));
  if (!asker)
    return fail(ErrorKind::conflict, "JitRequesterGone",
                "'" + grant.holder_name + "', who asked, does not exist any more or is disabled.");
  const auto address = IpAddress::parse(waiting.address);
  if (!address) return internal_error("waiting request has a malformed address");
  asker->address = *address;
  const Timestamp now = platform_.grants.now();
  const AccessRequest request = TRY(read_request(policy, waiting.body, *address, now));
  TRY(check_asker(context.tx, policy, options, request, *asker, need_of(context.tx, *asker)));
  const std::vector<std::string> approved_by = names_of(waiting.approvals);
  if (!waiting.extends.empty()) {
    const auto id = Uuid::parse(waiting.extends);
    if (!id) return internal_error("waiting request has a malformed opening");
    const Grant opening = TRY(live_opening(context.tx, policy.id, *id));
    TRY(check_extension(policy, opening, request.ports.front()));
    return prolong(context, opening, request.ports.front().end, approved_by);
  }
  TRY(open_ports(
      context, policy, request,
      {.holder = *asker, .request_id = grant.id.text(), .approved_by = approved_by, .options = options}));
  return show_request(context, policy.id,
                      shown_request(request, grant.id.text(), now, grant.holder_name, "Initiated"));
}

Result<JsonObject> Service::deny(WriteContext& context, const ResourceId& policy_id, const Uuid& id) {
  const Grant grant = TRY(pending_grant(context.tx, policy_id, id));
  const Options options = TRY(options_of(context.tx, policy_id));
  WaitingRequest waiting = TRY(WaitingRequest::from_json(grant.data));
  waiting.denial = verdict_of(context, platform_.grants.now());
  context.justification = waiting.denial->justification;
  context.details = {{"request", id.text()}, {"requestor", grant.holder_name}, {"requestorId", grant.holder}};
  if (!options.approvers.empty() &&
      !TRY(is_among(context.tx, context.call.principal.object_id, options.approvers)))
    return fail(
        ErrorKind::forbidden, "JitApproverNotAllowed",
        "'" + waiting.denial->name + "' is not among those who decide about requests under this policy.");
  TRY(platform_.grants.set_data(context.tx, id, waiting.to_json()));
  TRY(platform_.grants.end(context, id, "Denied"));
  return request(context.tx, policy_id, id);
}

// By whoever asked, or by whoever has the right to. Twice is fine.
Result<JsonObject> Service::cancel(WriteContext& context, const ResourceId& policy, const Uuid& id) {
  const Grant grant = TRY(request_grant(context.tx, policy, id));
  if (grant.holder != context.call.principal.object_id.text()) {
    TRY(need_of(context.tx, context.call.principal)(kCancelPermission, policy.text()));
    // With a fresh second factor, where one is asked for.
    TRY(context.require(kCancelPermission, policy.text()));
  }
  context.details = {{"request", id.text()}, {"requestor", grant.holder_name}, {"requestorId", grant.holder}};
  if (state_of(grant, platform_.grants.now()) != "Canceled") {
    TRY(pending_grant(context.tx, policy, id));
    TRY(platform_.grants.end(context, id, "UserRequested"));
  }
  return request(context.tx, policy, id);
}

Result<void> Service::end_requests(WriteContext& context, const ResourceId& policy, std::string_view reason,
                                   const std::function<bool(const WaitingRequest&)>& which) {
  for (const Grant& grant : TRY(platform_.grants.active_of_group(context.tx, kRequestKind, policy.key())))
    if (which(TRY(WaitingRequest::from_json(grant.data))))
      TRY(platform_.grants.end(context, grant.id, reason));
  return {};
}

Result<JsonObject> Service::request_view(store::Reader& reader, const Grant& grant) {
  const WaitingRequest waiting = TRY(WaitingRequest::from_json(grant.data));
  const Options options = TRY(options_of(reader, TRY(ResourceId::parse(waiting.policy_id))));
  JsonArray approvals;
  for (const Verdict& approval : waiting.approvals) approvals.push_back(approval.to_json());
  JsonObject properties = {{"state", state_of(grant, platform_.grants.now())},
                           {"stateReason", grant.end_reason},
                           {"requestor", grant.holder_name},
                           {"requestorId", grant.holder},
                           {"requestorAddress", waiting.address},
                           {"justification", grant.justification},
                           {"startTimeUtc", to_rfc3339(grant.start)},
                           {"waitsUntilUtc", to_rfc3339(grant.deadline)},
                           {"virtualMachines", waiting.body.at("virtualMachines")},
                           {"approvalsRequired", std::max<int64_t>(1, options.approvals)},
                           {"approvals", std::move(approvals)}};
  if (!waiting.extends.empty()) properties["extends"] = waiting.extends;
  if (waiting.denial) properties["denial"] = waiting.denial->to_json();
  if (grant.ended) properties["endedTimeUtc"] = to_rfc3339(*grant.ended);
  return JsonObject{{"id", waiting.policy_id + "/providers/Merlon.Jit/requests/" + grant.id.text()},
                    {"name", grant.id.text()},
                    {"type", "Merlon.Jit/requests"},
                    {"properties", std::move(properties)}};
}

Result<JsonObject> Service::request(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  return request_view(reader, TRY(request_grant(reader, policy, id)));
}

// What waits now: of the policies whose requests the caller may read, and their own.
Result<JsonArray> Service::requests(const resource::Call& call, store::Reader& reader,
                                    std::string_view scope) {
  JsonArray value;
  for (const Grant& grant : TRY(platform_.grants.active(reader, kRequestKind))) {
    const ResourceId policy = TRY(ResourceId::parse(TRY(WaitingRequest::from_json(grant.data)).policy_id));
    if (!policy.is_within(scope) || grant.deadline <= platform_.grants.now()) continue;
    const bool own = grant.holder == call.principal.object_id.text();
    if (own || TRY(platform_.resources.may(reader, call, kRequestReadPermission, policy.text())))
      value.push_back(TRY(request_view(reader, grant)));
  }
  return value;
}

}  // namespace merlon::jit
