// Which application asks at the token endpoint, and how it proved that (RFC 6749 section 2.3).
#pragma once

#include <optional>
#include <string>

#include "identity/client_assertion.h"
#include "identity/directory.h"
#include "identity/federation.h"
#include "identity/issuer.h"
#include "identity/sign_in_error.h"
#include "net/http.h"

namespace merlon::identity {

struct ClientClaim {
  Uuid client_id;
  Secret secret;  // from the form or the Basic header
  std::string assertion;
  bool has_secret = false;
  bool has_assertion = false;
  // When the assertion is a foreign issuer's: what came of looking at it, before any transaction
  // (federation.h).
  std::optional<SignIn<ForeignProof>> foreign{};
};

// What the request says, not yet believed.
SignIn<ClientClaim> read_client(const net::Query& form, const net::Headers& headers, const TenantId& tenant);

struct Client {
  Application application;
  ServicePrincipal principal;
  ClientProof proof = ClientProof::none;
  Uuid credential_id;
  std::optional<AssertionUse> assertion_use;
};

enum class PublicClients { refuse, allow };
SignIn<Client> authenticate_client(store::Reader& reader, Directory& directory, const ClientClaim& claim,
                                   PublicClients public_clients, const AssertionContext& context);

}  // namespace merlon::identity
