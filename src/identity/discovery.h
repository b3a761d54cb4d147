// The documents that clients read before they ask for a token: OpenID configuration, signing keys, instance
// metadata.
#pragma once

#include <optional>
#include <string>

#include "identity/issuer.h"
#include "identity/tenant_path.h"
#include "net/http.h"

namespace merlon::identity {

// OpenID Connect Discovery 1.0 section 3, with Entra's extra members. `dialect` decides issuer and endpoints.
JsonObject openid_configuration(const Issuer& issuer, const std::string& origin, const TenantPath& path,
                                Dialect dialect);

// The issuer that the documents of a dialect name, and that answers and id_tokens carry.
std::string issuer_of(Dialect dialect, const std::string& origin, const TenantId& tenant);

// The answer to a discovery path, or nothing when it is none.
std::optional<net::Response> handle_discovery(Issuer& issuer, const net::Request& request,
                                              const std::string& origin, const TenantPath& path,
                                              Timestamp now);

}  // namespace merlon::identity
