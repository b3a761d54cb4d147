// {bastion}/providers/Merlon.Bastion/sessionPolicies: written, shown, listed, removed.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "resource/paging.h"
#include "resource/preconditions.h"
#include "services/bastion/routes.h"

namespace merlon::bastion {
namespace {

using resource::Call;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;

constexpr size_t kNameMax = 64;
constexpr size_t kPoliciesMax = 100;
constexpr Duration kKeptLeast = std::chrono::days(1);

JsonObject shown(const ResourceId& bastion, const StoredPolicy& policy) {
  return {{"id", policy_id(bastion, policy.name)},
          {"name", policy.name},
          {"type", "Merlon.Bastion/sessionPolicies"},
          {"properties", policy.properties}};
}

std::string etag_of(const StoredPolicy& policy) {
  const auto digest = crypto::sha256(as_bytes(to_canonical_text(policy.properties)));
  return to_hex(ByteView(digest).first(16));
}

std::vector<std::string> tags_of(const std::optional<StoredPolicy>& policy) {
  if (!policy) return {};
  return {etag_of(*policy)};
}

net::Response policy_response(int status, const ResourceId& bastion, const StoredPolicy& policy) {
  net::Response response = resource::json_response(status, shown(bastion, policy));
  response.headers.set("ETag", resource::entity_tag(etag_of(policy)));
  return response;
}

Result<std::optional<StoredPolicy>> find_policy(const Call& call, store::Reader& reader,
                                                const ResourceId& bastion) {
  const StoredPolicy asked{.bastion = bastion.key(), .name = call.parameter("policyName"), .properties = {}};
  return store::get<StoredPolicy>(reader, call.tenant, asked.key());
}

// A name in a list that nobody has is a mistake: the policy would concern nobody.
Result<void> check_named(WriteContext& context, const SessionPolicy& policy) {
  for (const Uuid& id : policy.principals)
    if (!TRY(context.core.directory.find_object(context.tx, id)))
      return fail(ErrorKind::invalid, "PrincipalNotFound",
                  "No user, group or service principal has the object id '" + id.text() + "'.",
                  "properties.appliesTo.principalIds");
  for (const Uuid& id : policy.roles)
    if (!TRY(context.core.access.role(context.tx, id)))
      return fail(ErrorKind::invalid, "RoleDefinitionDoesNotExist",
                  "There is no role definition '" + id.text() + "'.",
                  "properties.appliesTo.roleDefinitionIds");
  return {};
}

Result<net::Response> put_policy(Service& service, WriteContext& context) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  const std::string& name = context.call.parameter("policyName");
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (name.empty() || name.size() > kNameMax || !std::ranges::all_of(name, plain))
    return fail(ErrorKind::invalid, "InvalidResourceName",
                "The name of a session policy has 1 to 64 letters, digits, hyphens and underscores.", "name");
  const auto existing = TRY(find_policy(context.call, context.tx, host.id));
  TRY(resource::check_preconditions(context.call.request, tags_of(existing), context.call.id.text()));
  StoredPolicy policy{.bastion = host.id.key(),
                      .name = existing ? existing->name : name,
                      .properties = *object_at(context.call.body, "properties")};
  const SessionPolicy read = TRY(read_policy(host.id, policy.name, policy.properties));
  TRY(check_named(context, read));
  if (read.recording && !host.recording)
    return fail(
        ErrorKind::invalid, "SessionRecordingNotEnabled",
        fmt::format("The bastion '{}' records no sessions. Switch 'enableSessionRecording' on (Premium), "
                    "or leave 'recording' out.",
                    host.id.name()),
        "properties.recording");
  if (read.kept && *read.kept < kKeptLeast)
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "'recordingRetention' must be a day (P1D) or more: a recording is evidence.",
                "properties.recordingRetention");
  if (!existing && TRY(service.policies(context.tx, host.id)).size() >= kPoliciesMax)
    return fail(ErrorKind::conflict, "TooManySessionPolicies",
                fmt::format("A bastion has at most {} session policies.", kPoliciesMax));
  TRY(store::put(context.tx, context.call.tenant, policy));
  context.details = {{"policy", policy.properties}};
  if (existing) context.details["policyBefore"] = existing->properties;
  return policy_response(existing ? 200 : 201, host.id, policy);
}

Result<net::Response> delete_policy(Service& service, WriteContext& context) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  const auto existing = TRY(find_policy(context.call, context.tx, host.id));
  TRY(resource::check_preconditions(context.call.request, tags_of(existing), context.call.id.text()));
  if (!existing) return resource::empty_response(204);
  TRY(store::erase<StoredPolicy>(context.tx, context.call.tenant, existing->key()));
  context.details = {{"policyBefore", existing->properties}};
  return resource::empty_response(200);
}

Result<net::Response> get_policy(Service& service, const Call& call, store::Reader& reader) {
  const Host host = TRY(service.host(reader, TRY(host_in(call))));
  const auto policy = TRY(find_policy(call, reader, host.id));
  if (policy) return policy_response(200, host.id, *policy);
  return fail(ErrorKind::not_found, "ResourceNotFound",
              fmt::format("The bastion '{}' has no session policy '{}'.", host.id.name(),
                          call.parameter("policyName").substr(0, kNameMax)));
}

Result<net::Response> list_policies(Service& service, const Call& call, store::Reader& reader) {
  const Host host = TRY(service.host(reader, TRY(host_in(call))));
  std::vector<std::string> values;
  for (const StoredPolicy& policy :
       TRY(store::scan_all<StoredPolicy>(reader, call.tenant, host.id.key() + "\n")))
    values.push_back(to_text(shown(host.id, policy)));
  return resource::text_response(200, resource::list_text(values));
}

Route policy_route(std::string method, const std::string& verb, const std::string& tail,
                   std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = kHostPath + "/providers/Merlon.Bastion/sessionPolicies" + tail;
  route.checked_at = kHostPath;
  route.permission = "Merlon.Bastion/sessionPolicies/" + verb;
  route.summary = std::move(summary);
  return route;
}

}  // namespace

Result<std::vector<SessionPolicy>> Service::policies(store::Reader& reader, const ResourceId& bastion) {
  std::vector<SessionPolicy> found;
  for (const StoredPolicy& policy :
       TRY(store::scan_all<StoredPolicy>(reader, platform_.core.tenant, bastion.key() + "\n")))
    found.push_back(TRY(read_policy(bastion, policy.name, policy.properties)));
  return found;
}

void add_policy_routes(resource::Manager& resources, Service& service) {
  Route put = policy_route("PUT", "write", "/{policyName}", "What a bastion asks of those whom it concerns");
  put.body = policy_shape();
  put.write = [&service](WriteContext& context) { return put_policy(service, context); };
  resources.add(std::move(put));
  Route remove = policy_route("DELETE", "delete", "/{policyName}", "The bastion asks for that no more");
  remove.write = [&service](WriteContext& context) { return delete_policy(service, context); };
  resources.add(std::move(remove));
  Route get = policy_route("GET", "read", "/{policyName}", "One session policy of a bastion");
  get.read = [&service](const Call& call, store::Reader& reader) {
    return get_policy(service, call, reader);
  };
  resources.add(std::move(get));
  Route list = policy_route("GET", "read", "", "The session policies of a bastion");
  list.read = [&service](const Call& call, store::Reader& reader) {
    return list_policies(service, call, reader);
  };
  resources.add(std::move(list));
}

}  // namespace merlon::bastion
