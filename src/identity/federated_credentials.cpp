// See federated_credentials.h. Limits and forms are Microsoft Graph's
// (learn.microsoft.com/graph/api/resources/federatedidentitycredential).
#include "identity/federated_credentials.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/x509.h"
#include "identity/federation_expression.h"
#include "identity/foreign_issuer.h"
#include "identity/record_fields.h"
#include "net/client.h"

namespace merlon::identity {
namespace {

constexpr size_t kNameMin = 3;
constexpr size_t kNameMax = 120;
constexpr size_t kClaimMax = 600;
constexpr size_t kAuthoritiesMax = 64 * 1024;
constexpr size_t kKeysMax = 64 * 1024;

std::unexpected<Error> bad_property(const std::string& property, const std::string& why) {
  return fail(ErrorKind::invalid, "Request_BadRequest",
              "Invalid value specified for property '" + property +
                  "' of a federated identity credential: " + why + ".",
              property);
}

// Control characters separate the parts of an index value, so none may hold one.
std::optional<std::string> text_problem(std::string_view text) {
  if (text.empty()) return "it is empty";
  if (text.size() > kClaimMax) return "it is longer than 600 bytes";
  if (!is_utf8(text) || std::ranges::any_of(text, [](char c) { return c >= 0 && c < 0x20; }))
    return "it holds control characters or is not UTF-8";
  if (trim(text).size() != text.size()) return "it begins or ends with a space";
  return std::nullopt;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

Result<void> check_issuer(std::string_view issuer) {
  if (const auto problem = text_problem(issuer)) return bad_property("issuer", *problem);
  const auto url = net::parse_https_url(issuer);
  // OpenID Connect Discovery section 3: no query and no fragment.
  if (!url || issuer.find('?') != std::string_view::npos)
    return bad_property("issuer", "it must be an https URL without query and fragment");
  return {};
}

// Whoever pins keys by hand may have the private ones at hand too.
bool holds_secrets(const JsonObject& jwks) {
  const JsonArray* keys = array_at(jwks, "keys");
  return keys != nullptr && std::ranges::any_of(*keys, [](const Json& key) {
           return key.is_object() && (key.get_object().contains("d") || key.get_object().contains("k"));
         });
}

Result<void> check_keys(const std::string& jwks) {
  if (jwks.empty()) return {};
  if (jwks.size() > kKeysMax) return bad_property("issuerKeys", "it is longer than 64 KiB");
  const auto keys = parse_foreign_keys(jwks);
  if (!keys) return bad_property("issuerKeys", keys.error().message);
  if (holds_secrets(TRY(parse_json_object(jwks))))
    return bad_property("issuerKeys", "it holds a private or secret key, which must stay with the issuer");
  if (keys->empty())
    return bad_property("issuerKeys",
                        "none of its keys is a public key for signatures that is accepted here");
  return {};
}

Result<void> check(const FederatedCredential& credential) {
  if (credential.name.size() < kNameMin || credential.name.size() > kNameMax ||
      !std::ranges::all_of(credential.name, is_name_character) || credential.name.front() == '-' ||
      credential.name.front() == '_')
    return bad_property("name",
                        "it must have 3 to 120 letters, digits, hyphens and underscores, and begin with a "
                        "letter or a digit");
  TRY(check_issuer(credential.issuer));
  if (credential.expression.empty()) {
    if (const auto problem = text_problem(credential.subject)) return bad_property("subject", *problem);
  } else {
    if (!credential.subject.empty())
      return bad_property("subject",
                          "there is a claimsMatchingExpression, and only one of them may be there");
    TRY(ClaimsExpression::parse(credential.expression));
  }
  if (const auto problem = text_problem(credential.audience)) return bad_property("audiences", *problem);
  if (credential.description.size() > kClaimMax || !is_utf8(credential.description))
    return bad_property("description", "it is longer than 600 bytes or not UTF-8");
  if (credential.authorities_pem.size() > kAuthoritiesMax ||
      (!credential.authorities_pem.empty() && !crypto::read_certificate(credential.authorities_pem)))
    return bad_property("issuerAuthorities", "it is not a certificate in PEM form, or longer than 64 KiB");
  return check_keys(credential.keys_jwks);
}

std::string subject_index(const Uuid& app_id, std::string_view issuer, std::string_view subject) {
  return app_id.text() + "\n" + std::string(issuer) + "\n" + std::string(subject);
}

// In the place of a subject, which is never empty and never begins so.
std::string expression_index(const Uuid& app_id, std::string_view issuer, std::string_view expression) {
  const std::string digest =
      expression.empty() ? std::string() : to_hex(crypto::sha256(as_bytes(expression)));
  return subject_index(app_id, issuer, "\n" + digest);
}

std::string name_index(const Uuid& app_id, std::string_view name) {
  return app_id.text() + "\n" + ascii_lower(name);
}

Result<void> refuse_twins(store::Reader& reader, const TenantId& tenant,
                          const FederatedCredential& credential) {
  const auto same =
      TRY(store::find<FederatedCredential>(reader, tenant, "subject", *credential.index_values().at(0)));
  const std::string what = credential.expression.empty() ? "subject" : "expression";
  if (!same.empty() && same.front().id != credential.id)
    return fail(ErrorKind::conflict, "Request_MultipleObjectsWithSameKeyValue",
                "The federated identity credential '" + same.front().name + "' has this issuer and " + what +
                    " already. Change that one, or choose another " + what + ".");
  return {};
}

}  // namespace

const store::TableSpec& FederatedCredential::table() {
  static const store::TableSpec spec{"identity_federated_credentials",
                                     {{"subject", store::Unique::yes}, {"name", store::Unique::yes}}};
  return spec;
}
std::string FederatedCredential::key() const { return id.text(); }
std::vector<std::optional<std::string>> FederatedCredential::index_values() const {
  return {expression.empty() ? subject_index(app_id, issuer, subject)
                             : expression_index(app_id, issuer, expression),
          name_index(app_id, name)};
}
JsonObject FederatedCredential::to_json() const {
  return {{"id", id.text()},
          {"appId", app_id.text()},
          {"name", name},
          {"issuer", issuer},
          {"subject", subject},
          {"audience", audience},
          {"description", description},
          {"authorities", authorities_pem},
          {"created", to_rfc3339(created)},
          {"expression", expression},
          {"keys", keys_jwks}};
}
Result<FederatedCredential> FederatedCredential::from_json(const JsonObject& json) {
  return FederatedCredential{.id = TRY(require_uuid(json, "id")),
                             .app_id = TRY(require_uuid(json, "appId")),
                             .name = TRY(require_string(json, "name")),
                             .issuer = TRY(require_string(json, "issuer")),
                             .subject = TRY(require_string(json, "subject")),
                             .audience = TRY(require_string(json, "audience")),
                             .description = TRY(require_string(json, "description")),
                             .authorities_pem = TRY(require_string(json, "authorities")),
                             .created = TRY(require_time(json, "created")),
                             .expression = string_at(json, "expression").value_or(std::string()),
                             .keys_jwks = string_at(json, "keys").value_or(std::string())};
}

Result<FederatedCredential> add_federated_credential(store::Transaction& tx, const TenantId& tenant,
                                                     FederatedCredential credential, const Clock& clock,
                                                     Random& random) {
  if (credential.audience.empty()) credential.audience = kTokenExchangeAudience;
  TRY(check(credential));
  if (TRY(federated_credential_by_name(tx, tenant, credential.app_id, credential.name)))
    return fail(ErrorKind::conflict, "Request_MultipleObjectsWithSameKeyValue",
                "A federated identity credential with the name '" + credential.name + "' already exists.");
  credential.id = Uuid::generate(random);
  credential.created = clock.now();
  TRY(refuse_twins(tx, tenant, credential));
  TRY(store::put(tx, tenant, credential));
  return credential;
}

Result<void> update_federated_credential(store::Transaction& tx, const TenantId& tenant,
                                         const FederatedCredential& credential) {
  TRY(check(credential));
  TRY(refuse_twins(tx, tenant, credential));
  return store::put(tx, tenant, credential);
}

Result<void> erase_federated_credentials(store::Transaction& tx, const TenantId& tenant, const Uuid& app_id) {
  constexpr size_t kBatch = 1000;
  for (;;) {
    const auto some = TRY(federated_credentials(tx, tenant, app_id, {}, kBatch));
    for (const FederatedCredential& credential : some)
      TRY(store::erase<FederatedCredential>(tx, tenant, credential.key()));
    if (some.size() < kBatch) return {};
  }
}

Result<std::optional<FederatedCredential>> federated_credential_by_name(store::Reader& reader,
                                                                        const TenantId& tenant,
                                                                        const Uuid& app_id,
                                                                        std::string_view name) {
  auto found = TRY(store::find<FederatedCredential>(reader, tenant, "name", name_index(app_id, name)));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::vector<FederatedCredential>> federated_credentials(store::Reader& reader, const TenantId& tenant,
                                                               const Uuid& app_id,
                                                               std::string_view after_name, size_t limit) {
  store::Range range{.prefix = name_index(app_id, {}), .after = {}, .after_key = {}};
  range.limit = limit;
  if (!after_name.empty()) {
    range.after = name_index(app_id, after_name);
    range.after_key = "~";  // beyond every id: the name is unique
  }
  std::vector<FederatedCredential> found;
  for (const store::IndexedRow& row :
       TRY(reader.scan_index(FederatedCredential::table(), tenant, "name", range)))
    found.push_back(TRY(store::decode<FederatedCredential>(row.row)));
  return found;
}

Result<std::optional<FederatedCredential>> federated_credential_for(store::Reader& reader,
                                                                    const TenantId& tenant,
                                                                    const Uuid& app_id,
                                                                    std::string_view issuer,
                                                                    std::string_view subject) {
  auto found = TRY(
      store::find<FederatedCredential>(reader, tenant, "subject", subject_index(app_id, issuer, subject)));
  // A subject with a line break in it could be the index of an expression.
  if (found.empty() || found.front().subject != subject || found.front().issuer != issuer)
    return std::nullopt;
  return std::move(found.front());
}

Result<std::optional<FederatedCredential>> federated_credential_by_expression(
    store::Reader& reader, const TenantId& tenant, const Uuid& app_id, std::string_view issuer,
    const std::function<bool(const FederatedCredential&)>& admits) {
  store::Range range{.prefix = expression_index(app_id, issuer, {}), .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan_index(FederatedCredential::table(), tenant, "subject", range));
    for (const store::IndexedRow& row : rows) {
      auto credential = TRY(store::decode<FederatedCredential>(row.row));
      if (!credential.expression.empty() && credential.issuer == issuer && admits(credential))
        return credential;
    }
    if (rows.size() < range.limit) return std::nullopt;
    range.after = rows.back().value;
    range.after_key = rows.back().row.key;
  }
}

Result<bool> trusts_issuer(store::Reader& reader, const TenantId& tenant, const Uuid& app_id,
                           std::string_view issuer) {
  store::Range range{.prefix = subject_index(app_id, issuer, {}), .after = {}, .after_key = {}};
  range.limit = 1;
  return !TRY(reader.scan_index(FederatedCredential::table(), tenant, "subject", range)).empty();
}

}  // namespace merlon::identity
