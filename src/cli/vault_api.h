// A vault's own API, found by the vault's name: its host is told by the server, its address is the server's.
#pragma once

#include <memory>
#include <string>

#include "cli/api.h"

namespace merlon::cli {

inline constexpr std::string_view kVaultVersion = "2023-07-01";  // of the control plane
inline constexpr std::string_view kVaultDataVersion = "7.5";

class VaultApi {
 public:
  static Result<VaultApi> open(Api& api, const std::string& vault);
  // `path` begins with '/'; `body` may be null.
  Result<JsonObject> call(const std::string& method, const std::string& path,
                          const JsonObject* body = nullptr);
  Result<JsonObject> list(const std::string& path);  // every page, as one {"value": […]}

 private:
  VaultApi(std::unique_ptr<net::Client> client, Secret token, std::string host)
      : client_(std::move(client)), token_(std::move(token)), host_(std::move(host)) {}
  Result<JsonObject> send(const std::string& method, const std::string& target, const JsonObject* body);
  std::unique_ptr<net::Client> client_;
  Secret token_;
  std::string host_;  // with its port
};

// "kv-web.vault.merlon.localhost:8443", of a vault's name.
Result<std::string> vault_host(Api& api, const std::string& vault);
// "/subscriptions/…/vaults/NAME", in the group that is given or wherever it is.
Result<std::string> vault_path(Api& api, const std::string& vault, const std::string& resource_group);

}  // namespace merlon::cli
