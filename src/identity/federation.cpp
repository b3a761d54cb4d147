// See federation.h.
#include "identity/federation.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "identity/federation_expression.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kCompare =
    "'. Check your federated identity credential Subject, Audience and Issuer against the presented "
    "assertion; "
    "they must be equal to the last character.";

std::unexpected<SignInError> no_record(int number, const std::string& what, std::string_view presented) {
  std::string shown;
  for (const char c : presented.substr(0, 600)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return refuse(number, "No matching federated identity record found for presented assertion " + what + " '" +
                            shown + std::string(kCompare));
}

// RFC 7519 section 4.1.3: one text, or an array. Azure takes a token for several audiences when ours is among
// them.
bool has_audience(const JsonObject& payload, const std::string& wanted) {
  if (string_at(payload, "aud") == wanted) return true;
  const JsonArray* list = array_at(payload, "aud");
  return list != nullptr && std::ranges::any_of(*list, [&](const Json& value) {
           return value.is_string() && value.get_string() == wanted;
         });
}

std::string audience_text(const JsonObject& payload) {
  if (const auto one = string_at(payload, "aud")) return *one;
  return payload.contains("aud") ? to_text(payload.at("aud")) : std::string();
}

// The key that the header names verifies, with an algorithm that fits it and that the issuer has not ruled
// out. Never is anything of the header used to find a key elsewhere.
bool verifies(const crypto::JwsParts& parts, const std::vector<ForeignKey>& keys) {
  const auto algorithm = crypto::signature_algorithm_from_jose(string_at(parts.header, "alg").value_or(""));
  if (!algorithm) return false;
  const auto key_id = string_at(parts.header, "kid");
  // OpenID Connect Core section 10.1: without a kid there must be one key alone.
  if (!key_id && keys.size() != 1) return false;
  return std::ranges::any_of(keys, [&](const ForeignKey& key) {
    if (key_id && key.id != *key_id) return false;
    if (!key.algorithm.empty() && key.algorithm != crypto::jose_name(*algorithm)) return false;
    return crypto::verify_jws(parts, *algorithm, key.key);
  });
}

std::string use_digest(const Uuid& client_id, const std::string& issuer, const crypto::JwsParts& parts) {
  const std::string name = string_at(parts.payload, "jti").value_or(parts.signing_input);
  return to_hex(crypto::sha256(as_bytes(client_id.text() + "\n" + issuer + "\n" + name)));
}

}  // namespace

std::optional<SignIn<ForeignProof>> Federation::prove(const Uuid& client_id, std::string_view assertion) {
  const auto parts = crypto::parse_jws(assertion);
  if (!parts) return std::nullopt;
  const auto issuer = string_at(parts->payload, "iss");
  if (!issuer || Uuid::parse(*issuer)) return std::nullopt;
  return verify(client_id, *parts, *issuer);
}

SignIn<FederatedCredential> Federation::credential_of(const Uuid& client_id, const crypto::JwsParts& parts,
                                                      const std::string& issuer) const {
  const std::string subject = string_at(parts.payload, "sub").value_or(std::string());
  bool trusted = false;
  std::optional<FederatedCredential> credential;
  // Of several whose expressions fit, the one that has the token's audience counts.
  std::optional<FederatedCredential> of_another_audience;
  const auto admits = [&](const FederatedCredential& candidate) {
    const auto expression = ClaimsExpression::parse(candidate.expression);
    if (!expression || !expression->admits(parts.payload)) return false;
    if (has_audience(parts.payload, candidate.audience)) return true;
    of_another_audience = candidate;
    return false;
  };
  TRY(store_.read([&](store::Reader& reader) -> Result<void> {
    trusted = TRY(trusts_issuer(reader, tenant_, client_id, issuer));
    of_another_audience.reset();
    credential = TRY(federated_credential_for(reader, tenant_, client_id, issuer, subject));
    if (trusted && !credential)
      credential = TRY(federated_credential_by_expression(reader, tenant_, client_id, issuer, admits));
    return {};
  }));
  if (!trusted) return no_record(700211, "issuer", issuer);
  if (!credential && !of_another_audience) return no_record(700213, "subject", subject);
  if (!credential) return no_record(700212, "audience", audience_text(parts.payload));
  if (!has_audience(parts.payload, credential->audience))
    return no_record(700212, "audience", audience_text(parts.payload));
  return *std::move(credential);
}

Result<ForeignIssuers::Keys> Federation::keys_of(const FederatedCredential& credential,
                                                 std::string_view key_id) {
  if (credential.keys_jwks.empty())
    return issuers_.keys(credential.issuer, credential.authorities_pem, key_id);
  return std::make_shared<const std::vector<ForeignKey>>(TRY(parse_foreign_keys(credential.keys_jwks)));
}

SignIn<ForeignProof> Federation::verify(const Uuid& client_id, const crypto::JwsParts& parts,
                                        const std::string& issuer) {
  FederatedCredential credential = TRY(credential_of(client_id, parts, issuer));
  const Timestamp expires = TRY(check_assertion_times(parts.payload, clock_.now()));
  const auto keys = keys_of(credential, string_at(parts.header, "kid").value_or(std::string()));
  if (!keys) return refuse(90061, "Request to External OIDC endpoint failed. " + keys.error().message);
  if (!verifies(parts, **keys))
    return refuse(700027,
                  "Client assertion failed verification: it is not signed by a key that its issuer publishes "
                  "now (or that the credential pins), with an algorithm that fits that key.");
  AssertionUse use{.digest = use_digest(client_id, issuer, parts), .peer = {}, .expires = expires};
  return ForeignProof{.credential = std::move(credential), .use = std::move(use)};
}

SignIn<void> check_still_trusted(store::Reader& reader, const TenantId& tenant, const ForeignProof& proof) {
  const FederatedCredential& then = proof.credential;
  const auto now = TRY(store::get<FederatedCredential>(reader, tenant, then.key()));
  if (now && now->issuer == then.issuer && now->subject == then.subject && now->audience == then.audience &&
      now->authorities_pem == then.authorities_pem && now->expression == then.expression &&
      now->keys_jwks == then.keys_jwks)
    return {};
  return refuse(
      70021,
      "No matching federated identity record found for presented assertion: it was removed or changed "
      "just now.");
}

}  // namespace merlon::identity
