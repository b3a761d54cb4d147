// What Azure's questions to a network watcher have in common.
#include "services/network/watcher.h"

#include "base/text.h"
#include "resource/permitted.h"

namespace merlon::network {

using resource::Call;
using resource::ResourceId;
using resource::Route;

std::unexpected<Error> wrong_parameter(std::string_view field, const std::string& what) {
  return fail(ErrorKind::invalid, "InvalidParameter", "'" + std::string(field) + "' " + what,
              std::string(field));
}

// The answer tells about the machine: who asks must be allowed to read it.
Result<ResourceId> readable_machine(const Platform& platform, const Call& call, store::Reader& reader) {
  const std::string text = string_at(call.body, "targetResourceId").value_or("");
  const auto id = ResourceId::parse(text);
  if (!id || !ascii_iequal(id->type(), "Microsoft.Compute/virtualMachines"))
    return wrong_parameter("targetResourceId", "must be the id of a virtual machine.");
  const std::string action = "Microsoft.Compute/virtualMachines/read";
  if (!TRY(resource::permitted(platform.core, reader, call.principal, action, id->text())))
    return fail(ErrorKind::forbidden, "LinkedAuthorizationFailed",
                "The client '" + call.principal.name +
                    "' has permission to ask this network watcher, but not "
                    "to perform action '" +
                    action + "' on the linked scope '" + id->text() + "'.",
                id->text());
  return *id;
}

Result<void> require_watcher(const Platform& platform, const Call& call, store::Reader& reader) {
  if (TRY(platform.resources.get(reader, call.id))) return {};
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "The Resource '" + call.id.type() + "/" + call.id.name() + "' under resource group '" +
                  call.id.resource_group() + "' was not found.");
}

Result<IpAddress> address_in(const JsonObject& body, std::string_view field) {
  const auto address = IpAddress::parse(string_at(body, field).value_or(""));
  if (!address) return wrong_parameter(field, "must be an IP address.");
  return *address;
}

Route watcher_action(std::string action, std::string summary, schema::Shape body) {
  Route route;
  route.method = "POST";
  route.path = kNetworkPath + std::string("networkWatchers/{networkWatcherName}/") + action;
  route.permission = "Microsoft.Network/networkWatchers/" + action + "/action";
  route.summary = std::move(summary);
  route.body = std::move(body);
  return route;
}

}  // namespace merlon::network
