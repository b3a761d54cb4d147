// Which machines have an identity, as far as whoever asks may read them: the right to ask is one on the
// identity, and shows nobody machines that they could not see otherwise.
// Source: azure-rest-api-specs, Microsoft.ManagedIdentity, preview/2022-01-31-preview/ManagedIdentity.json.
#include "services/managed_identity/associated.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/text.h"

namespace merlon::managed_identity {
namespace {

using resource::Call;
using resource::Resource;
using resource::ResourceId;
using resource::Route;

constexpr std::string_view kMachineType = "Microsoft.Compute/virtualMachines";
constexpr const char* kMachineRead = "Microsoft.Compute/virtualMachines/read";

std::unexpected<Error> bad_query(std::string message, std::string parameter) {
  return fail(ErrorKind::invalid, "InvalidQueryParameter", std::move(message), std::move(parameter));
}

Result<size_t> number_at(const Call& call, const std::string& name, size_t fallback) {
  const std::string* text = call.request.query.find(name);
  if (text == nullptr) return fallback;
  uint32_t number = 0;
  const char* end = text->data() + text->size();
  const auto [read_to, problem] = std::from_chars(text->data(), end, number);
  if (problem != std::errc() || read_to != end)
    return bad_query("'" + name + "' is not a whole number.", name);
  return size_t{number};
}

bool has_identity(const JsonObject& machine, const Resource& identity) {
  const JsonObject* assigned = object_at(machine, "identity.userAssignedIdentities");
  if (assigned == nullptr) return false;
  const auto principal = string_at(identity.body, "properties.principalId");
  return std::ranges::any_of(*assigned, [&](const auto& member) {
    const JsonObject* value = member.value().if_object();
    // Another one of the same name may have been before.
    return ascii_iequal(member.key(), identity.id.text()) && value != nullptr &&
           string_at(*value, "principalId") == principal;
  });
}

Result<JsonArray> associated(Platform& platform, const Call& call, store::Reader& reader) {
  const auto identity = TRY(platform.resources.get(reader, call.id));
  if (!identity)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The identity '" + std::string(call.id.name()) + "' was not found.", call.id.text());
  const std::string subscription = platform.core.subscription.text();
  JsonArray found;
  for (const Resource& machine :
       TRY(platform.resources.list(reader, kMachineType, "/subscriptions/" + subscription))) {
    if (!has_identity(machine.body, *identity)) continue;
    const access::Question question{.action = kMachineRead, .scope = machine.id.text()};
    if (!TRY(platform.core.access.check(reader, call.principal, question)).allowed) continue;
    found.push_back(JsonObject{{"id", machine.id.text()},
                               {"name", machine.id.name()},
                               {"type", kMachineType},
                               {"resourceGroup", machine.id.resource_group()},
                               {"subscriptionId", subscription},
                               {"subscriptionDisplayName", "Merlon"}});
  }
  return found;
}

}  // namespace

void add_associated_route(Platform& platform) {
  Route route;
  route.method = "POST";
  route.path =
      "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/"
      "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}/listAssociatedResources";
  route.permission = "Microsoft.ManagedIdentity/userAssignedIdentities/listAssociatedResources/action";
  route.summary = "The machines that the identity is assigned to";
  route.read = [&platform](const Call& call, store::Reader& reader) -> Result<net::Response> {
    for (const std::string unknown : {"$filter", "$orderby", "$skiptoken"})
      if (call.request.query.find(unknown) != nullptr)
        return bad_query("'" + unknown + "' is not served here: all are listed at once, by id.", unknown);
    const size_t skip = TRY(number_at(call, "$skip", 0));
    const size_t top = TRY(number_at(call, "$top", std::numeric_limits<size_t>::max()));
    const JsonArray all = TRY(associated(platform, call, reader));
    JsonArray page;
    for (size_t i = skip; i < all.size() && page.size() < top; ++i) page.push_back(all[i]);
    return resource::json_response(
        200, {{"totalCount", static_cast<int64_t>(all.size())}, {"value", std::move(page)}});
  };
  platform.resources.add(std::move(route));
}

}  // namespace merlon::managed_identity
