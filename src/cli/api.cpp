// Requests, lists, and finding things by name.
#include "cli/api.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/server_error.h"

namespace merlon::cli {
namespace {

constexpr int kPagesMax = 10'000;

std::string target_of(const std::string& path, std::string_view version, const std::string& query) {
  std::string target = path;
  char separator = '?';
  if (!version.empty()) {
    target += "?api-version=" + std::string(version);
    separator = '&';
  }
  if (!query.empty()) target += separator + query;
  return target;
}

// A link that a server gives is followed on that server alone: the token goes with it.
Result<std::string> own_target(const std::string& link, const std::string& endpoint) {
  const auto url = net::parse_https_url(link);
  const auto own = net::parse_https_url(endpoint);
  if (!url || !own || url->host != own->host || url->port != own->port)
    return fail(
        ErrorKind::internal, "ForeignLink",
        "The server's list goes on at '" + link + "', which is not the server. Nothing was sent there.");
  return url->target;
}

}  // namespace

Result<Api> Api::open(const Context& context) {
  Login login = TRY(current_login(context));
  auto client = TRY(make_client(login.endpoint, login.authorities_pem));
  return Api(std::make_unique<Session>(context, std::move(login), std::move(client)));
}

Result<Answer> Api::call(std::string method, const std::string& target, const JsonObject* body,
                         const net::Headers& headers) {
  net::ClientRequest request;
  request.method = std::move(method);
  request.target = target;
  request.headers = headers;
  request.headers.set("Accept", "application/json");
  if (body != nullptr) {
    request.headers.set("Content-Type", "application/json");
    request.body = to_text(*body);
  }
  const net::Response response = TRY(session_->send(std::move(request)));
  if (response.status < 200 || response.status > 299) return std::unexpected(error_of(response));
  Answer answer;
  answer.status = response.status;
  answer.etag = response.headers.value_or("ETag", "");
  if (trim(response.body).empty()) return answer;
  auto json = parse_json_object(response.body, {.bytes_max = 64 * 1024 * 1024, .depth_max = 64});
  if (!json)
    return fail(ErrorKind::internal, "AnswerNotUnderstood",
                "The answer of " + session_->login().endpoint + " is not JSON (" + json.error().message +
                    "). Is it Merlon?");
  answer.body = *std::move(json);
  return answer;
}

Result<Answer> Api::get(const std::string& path, std::string_view version, const std::string& query) {
  return call("GET", target_of(path, version, query), nullptr);
}

Result<Answer> Api::put(const std::string& path, std::string_view version, const JsonObject& body,
                        const net::Headers& headers) {
  return call("PUT", target_of(path, version, {}), &body, headers);
}

Result<Answer> Api::post(const std::string& path, std::string_view version, const JsonObject& body) {
  return call("POST", target_of(path, version, {}), &body);
}

Result<Answer> Api::patch(const std::string& path, std::string_view version, const JsonObject& body) {
  return call("PATCH", target_of(path, version, {}), &body);
}

Result<Answer> Api::remove(const std::string& path, std::string_view version) {
  return call("DELETE", target_of(path, version, {}), nullptr);
}

Result<JsonObject> Api::list(const std::string& path, std::string_view version, const std::string& query) {
  JsonArray all;
  std::string target = target_of(path, version, query);
  for (int page = 0; page < kPagesMax; ++page) {
    Answer answer = TRY(call("GET", target, nullptr));
    if (Json* values = answer.body.if_contains("value"); values != nullptr && values->is_array())
      for (Json& value : values->get_array())
        if (value.is_object()) all.push_back(std::move(value));
    auto next = string_at(answer.body, "nextLink");
    if (!next) {
      // A key with a dot of its own: no path.
      const Json* link = answer.body.if_contains("@odata.nextLink");
      if (link != nullptr && link->is_string()) next = std::string(link->get_string());
    }
    if (!next || next->empty()) return JsonObject{{"value", std::move(all)}};
    target = TRY(own_target(*next, session_->login().endpoint));
  }
  return fail(ErrorKind::internal, "EndlessList", "The list at " + path + " has no end. Nothing was shown.");
}

Result<net::Response> Api::raw(const std::string& path, std::string_view version, const std::string& query) {
  net::ClientRequest request;
  request.target = target_of(path, version, query);
  request.timeout = std::chrono::minutes(10);
  net::Response response = TRY(session_->send(std::move(request)));
  if (response.status < 200 || response.status > 299) return std::unexpected(error_of(response));
  return response;
}

Result<std::string> Api::subscription_id() {
  if (!subscription_id_.empty()) return subscription_id_;
  const JsonObject answer = TRY(list("/subscriptions", kResourcesVersion));
  const JsonArray& values = answer.at("value").get_array();
  if (values.empty())
    return fail(
        ErrorKind::forbidden, "NoSubscription",
        "You have no role anywhere in the subscription. An owner gives you one with 'merlon role assign'.");
  if (values.size() > 1)
    return fail(ErrorKind::conflict, "SeveralSubscriptions",
                "The server shows several subscriptions; this program works with one.");
  const std::string id = text_at(values.front().get_object(), "subscriptionId");
  subscription_id_ = "/subscriptions/" + part(id);
  return subscription_id_;
}

Result<std::string> Api::group_id(const std::string& resource_group) {
  return TRY(subscription_id()) + "/resourceGroups/" + part(resource_group);
}

Result<JsonObject> Api::machines(const std::string& resource_group) {
  const std::string scope = resource_group.empty() ? TRY(subscription_id()) : TRY(group_id(resource_group));
  return list(scope + "/providers/Merlon.Machines/machines", kMerlonVersion);
}

Result<MachineName> Api::machine(const std::string& name, const std::string& resource_group) {
  MachineName found;
  found.name = name;
  found.group = resource_group;
  if (resource_group.empty()) {
    auto known = machines({});
    if (!known && known.error().kind == ErrorKind::forbidden)
      return fail(ErrorKind::forbidden, known.error().code,
                  "You may not list the machines of the whole subscription. Name the resource group of '" +
                      name + "' with --resource-group.");
    const JsonObject answer = TRY(std::move(known));
    std::vector<std::string> groups;
    for (const Json& value : answer.at("value").get_array()) {
      const JsonObject& json = value.get_object();
      if (!ascii_iequal(text_at(json, "name"), name)) continue;
      found.name = text_at(json, "name");
      groups.push_back(group_in(text_at(json, "id")));
    }
    if (groups.empty())
      return fail(ErrorKind::not_found, "MachineNotFound",
                  "No machine named '" + name + "' is enrolled. 'merlon machine list' shows what is.");
    if (groups.size() > 1)
      return wrong_usage("Several machines are named '" + name + "', in the resource groups " +
                         join(groups, ", ") + ". Say which with --resource-group.");
    found.group = groups.front();
  }
  found.group_id = TRY(group_id(found.group));
  found.machine_id = found.group_id + "/providers/Merlon.Machines/machines/" + part(found.name);
  found.vm_id = found.group_id + "/providers/Microsoft.Compute/virtualMachines/" + part(found.name);
  return found;
}

std::string part(std::string_view name) { return net::percent_encode(name); }

Result<std::string> scope_path(const std::string& scope) {
  if (!scope.starts_with('/'))
    return wrong_usage(
        "'" + scope +
        "' is not a scope. A scope is / or the id of a subscription, a resource group or a resource, "
        "such as /subscriptions/ID/resourceGroups/web.");
  std::string path;
  for (const std::string_view piece : split(scope, '/'))
    if (!piece.empty()) path += "/" + part(piece);
  return path;
}

std::string quoted_term(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) quoted += c == '\'' ? "''" : std::string(1, c);
  return net::percent_encode(quoted + "'");
}

}  // namespace merlon::cli
