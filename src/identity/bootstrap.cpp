// Beginning a directory.
#include "identity/bootstrap.h"

#include <algorithm>

#include "crypto/password.h"
#include "identity/membership.h"
#include "identity/record_fields.h"

namespace merlon::identity {
namespace {

constexpr const char* kBootstrapKey = "bootstrap";
constexpr Duration kOneDay = std::chrono::hours(24);
constexpr Duration kKept = std::chrono::hours(24) * 365 * 100;
constexpr size_t kPasswordBytes = 15;  // 20 characters of base64url

struct Marker {
  Uuid application_id;
  bool kept = false;
};

Result<std::optional<Marker>> read_marker(store::Reader& reader, const TenantId& tenant) {
  const auto row = TRY(reader.get(well_known_table(), tenant, kBootstrapKey));
  if (!row) return std::nullopt;
  const JsonObject json = TRY(parse_json_object(row->body));
  return Marker{.application_id = TRY(require_uuid(json, "applicationId")),
                .kept = TRY(require_bool(json, "kept"))};
}

Uuid role(const char* id) { return *Uuid::parse(id); }

Result<BootstrapCredential> credential_for(store::Transaction& tx, Directory& directory,
                                           const Application& application, const ServicePrincipal& principal,
                                           Duration lifetime) {
  NewSecret secret = TRY(directory.add_secret(tx, application.id, "bootstrap", lifetime));
  TRY(directory.add_directory_role(tx, role(kGlobalAdministrator), principal.id));
  return BootstrapCredential{.client_id = application.app_id,
                             .application_id = application.id,
                             .service_principal_id = principal.id,
                             .secret = secret.text,
                             .expires = secret.credential.end};
}

}  // namespace

const char* const kAzureCliAppId = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

const char* const kBastionPagesAppId = "6d1b7c1e-58a4-4c0e-9d3f-2a7e0b9f4c63";

namespace {

// Its redirect URIs are the names of the bastions that there are (authorize_request.cpp).
Result<void> ensure_bastion_pages(store::Transaction& tx, Directory& directory) {
  Application pages;
  pages.app_id = *Uuid::parse(kBastionPagesAppId);
  if (TRY(directory.application_by_app_id(tx, pages.app_id))) return {};
  pages.display_name = "Merlon bastion";
  pages.public_client = true;
  TRY(directory.create_application(tx, pages));
  return {};
}

}  // namespace

Result<void> ensure_well_known(store::Transaction& tx, Directory& directory) {
  TRY(ensure_bastion_pages(tx, directory));
  const Uuid app_id = *Uuid::parse(kAzureCliAppId);
  const auto known = TRY(directory.application_by_app_id(tx, app_id));
  Application azure_cli = known.value_or(Application{});
  if (known && !known->redirect_uris.empty()) return {};
  // As it is registered with Entra: az, the SDKs and tools of their kind listen on a port of their own.
  azure_cli.redirect_uris = {{"http://localhost", RedirectKind::public_client},
                             {"http://127.0.0.1", RedirectKind::public_client}};
  if (known) return directory.update_application(tx, azure_cli);
  azure_cli.app_id = app_id;
  azure_cli.display_name = "Azure CLI";
  azure_cli.public_client = true;
  TRY(directory.create_application(tx, azure_cli));
  return {};
}

Result<std::optional<BootstrapCredential>> bootstrap(store::Transaction& tx, Directory& directory,
                                                     BootstrapLifetime lifetime) {
  TRY(ensure_well_known(tx, directory));
  if (TRY(read_marker(tx, directory.tenant()))) return std::nullopt;
  Application wanted;
  wanted.display_name = "Merlon bootstrap";
  const auto [application, principal] = TRY(directory.create_application(tx, wanted));
  const bool kept = lifetime == BootstrapLifetime::kept;
  TRY(tx.put(
      well_known_table(), directory.tenant(),
      {kBootstrapKey, to_text(JsonObject{{"applicationId", application.id.text()}, {"kept", kept}}), {}}));
  return TRY(credential_for(tx, directory, application, principal, kept ? kKept : kOneDay));
}

Result<BootstrapCredential> recover_bootstrap(store::Transaction& tx, Directory& directory) {
  const auto marker = TRY(read_marker(tx, directory.tenant()));
  auto application = marker
                         ? TRY(store::get<Application>(tx, directory.tenant(), marker->application_id.text()))
                         : std::optional<Application>();
  if (!application) {
    TRY(tx.erase(well_known_table(), directory.tenant(), kBootstrapKey));
    auto made = TRY(bootstrap(tx, directory, BootstrapLifetime::one_day));
    return *std::move(made);
  }
  auto principal = TRY(directory.service_principal_by_app_id(tx, application->app_id));
  if (!principal) principal = TRY(directory.create_service_principal(tx, application->app_id));
  TRY(directory.set_enabled(tx, principal->id, true));
  return credential_for(tx, directory, *application, *principal, kOneDay);
}

Result<bool> retire_bootstrap(store::Transaction& tx, Directory& directory) {
  const auto marker = TRY(read_marker(tx, directory.tenant()));
  if (!marker || marker->kept) return false;
  const auto application =
      TRY(store::get<Application>(tx, directory.tenant(), marker->application_id.text()));
  if (!application) return false;
  for (const PasswordCredential& password : application->passwords)
    TRY(directory.remove_credential(tx, application->id, password.id));
  for (const CertificateCredential& certificate : application->certificates)
    TRY(directory.remove_credential(tx, application->id, certificate.id));
  const auto principal = TRY(directory.service_principal_by_app_id(tx, application->app_id));
  if (!principal || !principal->enabled) return false;
  TRY(directory.set_enabled(tx, principal->id, false));
  TRY(directory.remove_directory_role(tx, role(kGlobalAdministrator), principal->id));
  return true;
}

Result<std::optional<Uuid>> bootstrap_service_principal(store::Reader& reader, Directory& directory) {
  const auto marker = TRY(read_marker(reader, directory.tenant()));
  if (!marker) return std::nullopt;
  const auto application =
      TRY(store::get<Application>(reader, directory.tenant(), marker->application_id.text()));
  if (!application) return std::nullopt;
  const auto principal = TRY(directory.service_principal_by_app_id(reader, application->app_id));
  if (!principal) return std::nullopt;
  return principal->id;
}

Result<OneTimePassword> make_one_time_password(Random& random) {
  // Two characters in front make the three kinds that the password policy wants, whatever the random part is.
  Bytes text = to_bytes("Mw");
  const std::string drawn = to_base64url(random.bytes(kPasswordBytes)) + "7-";
  text.insert(text.end(), drawn.begin(), drawn.end());
  OneTimePassword password{.text = Secret(std::move(text)), .hash = {}};
  password.hash = TRY(crypto::hash_password(password.text));
  return password;
}

Result<User> create_admin_user(store::Transaction& tx, Directory& directory,
                               const std::string& user_principal_name, const std::string& display_name,
                               const OneTimePassword& password) {
  User user;
  user.user_principal_name = user_principal_name;
  user.display_name = display_name;
  user.password_hash = password.hash;
  user.must_change_password = true;
  user = TRY(directory.create_user(tx, user));
  TRY(directory.add_directory_role(tx, role(kGlobalAdministrator), user.id));
  return user;
}

}  // namespace merlon::identity
