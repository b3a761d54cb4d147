// merlon status, and merlon cloud-config for Azure's own command line.
#include <ostream>

#include "base/bytes.h"
#include "base/text.h"
#include "base/time_text.h"
#include "cli/jit_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct NoOptions {};

// The claims of our own token, to say who we are. Not verified: the server that it is for does that.
JsonObject claims_of(const Secret& token) {
  const auto parts = split(token.expose_text(), '.');
  if (parts.size() != 3) return {};
  const auto payload = from_base64url(parts[1]);
  if (!payload) return {};
  return parse_json_object(as_text(*payload)).value_or(JsonObject());
}

std::string who(const Login& login, const JsonObject& claims) {
  std::string name = text_at(claims, "upn");
  if (name.empty()) name = login.is_person() ? login.username : "application " + login.client_id;
  return name + " (object id " + text_at(claims, "oid") + ")";
}

std::string connected_text(const JsonArray& machines) {
  size_t connected = 0, enforcing = 0;
  for (const Json& machine : machines) {
    if (text_at(machine.get_object(), "properties.status") == "Connected") ++connected;
    if (text_at(machine.get_object(), "properties.appliedMode") == "enforce") ++enforcing;
  }
  return std::to_string(machines.size()) + " enrolled, " + std::to_string(connected) + " connected, " +
         std::to_string(enforcing) + " enforcing";
}

std::string doors_text(const JsonArray& doors, Timestamp now) {
  std::string text = doors.empty() ? "none" : "";
  for (const Json& value : doors) {
    const JsonObject& door = value.get_object();
    const auto ends = from_rfc3339(text_at(door, "properties.endTimeUtc"));
    if (!text.empty()) text += "; ";
    text += last_segment(text_at(door, "properties.virtualMachineId")) + " port " +
            text_at(door, "properties.port") + " for " + joined_at(door, "properties.sources");
    if (ends) text += ", " + to_human_duration(*ends - now) + " left";
  }
  return text;
}

Result<int> status(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const Login& login = api.session().login();
  net::ClientRequest health;
  health.target = "/healthz";
  const net::Response alive = TRY(api.session().send_anonymous(health));
  const JsonObject claims = claims_of(TRY(api.session().access_token()));
  JsonObject answer = {{"endpoint", login.endpoint},
                       {"healthy", alive.status == 200},
                       {"tenantId", login.tenant},
                       {"objectId", text_at(claims, "oid")}};
  // What one may not see is no reason to say nothing.
  const auto machines = api.machines({});
  const auto doors = openings(api, {});
  // Whom the server no longer knows as signed in may not see anything: that is no state of the server's.
  for (const Error* error : {machines ? nullptr : &machines.error(), doors ? nullptr : &doors.error()})
    if (error != nullptr && error->kind == ErrorKind::unauthenticated) return std::unexpected(*error);
  if (machines) answer["machines"] = machines->at("value");
  if (doors) answer["openings"] = doors->at("value");
  const auto refused = [](const Error& error) { return "not to be seen (" + error.message + ")"; };
  show(context, answer,
       facts_text({{"Server",
                    login.endpoint + (alive.status == 200 ? ", answers" : ", answers that it is not well")},
                   {"You are", who(login, claims)},
                   {"Tenant", login.tenant},
                   {"Machines",
                    machines ? connected_text(machines->at("value").get_array()) : refused(machines.error())},
                   {"Open doors", doors ? doors_text(doors->at("value").get_array(), context.clock.now())
                                        : refused(doors.error())}}));
  return alive.status == 200 ? kDone : kFailed;
}

std::string dotted(const JsonObject& cloud, const std::string& suffix) {
  const std::string text = text_at(cloud, "suffixes." + suffix);
  return text.empty() || text.starts_with('.') ? text : "." + text;
}

// What `az cloud register --cloud-config` takes. The authority ends in /adfs, since az asks
// login.microsoftonline.com about any other one that it does not know.
Result<int> cloud_config(Context& context, const NoOptions&) {
  const Login login = TRY(current_login(context));
  const auto client = TRY(make_client(login.endpoint, login.authorities_pem));
  net::ClientRequest request;
  request.target = "/metadata/endpoints?api-version=2022-09-01";
  const net::Response response = TRY(client->send(request));
  const auto json = parse_json(response.body);
  if (response.status != 200 || !json || !json->is_array() || json->get_array().empty() ||
      !json->get_array().front().is_object())
    return fail(ErrorKind::internal, "AnswerNotUnderstood",
                "The server at " + login.endpoint + " did not describe itself. Is it Merlon?");
  const JsonObject& cloud = json->get_array().front().get_object();
  const std::string root = login.endpoint + "/";
  const JsonObject config = {{"name", "merlon"},
                             {"endpoints",
                              {{"activeDirectory", login.endpoint + "/adfs"},
                               {"activeDirectoryResourceId", root},
                               {"activeDirectoryGraphResourceId", root},
                               {"microsoftGraphResourceId", root},
                               {"management", root},
                               {"resourceManager", root},
                               {"gallery", login.endpoint + "/gallery/"},
                               {"vmImageAliasDoc", root}}},
                             {"suffixes",
                              {{"keyvaultDns", dotted(cloud, "keyVaultDns")},
                               {"acrLoginServerEndpoint", dotted(cloud, "acrLoginServer")},
                               {"storageEndpoint", text_at(cloud, "suffixes.storage")}}},
                             {"profile", "latest"}};
  context.out << to_pretty_text(Json(config)) << "\n";  // in either form: az reads it
  return kDone;
}

}  // namespace

std::vector<Command> status_commands() {
  return {make_command("status", "Is the server there, who am I, which machines are enrolled, what is open",
                       "merlon status", status, [](Command&, NoOptions&) {}),
          make_command("cloud-config", "Print what Azure's command line needs to know of this server",
                       "merlon cloud-config > merlon-cloud.json\n"
                       "az cloud register -n merlon --cloud-config @merlon-cloud.json\n"
                       "az cloud set -n merlon",
                       cloud_config, [](Command&, NoOptions&) {})};
}

}  // namespace merlon::cli
