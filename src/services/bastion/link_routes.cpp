// Azure's four operations on shareable links. Making them answers at once with 200, which Azure's
// specification has beside 202: the result of a long operation is stored as it is, and what a link says is a
// secret.
#include "base/text.h"
#include "resource/permitted.h"
#include "services/bastion/routes.h"
#include "services/bastion/shapes.h"
#include "services/bastion/tokens.h"

namespace merlon::bastion {
namespace {

using resource::Route;
using resource::WriteContext;

std::vector<std::string> machines_in(const JsonObject& body) {
  std::vector<std::string> machines;
  if (const JsonArray* named = array_at(body, "vms"))
    for (const Json& element : *named)
      machines.push_back(string_at(element.as_object(), "vm.id").value_or(""));
  return machines;
}

Route link_route(const std::string& action, std::string summary, schema::Shape body) {
  Route route;
  route.method = "POST";
  route.path = kHostPath + "/" + action;
  route.permission = "Microsoft.Network/bastionHosts/" + action + "/action";
  route.summary = std::move(summary);
  route.body = std::move(body);
  return route;
}

Result<net::Response> create(Service& service, WriteContext& context) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  return resource::json_response(200, {{"value", TRY(service.make_links(context, host))}});
}

// Whoever may not see a machine is not shown the way to it.
Result<net::Response> list(Service& service, WriteContext& context) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  JsonArray value;
  for (const Link& link : TRY(service.links(context.tx, host.id, machines_in(context.call.body))))
    if (TRY(resource::permitted(context.core, context.tx, context.call.principal, kMachineRead,
                                link.target_text)))
      value.push_back(TRY(service.link_json(host, link)));
  context.details = {{"links", value.size()}};
  return resource::json_response(200, {{"value", std::move(value)}});
}

Result<net::Response> done(resource::Manager& resources, WriteContext& context, const Host& host,
                           size_t deleted) {
  context.details = {{"links", deleted}};
  return resources.accepted(context.call, TRY(resources.start_operation(context, host.id, "Succeeded", {})));
}

Result<net::Response> remove(resource::Manager& resources, Service& service, WriteContext& context) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  const std::vector<std::string> machines = machines_in(context.call.body);
  if (machines.empty())
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "Name the machines whose links are to be deleted.", "vms");
  const auto links = TRY(service.links(context.tx, host.id, machines));
  for (const Link& link : links) TRY(service.delete_link(context, link, "Deleted"));
  return done(resources, context, host, links.size());
}

// A token may also be the link's id, for who is not shown the token.
Result<net::Response> remove_by_token(resource::Manager& resources, Service& service, WriteContext& context) {
  const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
  size_t deleted = 0;
  for (const Json& element : *array_at(context.call.body, "tokens")) {
    const std::string token(element.as_string());
    const auto id = Uuid::parse(token);
    const auto link = id ? TRY(store::get<Link>(context.tx, context.core.tenant, id->text()))
                         : TRY(service.link_by_token(context.tx, token));
    if (!link || link->bastion != host.id.key()) continue;
    TRY(service.delete_link(context, *link, "Deleted"));
    ++deleted;
  }
  return done(resources, context, host, deleted);
}

}  // namespace

void add_link_routes(resource::Manager& resources, Service& service) {
  Route make = link_route("createShareableLinks", "Links to machines, for whoever has them", links_shape());
  make.write = [&service](WriteContext& context) { return create(service, context); };
  resources.add(std::move(make));
  Route shown = link_route("getShareableLinks", "The links to machines through a bastion", machines_shape());
  shown.passes_locks_because = "It only asks.";
  shown.write = [&service](WriteContext& context) { return list(service, context); };
  resources.add(std::move(shown));
  Route gone = link_route("deleteShareableLinks", "No links to these machines any more", machines_shape());
  gone.passes_locks_because = "It only takes access away.";
  gone.write = [&resources, &service](WriteContext& context) { return remove(resources, service, context); };
  resources.add(std::move(gone));
  Route named = link_route("deleteShareableLinksByToken", "These links no more", tokens_shape());
  named.passes_locks_because = "It only takes access away.";
  named.write = [&resources, &service](WriteContext& context) {
    return remove_by_token(resources, service, context);
  };
  resources.add(std::move(named));
}

}  // namespace merlon::bastion
