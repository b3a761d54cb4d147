// Tokens, one for each connection (contract: POST and DELETE /api/tokens, /webtunnelv2).
#include "cli/bastion_tunnel.h"

#include "base/text.h"
#include "cli/output.h"
#include "cli/server_error.h"

namespace merlon::cli {
namespace {

std::string form_of(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string form;
  for (const auto& [name, value] : fields)
    form += (form.empty() ? "" : "&") + name + "=" + net::percent_encode(value);
  return form;
}

Error refusal(const net::Response& response) {
  Error error;
  error.kind = response.status == 404 ? ErrorKind::not_found : ErrorKind::forbidden;
  const auto json = parse_json_object(response.body);
  error.code = json ? text_at(*json, "code") : std::string();
  error.message = json ? text_at(*json, "message") : std::string();
  if (error.message.empty())
    error.message = "The bastion answered with status " + std::to_string(response.status) + ".";
  return error;
}

}  // namespace

struct Tunnels::State {
  std::mutex mutex;
  std::unique_ptr<Api> api;
  std::unique_ptr<net::Client> client;
  net::TunnelTarget target;
  std::string machine_id;
  uint16_t port = 0;
  bool developer = false;
};

Result<JsonObject> bastions(Api& api) {
  return api.list(TRY(api.subscription_id()) + "/providers/Microsoft.Network/bastionHosts", kBastionVersion);
}

Result<JsonObject> bastion_named(Api& api, const std::string& name) {
  const JsonObject all = TRY(bastions(api));
  for (const Json& value : all.at("value").get_array()) {
    const JsonObject& host = value.get_object();
    if (ascii_iequal(text_at(host, "name"), name) || ascii_iequal(text_at(host, "id"), name)) return host;
  }
  return fail(ErrorKind::not_found, "BastionNotFound",
              "There is no bastion '" + name + "' that you may see. 'merlon bastion list' shows them.");
}

Result<JsonObject> bastion_or_only(Api& api, const std::string& name) {
  if (!name.empty()) return bastion_named(api, name);
  const JsonObject all = TRY(bastions(api));
  const JsonArray& hosts = all.at("value").get_array();
  if (hosts.size() == 1) return hosts.front().as_object();
  if (hosts.empty())
    return fail(ErrorKind::not_found, "BastionNotFound",
                "There is no bastion that you may use. 'merlon bastion create' makes one.");
  return wrong_usage(
      "There are several bastions; name one with --bastion. 'merlon bastion list' shows them.");
}

Result<Tunnels> Tunnels::make(const Context& context, const TunnelWish& wish) {
  auto state = std::make_shared<State>();
  state->api = std::make_unique<Api>(TRY(Api::open(context)));
  Api& api = *state->api;
  const JsonObject host = TRY(bastion_or_only(api, wish.bastion));
  state->machine_id = wish.machine.starts_with('/')
                          ? wish.machine
                          : TRY(api.machine(wish.machine, wish.resource_group)).vm_id;
  state->port = wish.port;
  state->developer = text_at(host, "sku.name") == "Developer";
  const net::Url url = TRY(net::parse_https_url("https://" + text_at(host, "properties.dnsName")));
  const net::Url server = TRY(net::parse_https_url(api.session().login().endpoint));
  // No name service needs to know the bastion: it is where the server is.
  state->target = {.host = server.host,
                   .port = server.port,
                   .server_name = url.host,
                   .authorities_pem = api.session().login().authorities_pem,
                   .path = {},
                   .token = {}};
  net::ClientParameters parameters;
  parameters.host = server.host;
  parameters.port = server.port;
  parameters.server_name = url.host;
  parameters.authorities_pem = state->target.authorities_pem;
  state->client = net::Client::make(std::move(parameters));
  return Tunnels(std::move(state));
}

const std::string& Tunnels::machine_id() const { return state_->machine_id; }

Result<JsonObject> Tunnels::ask_tokens() {
  const std::lock_guard lock(state_->mutex);
  const Secret token = TRY(state_->api->session().access_token());
  net::ClientRequest request;
  request.method = "POST";
  request.target = "/api/tokens";
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.body = form_of({{"resourceId", state_->machine_id},
                          {"protocol", "tcptunnel"},
                          {"workloadHostPort", std::to_string(state_->port)},
                          {"aztoken", std::string(token.expose_text())}});
  const net::Response response = TRY(state_->client->send(request));
  if (response.status != 200) return std::unexpected(refusal(response));
  return parse_json_object(response.body);
}

Result<bool> Tunnels::ends_ssh() { return text_at(TRY(ask_tokens()), "sshEndsAt") == "bastion"; }

Result<net::TunnelTarget> Tunnels::open() {
  const JsonObject answer = TRY(ask_tokens());
  net::TunnelTarget target = state_->target;
  target.token = TRY(require_string(answer, "authToken"));
  const std::string once = net::percent_encode(TRY(require_string(answer, "websocketToken")));
  target.path = state_->developer
                    ? "/omni/webtunnel/" + once
                    : "/webtunnelv2/" + once + "?X-Node-Id=" + net::percent_encode(text_at(answer, "nodeId"));
  return target;
}

Result<std::string> Tunnels::rdp_file() {
  const std::lock_guard lock(state_->mutex);
  const Secret token = TRY(state_->api->session().access_token());
  net::ClientRequest request;
  request.method = "GET";
  request.target = "/api/rdpfile?format=rdp&resourceId=" + net::percent_encode(state_->machine_id) +
                   "&rdpport=" + std::to_string(state_->port);
  request.headers.set("Authorization", "Bearer " + std::string(token.expose_text()));
  net::Response response = TRY(state_->client->send(request));
  if (response.status != 200) return std::unexpected(refusal(response));
  return std::move(response.body);
}

void Tunnels::close(const net::TunnelTarget& target) {
  const std::lock_guard lock(state_->mutex);
  net::ClientRequest request;
  request.method = "DELETE";
  request.target = "/api/tokens/" + net::percent_encode(target.token);
  [[maybe_unused]] const auto answer = state_->client->send(request);
}

}  // namespace merlon::cli
