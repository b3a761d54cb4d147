// Issuing tokens in Entra's v1 form (what Azure Resource Manager's tokens are), and naming the APIs they are
// for.

#include <algorithm>

#include "base/text.h"
#include "crypto/jose.h"
#include "identity/audience.h"
#include "identity/bearer.h"
#include "identity/keyed_issuer.h"
#include "identity/record_fields.h"
#include "store/observed_reader.h"

namespace merlon::identity {
namespace {

constexpr size_t kTokenIdBytes = 16;

int64_t seconds(Timestamp time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

}  // namespace

Result<std::string> KeyedIssuer::sign(const JsonObject& payload) {
  const auto current = TRY(keys());
  const SigningKey& key = current->signer(clock_.now());
  return crypto::sign_jws({{"typ", "JWT"}, {"kid", key.id}, {"x5t", key.x5t}}, payload,
                          crypto::SignatureAlgorithm::rs256, key.key);
}

Result<std::string> KeyedIssuer::issue(const TokenSubject& subject, const std::string& origin,
                                       Duration lifetime) {
  const Principal& principal = subject.principal;
  const Timestamp now = clock_.now();
  const bool user = principal.kind == PrincipalKind::user;
  JsonObject payload{
      {"aud", subject.audience},
      {"iss", origin + "/" + tenant().text() + "/"},
      {"iat", seconds(now)},
      {"nbf", seconds(now)},
      {"exp", seconds(now + lifetime)},
      {"appid", principal.app_id.text()},
      {"appidacr", std::to_string(static_cast<int>(subject.proof))},
      {"idp", origin + "/" + tenant().text() + "/"},
      {"idtyp", user ? "user" : "app"},
      {"oid", principal.object_id.text()},
      {"sub", principal.object_id.text()},
      {"tid", tenant().text()},
      {"uti", principal.token_id.empty() ? to_base64url(random_.bytes(kTokenIdBytes)) : principal.token_id},
      {"ver", "1.0"}};
  if (user) {
    const Timestamp signed_in = principal.auth_time == Timestamp{} ? now : principal.auth_time;
    payload["acr"] = "1";
    payload["amr"] = to_json_array(principal.amr);
    payload["auth_time"] = seconds(signed_in);
    payload["scp"] = subject.scope.empty() ? "user_impersonation" : subject.scope;
    payload["upn"] = subject.user_principal_name;
    payload["unique_name"] = subject.user_principal_name;
    payload["name"] = subject.display_name;
    if (!principal.address.is_unspecified()) payload["ipaddr"] = principal.address.text();
  }
  if (!subject.session_id.empty()) payload["sid"] = subject.session_id;
  if (!subject.stamp.empty()) payload["merlon_stamp"] = subject.stamp;
  if (!subject.resource_id.empty()) payload["xms_mirid"] = subject.resource_id;
  if (!subject.machine_id.empty()) payload["xms_az_rid"] = subject.machine_id;
  if (subject.understands_claims_challenge) payload["xms_cc"] = JsonArray{"CP1"};
  return sign(payload);
}

Result<std::string> KeyedIssuer::issue_id_token(const TokenSubject& subject, const IdTokenForm& form,
                                                Duration lifetime) {
  const Principal& principal = subject.principal;
  const Timestamp now = clock_.now();
  JsonObject payload{{"aud", principal.app_id.text()},
                     {"iss", form.issuer},
                     {"iat", seconds(now)},
                     {"nbf", seconds(now)},
                     {"exp", seconds(now + lifetime)},
                     {"auth_time", seconds(principal.auth_time)},
                     {"amr", to_json_array(principal.amr)},
                     {"name", subject.display_name},
                     {"oid", principal.object_id.text()},
                     {"preferred_username", subject.user_principal_name},
                     {"sub", principal.object_id.text()},
                     {"tid", tenant().text()},
                     {"upn", subject.user_principal_name},
                     {"uti", to_base64url(random_.bytes(kTokenIdBytes))},
                     {"ver", form.version}};
  if (!subject.session_id.empty()) payload["sid"] = subject.session_id;
  if (!form.nonce.empty()) payload["nonce"] = form.nonce;
  return sign(payload);
}

bool KeyedIssuer::is_resource_manager(std::string_view audience) const {
  if (is_azure_management_audience(audience)) return true;
  const std::string_view bare = without_slashes(audience);
  if (std::ranges::any_of(parameters_.own_audiences,
                          [&](const std::string& own) { return ascii_iequal(without_slashes(own), bare); }))
    return true;
  const auto url = parse_audience_url(bare);
  if (!url || !url->path.empty()) return false;
  return url->host == ascii_lower(parameters_.domain) || url->host == "localhost" ||
         url->host == "127.0.0.1" || url->host == "[::1]";
}

bool KeyedIssuer::is_resource_manager_at(std::string_view audience, const std::string& origin) const {
  if (is_resource_manager(audience)) return true;
  const auto asked = parse_audience_url(without_slashes(audience));
  const auto own = parse_audience_url(without_slashes(origin));
  if (!asked || !own || !asked->path.empty() || !asked->same_origin(*own)) return false;
  // Names below the domain are data planes (<vault>.vault.<domain>): tokens for them are not for the Resource
  // Manager.
  return !asked->host.ends_with("." + ascii_lower(parameters_.domain));
}

bool KeyedIssuer::is_vault(std::string_view audience) const {
  if (is_azure_vault_audience(audience)) return true;
  const auto url = parse_audience_url(without_slashes(audience));
  return url && url->path.empty() && url->host == "vault." + ascii_lower(parameters_.domain);
}

bool KeyedIssuer::is_for(const TokenClaims& claims, Api api) const {
  // We wrote iss ourselves from a name that we serve, so its origin is one of ours.
  const auto issuer = parse_audience_url(claims.issuer);
  const std::string origin =
      claims.issuer.substr(0, claims.issuer.size() - (issuer ? issuer->path.size() : 0));
  if (api == Api::vault) return is_vault(claims.audience);
  return is_resource_manager_at(claims.audience, origin) ||
         (api == Api::graph && is_graph_audience(claims.audience));
}

Result<void> KeyedIssuer::require_audience(const KnownToken& known, Api api) const {
  if (known.is_for.at(static_cast<size_t>(api))) return {};
  return fail(ErrorKind::unauthenticated, "InvalidAuthenticationTokenAudience",
              "The access token has been obtained for wrong audience or resource '" + known.claims.audience +
                  "'. Ask for a token for 'https://" + (api == Api::vault ? "vault." : "") + domain() +
                  (api == Api::vault ? "'." : "/' or for this server's own address."));
}

// Everything about a token but its audience, from what is known of it already as far as that still holds.
Result<std::shared_ptr<const KnownToken>> KeyedIssuer::know(store::Reader& reader, std::string_view token) {
  const Timestamp now = clock_.now();
  const KnownTokens::Name name = KnownTokens::name_of(token);
  const auto before = known_.find(name);
  if (before && before->state && before->state == reader.state_mark(before->tables)) {
    TRY(check_times(before->claims, now));
    return before;
  }
  store::ObservedReader observed(reader);
  const auto current = TRY(keys(observed));
  auto known = std::make_shared<KnownToken>();
  known->key_generation = current->generation;
  if (before && before->key_generation == current->generation) {
    TRY(check_times(before->claims, now));
    known->claims = before->claims;
  } else {
    known->claims = TRY(verify_token(token, current->keys, tenant(), now));
  }
  for (const Api api : {Api::resource_manager, Api::graph, Api::vault})
    known->is_for.at(static_cast<size_t>(api)) = is_for(known->claims, api);
  known->principal = TRY(live_principal(observed, directory_, known->claims));
  known->tables = observed.tables();
  known->state = reader.state_mark(known->tables);
  // What a transaction sees for itself alone is no news for others.
  if (known->state || !before || before->key_generation != known->key_generation) known_.keep(name, known);
  return std::shared_ptr<const KnownToken>(std::move(known));
}

Result<Principal> KeyedIssuer::authenticate(store::Reader& reader, std::string_view authorization,
                                            const IpAddress& peer, Api api) {
  const std::string_view token = TRY(bearer_token(authorization));
  const auto known = TRY(know(reader, token));
  TRY(require_audience(*known, api));
  Principal principal = *known->principal;
  principal.address = peer;
  return principal;
}

Result<std::unique_ptr<Issuer>> Issuer::open(store::Store& store, const seal::Seal& seal, const Clock& clock,
                                             Random& random, IssuerParameters parameters) {
  SigningKeyStore key_store(seal, clock, random, parameters.tenant, parameters.domain);
  auto keys = TRY(key_store.open(store));
  auto form_key = TRY(open_form_key(store, seal, random, parameters.tenant));
  return std::make_unique<KeyedIssuer>(store, std::move(key_store), std::move(keys), std::move(form_key),
                                       seal, clock, random, std::move(parameters));
}

}  // namespace merlon::identity
