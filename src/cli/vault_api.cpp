// Requests to a vault.
#include "cli/vault_api.h"

#include "base/text.h"
#include "cli/output.h"
#include "cli/server_error.h"

namespace merlon::cli {
namespace {

constexpr int kPagesMax = 100'000;

// "vault.merlon.localhost:8443": what clients of Azure read it from too.
Result<std::string> vault_suffix(Api& api) {
  net::ClientRequest request;
  request.target = "/metadata/endpoints?api-version=2022-09-01";
  const net::Response answer = TRY(api.session().send_anonymous(request));
  const auto json = parse_json(answer.body);
  const Json* first =
      json && json->is_array() && !json->get_array().empty() ? &json->get_array().front() : nullptr;
  const auto suffix = first != nullptr && first->is_object()
                          ? string_at(first->get_object(), "suffixes.keyVaultDns")
                          : std::nullopt;
  if (!suffix || suffix->empty())
    return fail(ErrorKind::internal, "AnswerNotUnderstood",
                "The server does not say where its vaults are. Is it Merlon?");
  return *suffix;
}

Result<void> check_vault_name(const std::string& vault) {
  const bool plain = !vault.empty() && std::ranges::all_of(vault, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (plain) return {};
  return wrong_usage("'" + vault + "' is not the name of a vault.");
}

}  // namespace

Result<std::string> vault_host(Api& api, const std::string& vault) {
  TRY(check_vault_name(vault));
  return ascii_lower(vault) + "." + TRY(vault_suffix(api));
}

Result<VaultApi> VaultApi::open(Api& api, const std::string& vault) {
  TRY(check_vault_name(vault));
  const std::string suffix = TRY(vault_suffix(api));
  const net::Url url = TRY(net::parse_https_url("https://" + ascii_lower(vault) + "." + suffix));
  const net::Url server = TRY(net::parse_https_url(api.session().login().endpoint));
  net::ClientParameters parameters;
  // No name service needs to know the vault: it is where the server is.
  parameters.host = server.host;
  parameters.port = server.port;
  parameters.server_name = url.host;
  parameters.authorities_pem = api.session().login().authorities_pem;
  Secret token = TRY(api.session().token_for("https://" + suffix));
  return VaultApi(net::Client::make(std::move(parameters)), std::move(token), url.host + ":" + url.port);
}

Result<JsonObject> VaultApi::send(const std::string& method, const std::string& target,
                                  const JsonObject* body) {
  net::ClientRequest request;
  request.method = method;
  request.target = target;
  request.headers.set("Authorization", "Bearer " + std::string(token_.expose_text()));
  request.headers.set("Accept", "application/json");
  if (body != nullptr) {
    request.headers.set("Content-Type", "application/json");
    request.body = to_text(*body);
  }
  const net::Response response = TRY(client_->send(request));
  if (response.status < 200 || response.status > 299) return std::unexpected(error_of(response));
  if (trim(response.body).empty()) return JsonObject();
  auto json = parse_json_object(response.body);
  if (!json)
    return fail(ErrorKind::internal, "AnswerNotUnderstood",
                "The answer of the vault is not JSON. Is it Merlon?");
  return *std::move(json);
}

Result<JsonObject> VaultApi::call(const std::string& method, const std::string& path,
                                  const JsonObject* body) {
  return send(method, path + "?api-version=" + std::string(kVaultDataVersion), body);
}

Result<JsonObject> VaultApi::list(const std::string& path) {
  JsonArray all;
  std::string target = path + "?api-version=" + std::string(kVaultDataVersion);
  for (int page = 0; page < kPagesMax; ++page) {
    JsonObject answer = TRY(send("GET", target, nullptr));
    if (Json* values = answer.if_contains("value"); values != nullptr && values->is_array())
      for (Json& value : values->get_array())
        if (value.is_object()) all.push_back(std::move(value));
    const auto next = string_at(answer, "nextLink");
    if (!next || next->empty()) return JsonObject{{"value", std::move(all)}};
    const net::Url url = TRY(net::parse_https_url(*next));
    // The token goes with the request: nowhere but to this vault.
    if (url.host + ":" + url.port != host_)
      return fail(
          ErrorKind::internal, "ForeignLink",
          "The vault's list goes on at '" + *next + "', which is not the vault. Nothing was sent there.");
    target = url.target;
  }
  return fail(ErrorKind::internal, "EndlessList", "The list has no end. Nothing was shown.");
}

Result<std::string> vault_path(Api& api, const std::string& vault, const std::string& resource_group) {
  if (!resource_group.empty())
    return TRY(api.group_id(resource_group)) + "/providers/Microsoft.KeyVault/vaults/" + part(vault);
  const JsonObject known =
      TRY(api.list(TRY(api.subscription_id()) + "/providers/Microsoft.KeyVault/vaults", kVaultVersion));
  for (const Json& value : known.at("value").get_array())
    if (ascii_iequal(text_at(value.get_object(), "name"), vault))
      return scope_path(text_at(value.get_object(), "id"));
  return fail(
      ErrorKind::not_found, "VaultNotFound",
      "There is no vault '" + vault + "' that you may see. 'merlon vault list' shows those that there are.");
}

}  // namespace merlon::cli
