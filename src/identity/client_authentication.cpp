// Client secrets by form and by Basic header, client assertions, and public clients.
#include "identity/client_authentication.h"

#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

std::unexpected<SignInError> missing(std::string_view parameter) {
  return refuse(900144,
                "The request body must contain the following parameter: '" + std::string(parameter) + "'.");
}

std::unexpected<SignInError> unknown_application(std::string_view client_id, const TenantId& tenant) {
  std::string shown;
  for (const char c : client_id.substr(0, 64)) shown += c > 0x20 && c < 0x7f ? c : '?';
  return refuse(700016, "Application with identifier '" + shown + "' was not found in the directory '" +
                            tenant.text() + "'. Check the client id, and that you ask the right tenant.");
}

// RFC 6749 section 2.3.1: both halves are form-encoded before base64.
std::optional<std::string> form_decoded(std::string_view text) {
  if (text.find('&') != std::string_view::npos) return std::nullopt;
  const auto form = net::parse_form("v=" + std::string(text));
  if (!form || form->items.size() != 1) return std::nullopt;
  return form->items.front().second;
}

SignIn<void> read_basic(std::string_view header, std::string& client_id, ClientClaim& claim) {
  const auto decoded = from_base64(trim(header.substr(6)));
  const std::string_view pair = decoded ? as_text(*decoded) : std::string_view();
  const size_t colon = pair.find(':');
  const auto id = colon == std::string_view::npos ? std::nullopt : form_decoded(pair.substr(0, colon));
  const auto secret = colon == std::string_view::npos ? std::nullopt : form_decoded(pair.substr(colon + 1));
  if (!id || !secret)
    return refuse(9002313,
                  "Invalid request. The Authorization header must be 'Basic' and base64 of "
                  "client_id:client_secret.");
  if (!client_id.empty() && !ascii_iequal(client_id, *id))
    return refuse(90014, "The client_id of the request body is not that of the Authorization header.");
  client_id = *id;
  claim.secret = Secret(*secret);
  claim.has_secret = true;
  return {};
}

SignIn<void> prove_by_secret(Client& client, const ClientClaim& claim, Timestamp now) {
  const SecretCheck check = check_secret(client.application, claim.secret, now);
  if (check.match == SecretMatch::expired)
    return refuse(7000222, "The provided client secret keys for app '" + client.application.app_id.text() +
                               "' are expired. Create a new secret for the application.");
  if (check.match == SecretMatch::none)
    return refuse(7000215,
                  "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                  "secret value, not the client secret ID, for a secret added to app '" +
                      client.application.app_id.text() + "'.");
  client.proof = ClientProof::secret;
  client.credential_id = check.credential_id;
  return {};
}

}  // namespace

SignIn<ClientClaim> read_client(const net::Query& form, const net::Headers& headers, const TenantId& tenant) {
  ClientClaim claim;
  const std::string* id = form.find("client_id");
  std::string client_id = id == nullptr ? std::string() : *id;
  if (const std::string* secret = form.find("client_secret")) {
    claim.secret = Secret(*secret);
    claim.has_secret = true;
  }
  if (const std::string* assertion = form.find("client_assertion")) {
    const std::string* type = form.find("client_assertion_type");
    if (type == nullptr) return missing("client_assertion_type");
    if (*type != kAssertionType)
      return refuse(90014,
                    "The parameter 'client_assertion_type' must be '" + std::string(kAssertionType) + "'.");
    claim.assertion = *assertion;
    claim.has_assertion = true;
  }
  const std::string* authorization = headers.find("Authorization");
  const bool basic = authorization != nullptr && ascii_istarts_with(*authorization, "Basic ");
  // RFC 6749 section 2.3: one method a request.
  if (static_cast<int>(claim.has_secret) + static_cast<int>(claim.has_assertion) + static_cast<int>(basic) >
      1)
    return refuse(
        9002313,
        "Invalid request. Send one of client_secret, client_assertion and the Authorization header.");
  if (basic) TRY(read_basic(*authorization, client_id, claim));
  if (client_id.empty()) return missing("client_id");
  const auto parsed = Uuid::parse(client_id);
  if (!parsed) return unknown_application(client_id, tenant);
  claim.client_id = *parsed;
  return claim;
}

SignIn<Client> authenticate_client(store::Reader& reader, Directory& directory, const ClientClaim& claim,
                                   PublicClients public_clients, const AssertionContext& context) {
  auto application = TRY(directory.application_by_app_id(reader, claim.client_id));
  auto principal = TRY(directory.service_principal_by_app_id(reader, claim.client_id));
  // A managed identity is a service principal without an application: only federated credentials can sign it
  // in.
  if (!application && principal && !principal->resource_id.empty()) {
    application.emplace();
    application->app_id = principal->app_id;
    application->display_name = principal->display_name;
  }
  if (!application) return unknown_application(claim.client_id.text(), directory.tenant());
  Client client{.application = *std::move(application),
                .principal = principal ? *principal : ServicePrincipal(),
                .proof = ClientProof::none,
                .credential_id = {},
                .assertion_use = {}};
  const bool proves = claim.has_secret || claim.has_assertion;
  if (client.application.public_client && proves)
    return refuse(700025,
                  "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.");
  if (!proves && !(client.application.public_client && public_clients == PublicClients::allow))
    return refuse(7000218,
                  "The request body must contain the following parameter: 'client_assertion' or "
                  "'client_secret'.");
  if (claim.has_secret) TRY(prove_by_secret(client, claim, context.now));
  if (claim.foreign) {
    const ForeignProof proof = TRY(*claim.foreign);
    TRY(check_still_trusted(reader, directory.tenant(), proof));
    client.proof = ClientProof::certificate;
    client.credential_id = proof.credential.id;
    client.assertion_use = proof.use;
  } else if (claim.has_assertion) {
    ProvenAssertion proven = TRY(verify_client_assertion(client.application, claim.assertion, context));
    client.proof = ClientProof::certificate;
    client.credential_id = proven.credential_id;
    client.assertion_use = std::move(proven.use);
  }
  if (!principal)
    return refuse(7000229, "The client application '" + claim.client_id.text() +
                               "' is missing service principal in the tenant '" + directory.tenant().text() +
                               "'. Create it with 'az ad sp create --id " + claim.client_id.text() + "'.");
  if (!principal->enabled)
    return refuse(7000112, "Application '" + claim.client_id.text() + "'(" + client.principal.display_name +
                               ") is disabled.");
  return client;
}

}  // namespace merlon::identity
