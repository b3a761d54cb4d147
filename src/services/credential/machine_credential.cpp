// Machine credentials as rows, and as documents.
#include "services/credential/machine_credential.h"

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "ssh/public_key.h"

namespace merlon::credential {
namespace {

constexpr size_t kTagBytes = 16;

JsonObject secret_json(const vault::SecretName& name) {
  return {{"vault", name.vault}, {"name", name.name}, {"version", name.version}};
}

Result<vault::SecretName> secret_from(const JsonObject& json) {
  return vault::SecretName{.vault = TRY(require_string(json, "vault")),
                           .name = TRY(require_string(json, "name")),
                           .version = string_at(json, "version").value_or("")};
}

std::string url_of(const vault::SecretName& name, const std::string& vaults) {
  return "https://" + name.vault + vaults + "/secrets/" + name.name +
         (name.version.empty() ? std::string() : "/" + name.version);
}

}  // namespace

std::string_view kind_text(Kind kind) { return kind == Kind::password ? "Password" : "PrivateKey"; }

std::optional<Kind> kind_of(std::string_view text) {
  if (ascii_iequal(text, "Password")) return Kind::password;
  if (ascii_iequal(text, "PrivateKey")) return Kind::private_key;
  return std::nullopt;
}

const store::TableSpec& MachineCredential::table() {
  static const store::TableSpec spec{"machine_credentials", {{"login", store::Unique::yes}}};
  return spec;
}

std::string MachineCredential::key_of(std::string_view scope, std::string_view name) {
  return ascii_lower(scope) + "\n" + ascii_lower(name);
}

std::string MachineCredential::login_key(std::string_view scope, std::string_view login) {
  return ascii_lower(scope) + "\n" + std::string(login);
}

JsonObject MachineCredential::to_json() const {
  JsonObject json{{"scope", scope},
                  {"name", name},
                  {"login", login},
                  {"kind", kind_text(kind)},
                  {"secret", secret_json(secret)},
                  {"lender", lender.text()},
                  {"lenderIsPerson", lender_is_person},
                  {"lenderName", lender_name},
                  {"lenderApp", lender_app.text()},
                  {"set", to_rfc3339(set)},
                  {"hostKeys", JsonArray(host_keys.begin(), host_keys.end())}};
  if (passphrase) json["passphrase"] = secret_json(*passphrase);
  return json;
}

Result<MachineCredential> MachineCredential::from_json(const JsonObject& json) {
  MachineCredential made;
  made.scope = TRY(require_string(json, "scope"));
  made.name = TRY(require_string(json, "name"));
  made.login = TRY(require_string(json, "login"));
  const auto kind = kind_of(TRY(require_string(json, "kind")));
  const auto lender = Uuid::parse(TRY(require_string(json, "lender")));
  const auto app = Uuid::parse(TRY(require_string(json, "lenderApp")));
  const auto set = from_rfc3339(TRY(require_string(json, "set")));
  const JsonObject* secret = object_at(json, "secret");
  if (!kind || !lender || !app || !set || secret == nullptr)
    return internal_error("a stored machine credential is not whole");
  made.kind = *kind;
  made.secret = TRY(secret_from(*secret));
  if (const JsonObject* passphrase = object_at(json, "passphrase"))
    made.passphrase = TRY(secret_from(*passphrase));
  made.lender = *lender;
  made.lender_is_person = bool_at(json, "lenderIsPerson").value_or(true);
  made.lender_name = TRY(require_string(json, "lenderName"));
  made.lender_app = *app;
  made.set = *set;
  if (const JsonArray* lines = array_at(json, "hostKeys"))
    for (const Json& line : *lines) made.host_keys.emplace_back(line.as_string());
  return made;
}

std::string MachineCredential::etag() const {
  const auto digest = crypto::sha256(as_bytes(to_canonical_text(to_json())));
  return to_hex(ByteView(digest).first(kTagBytes));
}

identity::Principal MachineCredential::lender_principal() const {
  return {
      .object_id = lender,
      .kind = lender_is_person ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal,
      .name = lender_name,
      .app_id = lender_app,
      .amr = {},
      .auth_time = {},
      .token_id = {},
      .address = {}};
}

JsonObject MachineCredential::shown(const std::string& vaults) const {
  JsonObject properties{
      {"login", login},          {"kind", kind_text(kind)}, {"secretId", url_of(secret, vaults)},
      {"scope", scope},          {"setBy", lender_name},    {"setById", lender.text()},
      {"setAt", to_rfc3339(set)}};
  if (passphrase) properties["passphraseSecretId"] = url_of(*passphrase, vaults);
  if (kind == Kind::password) {
    JsonArray prints;
    for (const std::string& line : host_keys)
      if (const auto key = ssh::PublicKey::from_line(line)) prints.emplace_back(key->fingerprint());
    properties["hostKeyFingerprints"] = std::move(prints);
  }
  return {{"id", id()},
          {"name", name},
          {"type", "Merlon.Bastion/machineCredentials"},
          {"properties", std::move(properties)}};
}

}  // namespace merlon::credential
