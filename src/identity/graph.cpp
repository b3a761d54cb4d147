// How a Graph request is answered: who, which row, may they, is the body right, do it, enter it, answer.
#include "identity/graph.h"

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "identity/reply.h"
#include "identity/second_factor_sign_in.h"
#include "identity/sign_in_error.h"
#include "identity/step_up_error.h"

namespace merlon::identity {
namespace {

std::optional<std::vector<std::string>> match(std::string_view pattern,
                                              const std::vector<std::string>& segments) {
  const auto parts = split(pattern, '/');
  if (parts.size() != segments.size()) return std::nullopt;
  std::vector<std::string> arguments;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].starts_with('{'))
      arguments.push_back(segments[i]);
    else if (!ascii_iequal(parts[i], segments[i]))
      return std::nullopt;
  }
  return arguments;
}

// OData's other way to name one of a set (Protocol 4.01, section 4.3): users('ada@example.org') is
// users/ada@example.org. az writes it for names that begin with a dollar sign.
std::vector<std::string> without_parentheses(const std::vector<std::string>& segments) {
  std::vector<std::string> parts;
  for (const std::string& segment : segments) {
    const size_t open = segment.find("('");
    if (open == std::string::npos || open == 0 || !segment.ends_with("')") || segment.size() < open + 4) {
      parts.push_back(segment);
      continue;
    }
    parts.push_back(segment.substr(0, open));
    parts.push_back(segment.substr(open + 2, segment.size() - open - 4));
  }
  return parts;
}

// $select of one object; lists have done theirs already.
Result<JsonObject> only_selected(const GraphCall& call, JsonObject body) {
  if (call.request.method != "GET" || body.contains("value")) return body;
  const GraphQuery query = TRY(call.query());
  JsonObject chosen;
  for (const char* annotation : {"@odata.context", "@odata.type"})
    if (const Json* value = body.if_contains(annotation)) chosen[annotation] = *value;
  for (const auto& [name, value] : selected(body, query.select)) chosen[name] = value;
  return chosen;
}

constexpr Duration kFresh = std::chrono::minutes(15);

std::unexpected<Error> denied() {
  return fail(
      ErrorKind::forbidden, "Authorization_RequestDenied",
      "Insufficient privileges to complete the operation. Ask a Global Administrator of this directory.");
}

// Graph has codes of its own for what the rooms below report.
std::string_view graph_code(const Error& error) {
  switch (error.kind) {
    case ErrorKind::internal:
      return "generalException";
    case ErrorKind::unavailable:
      return "serviceNotAvailable";
    case ErrorKind::unauthenticated:
      return is_step_up(error) ? std::string_view(error.code) : "InvalidAuthenticationToken";
    case ErrorKind::too_large:
      return "Request_BadRequest";
    case ErrorKind::invalid:
      return error.code.starts_with("Request_") ? std::string_view(error.code) : "Request_BadRequest";
    default:
      return error.code;
  }
}

net::Response error_response(const Error& error, const net::Request& request, Timestamp now,
                             std::string_view authorization_uri) {
  if (error.kind == ErrorKind::internal)
    log_error("a Graph request failed", error, {{"requestId", request.request_id}});
  JsonObject body{{"code", graph_code(error)},
                  {"message", error.message},
                  {"innerError", JsonObject{{"date", to_rfc3339(now)},
                                            {"request-id", request.request_id},
                                            {"client-request-id", correlation_id(request)}}}};
  if (!error.target.empty()) body["target"] = error.target;
  net::Response response = json_reply(net::http_status(error.kind), {{"error", std::move(body)}});
  if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::throttled)
    response.headers.set("Retry-After", "2");
  if (error.kind == ErrorKind::unauthenticated)
    response.headers.set("WWW-Authenticate", step_up_challenge(error, now, authorization_uri)
                                                 .value_or("Bearer realm=\"\", error=\"invalid_token\""));
  return response;
}

}  // namespace

Result<Uuid> GraphCall::id_argument(size_t index) const {
  if (const auto id = Uuid::parse(arguments.at(index))) return *id;
  return fail(ErrorKind::not_found, "Request_ResourceNotFound",
              "Resource '" + arguments.at(index).substr(0, 100) +
                  "' does not exist or one of its queried reference-property objects are not present.");
}

Result<GraphQuery> GraphCall::query() const {
  GraphQuery parsed = TRY(parse_graph_query(request.query));
  parsed.count = parsed.count || counts;
  return parsed;
}

net::Response Graph::handle(const net::Request& request, const std::string& origin,
                            const std::vector<std::string>& segments) {
  auto response = answer(request, origin, segments);
  if (!response)
    return error_response(response.error(), request, clock_.now(), origin + "/" + directory_.tenant().text());
  return *std::move(response);
}

void Graph::note_denial(const net::Request& request, const Error& error, const Principal* principal,
                        std::string_view action) {
  ledger::Entry entry;
  entry.time = clock_.now();
  entry.actor =
      principal != nullptr
          ? principal->actor()
          : ledger::Actor{.kind = "Anonymous", .object_id = {}, .name = {}, .address = request.peer.text()};
  entry.action = action.empty() ? std::string("microsoft.directory/standard/read") : std::string(action);
  entry.resource = "/tenants/" + directory_.tenant().text();
  entry.decision = ledger::Decision::denied;
  entry.reason = error.code;
  entry.request_id = request.request_id;
  entry.correlation_id = correlation_id(request);
  ledger_.note_denial(entry);
}

Result<net::Response> Graph::answer(const net::Request& request, const std::string& origin,
                                    const std::vector<std::string>& segments) {
  const std::vector<std::string> parts = without_parentheses(segments);
  const GraphRoute* route = nullptr;
  bool path_exists = false;
  GraphCall call{.request = request,
                 .origin = origin,
                 .directory = directory_,
                 .issuer = issuer_,
                 .clock = clock_,
                 .random = random_,
                 .domain = issuer_.domain(),
                 .principal = {},
                 .reads_directory = false,
                 .administrator = false,
                 .owned = {},
                 .pattern = {},
                 .counts = false,
                 .arguments = {},
                 .body = {},
                 .prepared = {},
                 .password_hash = {}};
  for (const GraphRoute& candidate : graph_routes()) {
    auto arguments = match(candidate.pattern, parts);
    if (!arguments) continue;
    path_exists = true;
    if (candidate.method != request.method) continue;
    route = &candidate;
    call.pattern = candidate.pattern;
    call.counts = candidate.counts;
    call.arguments = *std::move(arguments);
    break;
  }
  const std::string_view action = route == nullptr ? std::string_view() : route->action;
  auto principal = store::read_value<Principal>(store_, [&](store::Reader& reader) {
    return issuer_.authenticate(reader, request.headers.value_or("Authorization", ""), request.peer,
                                Api::graph);
  });
  if (!principal) {
    if (principal.error().kind == ErrorKind::unauthenticated)
      note_denial(request, principal.error(), nullptr, action);
    return std::unexpected(std::move(principal).error());
  }
  call.principal = *std::move(principal);
  if (route == nullptr)
    return path_exists
               ? fail(ErrorKind::method_not_allowed, "Request_BadRequest",
                      "The method " + request.method + " is not allowed here.")
               : fail(ErrorKind::not_found, "Request_ResourceNotFound",
                      "Resource not found for the segment '" +
                          (segments.empty() ? std::string() : segments.front().substr(0, 100)) + "'.");
  auto response = route->read != nullptr ? run_read(*route, call) : run_write(*route, call);
  if (!response && (response.error().kind == ErrorKind::forbidden || is_step_up(response.error())))
    note_denial(request, response.error(), &call.principal, action);
  return response;
}

Result<void> Graph::authorize(store::Reader& reader, const GraphRoute& route, GraphCall& call) {
  const Uuid& who = call.principal.object_id;
  const bool administrator =
      TRY(directory_.has_directory_role(reader, *Uuid::parse(kGlobalAdministrator), who));
  call.administrator = administrator;
  call.reads_directory =
      administrator || TRY(directory_.has_directory_role(reader, *Uuid::parse(kDirectoryReaders), who));
  if (!call.reads_directory) call.owned = TRY(directory_.owned(reader, who));
  bool allowed = false;
  switch (route.permission) {
    case GraphPermission::signed_in:
    case GraphPermission::read_self:
    case GraphPermission::write_self:
      allowed = true;
      break;
    case GraphPermission::read_directory:
      allowed = call.reads_directory;
      break;
    case GraphPermission::write_directory:
      allowed = administrator;
      break;
    case GraphPermission::write_owned:
      allowed = administrator || TRY(owns_first_argument(reader, call));
      break;
  }
  if (!allowed) return denied();
  return require_fresh(reader, route, call);
}

Result<void> Graph::require_fresh(store::Reader& reader, const GraphRoute& route, const GraphCall& call) {
  if (!route.opens_a_way() || call.principal.kind != PrincipalKind::user || !guarded_) return {};
  const bool mfa = std::ranges::find(call.principal.amr, kMfa) != call.principal.amr.end();
  if (mfa && clock_.now() - call.principal.auth_time <= kFresh) return {};
  if (!TRY(guarded_(reader))) return {};
  return std::unexpected(step_up_error("'" + std::string(route.action) + "' in the directory", kFresh, {}));
}

// An application that holds a directory role, or that acts for whoever signs in to it, is its administrators'
// alone: its owners could give it a secret and be administrators themselves, or a redirect URI at which the
// code of an administrator who follows a link arrives.
Result<bool> Graph::owns_first_argument(store::Reader& reader, const GraphCall& call) {
  const auto object = call.arguments.empty() ? std::nullopt : Uuid::parse(call.arguments.front());
  if (!object) return false;
  const auto owners = TRY(directory_.owners(reader, *object));
  if (std::ranges::find(owners, call.principal.object_id) == owners.end()) return false;
  const auto application = TRY(store::get<Application>(reader, directory_.tenant(), object->text()));
  if (!application) return true;
  const auto principal = TRY(directory_.service_principal_by_app_id(reader, application->app_id));
  if (!principal) return true;
  if (principal->acts_for_users) return false;
  for (const char* role : {kGlobalAdministrator, kDirectoryReaders})
    if (TRY(directory_.has_directory_role(reader, *Uuid::parse(role), principal->id))) return false;
  return true;
}

Result<net::Response> Graph::run_read(const GraphRoute& route, GraphCall& call) {
  const JsonObject body =
      TRY(store::read_value<JsonObject>(store_, [&](store::Reader& reader) -> Result<JsonObject> {
        TRY(authorize(reader, route, call));
        TRY(read_body(reader, route, call));
        return only_selected(call, TRY(route.read(call, reader)));
      }));
  if (!route.counts) return json_reply(200, body);
  net::Response response;
  response.headers.set("Content-Type", "text/plain");
  response.body = to_text(body.at("@odata.count"));
  return response;
}

Result<void> Graph::read_body(store::Reader& reader, const GraphRoute& route, GraphCall& call) {
  static_cast<void>(reader);
  if (route.shape == nullptr) return {};
  const JsonObject document = TRY(parse_json_object(call.request.body));
  call.body = TRY(schema::conform(route.shape(), document));
  return {};
}

Result<void> Graph::hash_password(GraphCall& call, const std::string& user_principal_name) {
  const auto text = string_at(call.body, "passwordProfile.password");
  if (!text) return {};
  if (const auto weakness = password_weakness(*text, user_principal_name))
    return fail(
        ErrorKind::invalid, "Request_BadRequest",
        "The specified password does not comply with password complexity requirements: it " + *weakness + ".",
        "passwordProfile");
  call.password_hash = TRY(passwords_.hash(Secret(*text)));
  return {};
}

Result<net::Response> Graph::run_write(const GraphRoute& route, GraphCall& call) {
  // Checked once here, so that nobody makes us hash a password without the right to set one, and again where
  // it counts.
  std::string name;
  TRY(store_.read([&](store::Reader& reader) -> Result<void> {
    TRY(authorize(reader, route, call));
    TRY(read_body(reader, route, call));
    name = string_at(call.body, "userPrincipalName").value_or(std::string());
    const auto id = call.arguments.empty() ? std::nullopt : Uuid::parse(call.arguments.front());
    const auto user =
        id ? TRY(store::get<User>(reader, directory_.tenant(), id->text())) : std::optional<User>();
    if (name.empty() && user) name = user->user_principal_name;
    return {};
  }));
  TRY(hash_password(call, name));
  if (route.prepare != nullptr) call.prepared = TRY(route.prepare(call));
  const auto outcome =
      TRY(store::write_value<GraphOutcome>(store_, [&](store::Transaction& tx) -> Result<GraphOutcome> {
        TRY(authorize(tx, route, call));
        GraphOutcome made = TRY(route.write(call, tx));
        ledger::Entry entry;
        entry.time = clock_.now();
        entry.actor = call.principal.actor();
        entry.action = made.action.empty() ? std::string(route.action) : made.action;
        entry.resource = "/tenants/" + directory_.tenant().text() + "/" + made.resource;
        entry.decision = ledger::Decision::allowed;
        entry.reason = call.administrator                                 ? "Global Administrator"
                       : route.permission == GraphPermission::write_owned ? "owner"
                                                                          : "their own";
        entry.request_id = call.request.request_id;
        entry.correlation_id = correlation_id(call.request);
        entry.details = made.details;
        TRY(ledger_.append(tx, entry));
        return made;
      }));
  return outcome.status == 204 ? empty_reply(204) : json_reply(outcome.status, outcome.body);
}

}  // namespace merlon::identity
