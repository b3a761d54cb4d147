// How directory objects become rows, and back.
#include "base/text.h"
#include "identity/codes.h"
#include "identity/directory.h"
#include "identity/federated_credentials.h"
#include "identity/membership.h"
#include "identity/record_fields.h"
#include "identity/second_factors.h"
#include "identity/sessions.h"
#include "identity/sign_in_guard.h"

namespace merlon::identity {
namespace {

JsonObject to_json(const PasswordCredential& password) {
  return {{"id", password.id.text()},       {"displayName", password.display_name},
          {"hint", password.hint},          {"digest", password.digest},
          {"salt", password.salt},          {"start", to_rfc3339(password.start)},
          {"end", to_rfc3339(password.end)}};
}

Result<PasswordCredential> password_from_json(const JsonObject& json) {
  return PasswordCredential{.id = TRY(require_uuid(json, "id")),
                            .display_name = TRY(require_string(json, "displayName")),
                            .hint = TRY(require_string(json, "hint")),
                            .digest = TRY(require_string(json, "digest")),
                            .salt = TRY(require_string(json, "salt")),
                            .start = TRY(require_time(json, "start")),
                            .end = TRY(require_time(json, "end"))};
}

JsonObject to_json(const CertificateCredential& certificate) {
  return {{"id", certificate.id.text()},
          {"displayName", certificate.display_name},
          {"certificate", certificate.certificate_pem},
          {"sha1", certificate.sha1_thumbprint_hex},
          {"start", to_rfc3339(certificate.start)},
          {"end", to_rfc3339(certificate.end)}};
}

Result<CertificateCredential> certificate_from_json(const JsonObject& json) {
  return CertificateCredential{.id = TRY(require_uuid(json, "id")),
                               .display_name = TRY(require_string(json, "displayName")),
                               .certificate_pem = TRY(require_string(json, "certificate")),
                               .sha1_thumbprint_hex = TRY(require_string(json, "sha1")),
                               .start = TRY(require_time(json, "start")),
                               .end = TRY(require_time(json, "end"))};
}

JsonArray to_json(const std::vector<RedirectUri>& redirects) {
  JsonArray array;
  for (const RedirectUri& redirect : redirects)
    array.push_back(JsonObject{{"uri", redirect.uri}, {"web", redirect.kind == RedirectKind::web}});
  return array;
}

Result<std::vector<RedirectUri>> redirects_at(const JsonObject& json) {
  std::vector<RedirectUri> redirects;
  const JsonArray* array = array_at(json, "redirectUris");
  if (array == nullptr) return redirects;  // an application of before there were any
  for (const Json& value : *array) {
    if (!value.is_object()) return internal_error("stored application has a malformed redirect URI");
    redirects.push_back({.uri = TRY(require_string(value.get_object(), "uri")),
                         .kind = TRY(require_bool(value.get_object(), "web")) ? RedirectKind::web
                                                                              : RedirectKind::public_client});
  }
  return redirects;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all = {User::table(),
                                                    Group::table(),
                                                    Application::table(),
                                                    ServicePrincipal::table(),
                                                    membership_table(),
                                                    directory_role_table(),
                                                    owner_table(),
                                                    identifier_table(),
                                                    signing_key_table(),
                                                    well_known_table(),
                                                    SessionStamp::table(),
                                                    RefreshToken::table(),
                                                    AssertionUse::table(),
                                                    decision_changes().table(),
                                                    Session::table(),
                                                    AuthorizationCode::table(),
                                                    DeviceCode::table(),
                                                    AttemptCount::table(),
                                                    FederatedCredential::table(),
                                                    TotpMethod::table(),
                                                    Passkey::table(),
                                                    RecoveryCode::table()};
  return all;
}

const store::TableSpec& User::table() {
  static const store::TableSpec spec{"identity_users", {{"name", store::Unique::yes}, {"display_name"}}};
  return spec;
}
std::string User::key() const { return id.text(); }
std::vector<std::optional<std::string>> User::index_values() const {
  return {ascii_lower(user_principal_name), ascii_lower(display_name)};
}
JsonObject User::to_json() const {
  return {{"id", id.text()},
          {"userPrincipalName", user_principal_name},
          {"displayName", display_name},
          {"enabled", enabled},
          {"passwordHash", password_hash},
          {"mustChangePassword", must_change_password},
          {"created", to_rfc3339(created)},
          {"mailNickname", mail_nickname}};
}
Result<User> User::from_json(const JsonObject& json) {
  return User{.id = TRY(require_uuid(json, "id")),
              .user_principal_name = TRY(require_string(json, "userPrincipalName")),
              .display_name = TRY(require_string(json, "displayName")),
              .enabled = TRY(require_bool(json, "enabled")),
              .password_hash = TRY(require_string(json, "passwordHash")),
              .must_change_password = TRY(require_bool(json, "mustChangePassword")),
              .created = TRY(require_time(json, "created")),
              .mail_nickname = string_at(json, "mailNickname").value_or(std::string())};
}

const store::TableSpec& Group::table() {
  static const store::TableSpec spec{"identity_groups", {{"display_name"}}};
  return spec;
}
std::string Group::key() const { return id.text(); }
std::vector<std::optional<std::string>> Group::index_values() const { return {ascii_lower(display_name)}; }
JsonObject Group::to_json() const {
  return {{"id", id.text()},
          {"displayName", display_name},
          {"description", description},
          {"mailNickname", mail_nickname},
          {"created", to_rfc3339(created)}};
}
Result<Group> Group::from_json(const JsonObject& json) {
  return Group{.id = TRY(require_uuid(json, "id")),
               .display_name = TRY(require_string(json, "displayName")),
               .description = TRY(require_string(json, "description")),
               .mail_nickname = string_at(json, "mailNickname").value_or(std::string()),
               .created = TRY(require_time(json, "created"))};
}

const store::TableSpec& Application::table() {
  static const store::TableSpec spec{"identity_applications",
                                     {{"app_id", store::Unique::yes}, {"display_name"}}};
  return spec;
}
std::string Application::key() const { return id.text(); }
std::vector<std::optional<std::string>> Application::index_values() const {
  return {app_id.text(), ascii_lower(display_name)};
}
JsonObject Application::to_json() const {
  JsonArray password_array;
  for (const PasswordCredential& password : passwords) password_array.push_back(identity::to_json(password));
  JsonArray certificate_array;
  for (const CertificateCredential& certificate : certificates)
    certificate_array.push_back(identity::to_json(certificate));
  return {{"id", id.text()},
          {"appId", app_id.text()},
          {"displayName", display_name},
          {"passwords", std::move(password_array)},
          {"certificates", std::move(certificate_array)},
          {"identifierUris", to_json_array(identifier_uris)},
          {"redirectUris", identity::to_json(redirect_uris)},
          {"publicClient", public_client},
          {"created", to_rfc3339(created)}};
}
Result<Application> Application::from_json(const JsonObject& json) {
  Application application{.id = TRY(require_uuid(json, "id")),
                          .app_id = TRY(require_uuid(json, "appId")),
                          .display_name = TRY(require_string(json, "displayName")),
                          .passwords = {},
                          .certificates = {},
                          .identifier_uris = strings_at(json, "identifierUris"),
                          .redirect_uris = TRY(redirects_at(json)),
                          .public_client = TRY(require_bool(json, "publicClient")),
                          .created = TRY(require_time(json, "created"))};
  const JsonArray* passwords = array_at(json, "passwords");
  const JsonArray* certificates = array_at(json, "certificates");
  if (passwords == nullptr || certificates == nullptr)
    return internal_error("stored application lacks its credentials");
  for (const Json& password : *passwords) {
    if (!password.is_object())
      return internal_error("stored application has a malformed password credential");
    application.passwords.push_back(TRY(password_from_json(password.get_object())));
  }
  for (const Json& certificate : *certificates) {
    if (!certificate.is_object()) return internal_error("stored application has a malformed certificate");
    application.certificates.push_back(TRY(certificate_from_json(certificate.get_object())));
  }
  return application;
}

const store::TableSpec& ServicePrincipal::table() {
  static const store::TableSpec spec{"identity_service_principals",
                                     {{"app_id", store::Unique::yes}, {"display_name"}}};
  return spec;
}
std::string ServicePrincipal::key() const { return id.text(); }
std::vector<std::optional<std::string>> ServicePrincipal::index_values() const {
  return {app_id.text(), ascii_lower(display_name)};
}
JsonObject ServicePrincipal::to_json() const {
  JsonObject json{{"id", id.text()},    {"appId", app_id.text()},         {"displayName", display_name},
                  {"enabled", enabled}, {"actsForUsers", acts_for_users}, {"created", to_rfc3339(created)}};
  if (!resource_id.empty()) json["resourceId"] = resource_id;
  return json;
}
Result<ServicePrincipal> ServicePrincipal::from_json(const JsonObject& json) {
  return ServicePrincipal{.id = TRY(require_uuid(json, "id")),
                          .app_id = TRY(require_uuid(json, "appId")),
                          .display_name = TRY(require_string(json, "displayName")),
                          .enabled = TRY(require_bool(json, "enabled")),
                          .acts_for_users = bool_at(json, "actsForUsers").value_or(false),
                          .created = TRY(require_time(json, "created")),
                          .resource_id = string_at(json, "resourceId").value_or(std::string())};
}

}  // namespace merlon::identity
