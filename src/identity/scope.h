// What a token request asks a token for: v2's `scope`, v1's `resource`.
#pragma once

#include <string>
#include <string_view>

#include "identity/directory.h"
#include "identity/issuer.h"
#include "identity/sign_in_error.h"

namespace merlon::identity {

struct RequestedScope {
  std::string audience;     // as written, without "/.default" or the permission's name; empty = none asked
  bool by_default = false;  // "/.default" was asked
  bool openid = false;
  bool offline_access = false;
};

// "https://management.azure.com//.default offline_access openid profile"
SignIn<RequestedScope> parse_scope(std::string_view scope);

enum class ResourceKind { resource_manager, graph, vault, application };

// Which of our resources `audience` names, or AADSTS500011.
SignIn<ResourceKind> resolve_audience(store::Reader& reader, Directory& directory, const Issuer& issuer,
                                      std::string_view audience, const std::string& origin);

}  // namespace merlon::identity
