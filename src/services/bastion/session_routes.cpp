// Active sessions, as Azure shows and disconnects them; and under Merlon.Bastion what is known of each, ended
// ones too.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "resource/paging.h"
#include "services/bastion/routes.h"
#include "services/bastion/shapes.h"

namespace merlon::bastion {
namespace {

using resource::Call;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;

constexpr size_t kListed = 200;

// BastionActiveSession (bastionHost.json).
JsonObject active_session_json(const Session& session, Timestamp now) {
  const auto target = ResourceId::parse(session.target_text);
  const auto minutes = std::chrono::floor<std::chrono::minutes>(now - session.start).count();
  return {{"sessionId", session.id.text()},
          {"startTime", to_rfc3339(session.start)},
          {"targetSubscriptionId", target ? target->subscription() : std::string()},
          {"resourceType", target ? target->type() : std::string()},
          {"targetHostName", session.target_name},
          {"targetResourceGroup", target ? target->resource_group() : std::string()},
          {"userName", session.person_name},
          {"targetIpAddress", session.address.text()},
          {"protocol", protocol_text(session.protocol)},
          {"targetResourceId", session.target_text},
          {"sessionDurationInMins", static_cast<double>(minutes)}};
}

Route active_route(resource::Manager& resources, Service& service) {
  Route route;
  route.method = "POST";
  route.path = kHostPath + "/getActiveSessions";
  route.permission = "Microsoft.Network/bastionHosts/getactivesessions/action";
  route.summary = "The sessions that run through a bastion now";
  route.write = [&resources, &service](WriteContext& context) -> Result<net::Response> {
    const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
    JsonArray value;
    for (const Session& session : TRY(service.active_sessions(context.tx, host.id)))
      value.push_back(active_session_json(session, context.call.now));
    context.details = {{"sessions", value.size()}};
    const auto operation =
        TRY(resources.start_operation(context, host.id, "Succeeded", {{"value", std::move(value)}}));
    return resources.accepted(context.call, operation);
  };
  return route;
}

// One that is not there is said so, beside those that are.
Result<JsonObject> disconnect_one(Service& service, WriteContext& context, const Host& host,
                                  const std::string& text) {
  JsonObject state = {{"sessionId", text}};
  const auto id = Uuid::parse(text);
  const auto session =
      id ? TRY(store::get<Session>(context.tx, context.core.tenant, id->text())) : std::nullopt;
  if (!session || session->bastion != host.id.key() || session->ended) {
    state["message"] = "The bastion has no such session.";
    state["state"] = "Failed";
    return state;
  }
  TRY(service.disconnect(context, *id, "Disconnected"));
  TRY(context.record(kKillAction, session->target_text,
                     {{"session", session->id.text()},
                      {"bastion", session->bastion_text},
                      {"user", session->person_name},
                      {"userId", session->person.text()}}));
  state["message"] = "The session is being disconnected.";
  state["state"] = "Disconnected";
  return state;
}

Route disconnect_route(Service& service) {
  Route route;
  route.method = "POST";
  route.path = kHostPath + "/disconnectActiveSessions";
  route.permission = "Microsoft.Network/bastionHosts/disconnectactivesessions/action";
  route.passes_locks_because = "It only takes access away.";
  route.summary = "End sessions that run through a bastion";
  route.body = session_ids_shape();
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    const Host host = TRY(service.host(context.tx, TRY(host_in(context.call))));
    JsonArray value;
    for (const Json& id : *array_at(context.call.body, "sessionIds"))
      value.push_back(TRY(disconnect_one(service, context, host, std::string(id.as_string()))));
    return resource::json_response(200, {{"value", std::move(value)}});
  };
  return route;
}

Route list_route(Service& service) {
  Route route;
  route.method = "GET";
  route.path = kHostPath + "/providers/Merlon.Bastion/sessions";
  route.checked_at = kHostPath;
  route.permission = "Merlon.Bastion/sessions/read";
  route.summary = "Sessions through a bastion, newest first, those that have ended too";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const Host host = TRY(service.host(reader, TRY(host_in(call))));
    resource::Page page = TRY(resource::page_of(call, kListed));
    store::Range range{.prefix = host.id.key() + "\n",
                       .after = {},
                       .after_key = {},
                       .limit = std::min(page.top, kListed) + 1,
                       .descending = true};
    const auto parts = split(page.after, '|');
    if (parts.size() == 2) {
      range.after = host.id.key() + "\n" + std::string(parts[0]);
      range.after_key = parts[1];
    }
    auto rows = TRY(reader.scan_index(Session::table(), call.tenant, "bastion", range));
    std::string next;
    if (rows.size() == range.limit) {
      rows.pop_back();
      next = resource::next_link(call,
                                 rows.back().value.substr(range.prefix.size()) + "|" + rows.back().row.key);
    }
    std::vector<std::string> values;
    for (const store::IndexedRow& row : rows)
      values.push_back(to_text(session_json(TRY(store::decode<Session>(row.row)), call.now)));
    return resource::text_response(200, resource::list_text(values, next));
  };
  return route;
}

Route show_route(Service& service) {
  Route route;
  route.method = "GET";
  route.path = kHostPath + "/providers/Merlon.Bastion/sessions/{sessionId}";
  route.checked_at = kHostPath;
  route.permission = "Merlon.Bastion/sessions/read";
  route.summary = "One session: who, to which machine, since when, until when, and how it ended";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const Host host = TRY(service.host(reader, TRY(host_in(call))));
    const auto session =
        TRY(store::get<Session>(reader, call.tenant, ascii_lower(call.parameter("sessionId"))));
    if (session && session->bastion == host.id.key())
      return resource::json_response(200, session_json(*session, call.now));
    return fail(ErrorKind::not_found, "ResourceNotFound",
                fmt::format("The bastion '{}' has no session '{}'.", host.id.name(),
                            call.parameter("sessionId").substr(0, 100)));
  };
  return route;
}

}  // namespace

void add_session_routes(resource::Manager& resources, Service& service) {
  resources.add(active_route(resources, service));
  resources.add(disconnect_route(service));
  resources.add(list_route(service));
  resources.add(show_route(service));
}

}  // namespace merlon::bastion
