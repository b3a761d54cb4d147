// {machine}/providers/Merlon.Bastion/sshHostKeys/default: which host keys a machine shows. Whoever may write
// it decides what the bastion trusts, so it takes a right of its own, which Owners and Contributors have.
// What its agent reports is in machine_hooks.cpp.
#include "base/text.h"
#include "services/ssh/service.h"

namespace merlon::ssh_identity {
namespace {

using resource::Call;
using resource::Route;
using resource::WriteContext;

constexpr const char* kPath = "/{+scope}/providers/Merlon.Bastion/sshHostKeys/default";
constexpr int64_t kKeysOfOneHostMax = 16;

Route host_keys_route(std::string method, std::string verb, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = kPath;
  route.permission = "Merlon.Bastion/sshHostKeys/" + std::move(verb);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

schema::Shape host_keys_shape() {
  return schema::object({schema::required(
      "properties",
      schema::object({schema::required("publicKeys", schema::array_of(schema::text().with_range(1, 16 * 1024))
                                                         .with_range(0, kKeysOfOneHostMax))}))});
}

std::string machine_of(const Call& call) { return ascii_lower(call.parameter("+scope")); }

}  // namespace

Result<std::vector<std::string>> Service::host_keys(store::Reader& reader, std::string_view machine_id) {
  const auto host = TRY(store::get<KnownHost>(reader, platform_.core.tenant, ascii_lower(machine_id)));
  return host ? host->trusted() : std::vector<std::string>();
}

Result<net::Response> Service::put_host_keys(WriteContext& context) {
  const Call& call = context.call;
  const auto id = resource::ResourceId::parse(call.parameter("+scope"));
  if (!id || !ascii_iequal(id->type(), "Microsoft.Compute/virtualMachines") ||
      !TRY(platform_.resources.get(context.tx, *id)))
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "Host keys are a virtual machine's: there is none of this id.");
  KnownHost host =
      TRY(store::get<KnownHost>(context.tx, call.tenant, machine_of(call))).value_or(KnownHost());
  host.machine_id = machine_of(call);
  JsonArray before = fingerprints_of(host.trusted());
  host.given.clear();
  if (const JsonArray* keys = array_at(call.body, "properties.publicKeys"))
    for (const Json& line : *keys)
      host.given.push_back(TRY(ssh::PublicKey::from_line(line.as_string())).line());
  TRY(store::put(context.tx, call.tenant, host));
  context.details = {{"before", std::move(before)}, {"fingerprints", fingerprints_of(host.trusted())}};
  return resource::json_response(200, host.shown());
}

Result<net::Response> Service::get_host_keys(const Call& call, store::Reader& reader) {
  const auto host = TRY(store::get<KnownHost>(reader, call.tenant, machine_of(call)));
  if (!host || (host->given.empty() && host->reported.empty()))
    return fail(ErrorKind::not_found, "HostKeysNotKnown",
                "No host key of this machine is known: its agent has reported none, and nobody has given "
                "one.");
  return resource::json_response(200, host->shown());
}

void Service::declare_host_keys() {
  Route put =
      host_keys_route("PUT", "write",
                      "Sets the host keys that a machine's SSH server shows; with none, those that its "
                      "agent reports count.");
  put.body = host_keys_shape();
  put.write = [this](WriteContext& context) { return put_host_keys(context); };
  platform_.resources.add(std::move(put));
  Route get = host_keys_route("GET", "read", "Shows the host keys of a machine's SSH server.");
  get.read = [this](const Call& call, store::Reader& reader) { return get_host_keys(call, reader); };
  platform_.resources.add(std::move(get));
}

}  // namespace merlon::ssh_identity
