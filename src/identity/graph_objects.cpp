// Directory objects as Graph shows them.
#include "identity/graph_objects.h"

#include "base/time_text.h"
#include "identity/record_fields.h"

namespace merlon::identity {

JsonObject graph_user(const User& user) {
  return {{"id", user.id.text()},
          {"displayName", user.display_name},
          {"userPrincipalName", user.user_principal_name},
          {"mailNickname", user.user_principal_name.substr(0, user.user_principal_name.find('@'))},
          {"mail", nullptr},
          {"givenName", nullptr},
          {"surname", nullptr},
          {"accountEnabled", user.enabled},
          {"userType", "Member"},
          {"createdDateTime", to_rfc3339(user.created)},
          {"passwordProfile",
           user.must_change_password
               ? Json(JsonObject{{"forceChangePasswordNextSignIn", true}, {"password", nullptr}})
               : Json(nullptr)}};
}

JsonObject graph_group(const Group& group) {
  return {{"id", group.id.text()},
          {"displayName", group.display_name},
          {"description", group.description.empty() ? Json(nullptr) : Json(group.description)},
          {"mailNickname", group.mail_nickname},
          {"mailEnabled", false},
          {"securityEnabled", true},
          {"groupTypes", JsonArray()},
          {"createdDateTime", to_rfc3339(group.created)}};
}

JsonObject graph_application(const Application& application) {
  JsonArray web;
  JsonArray native;
  for (const RedirectUri& redirect : application.redirect_uris)
    (redirect.kind == RedirectKind::web ? web : native).emplace_back(redirect.uri);
  JsonArray passwords;
  for (const PasswordCredential& password : application.passwords)
    passwords.push_back(JsonObject{{"keyId", password.id.text()},
                                   {"displayName", password.display_name},
                                   {"hint", password.hint},
                                   {"secretText", nullptr},
                                   {"startDateTime", to_rfc3339(password.start)},
                                   {"endDateTime", to_rfc3339(password.end)}});
  JsonArray keys;
  for (const CertificateCredential& certificate : application.certificates)
    keys.push_back(JsonObject{{"keyId", certificate.id.text()},
                              {"displayName", certificate.display_name},
                              {"customKeyIdentifier", certificate.sha1_thumbprint_hex},
                              {"type", "AsymmetricX509Cert"},
                              {"usage", "Verify"},
                              {"key", nullptr},
                              {"startDateTime", to_rfc3339(certificate.start)},
                              {"endDateTime", to_rfc3339(certificate.end)}});
  return {{"id", application.id.text()},
          {"appId", application.app_id.text()},
          {"displayName", application.display_name},
          {"identifierUris", to_json_array(application.identifier_uris)},
          {"isFallbackPublicClient", application.public_client},
          {"web", JsonObject{{"redirectUris", std::move(web)}}},
          {"publicClient", JsonObject{{"redirectUris", std::move(native)}}},
          {"signInAudience", "AzureADMyOrg"},
          {"createdDateTime", to_rfc3339(application.created)},
          {"passwordCredentials", std::move(passwords)},
          {"keyCredentials", std::move(keys)}};
}

JsonObject graph_service_principal(const ServicePrincipal& principal, const Application* application,
                                   const TenantId& tenant) {
  const bool managed = !principal.resource_id.empty();
  JsonArray names{principal.app_id.text()};
  if (application != nullptr)
    for (const std::string& uri : application->identifier_uris) names.emplace_back(uri);
  return {{"id", principal.id.text()},
          {"appId", principal.app_id.text()},
          {"displayName", principal.display_name},
          {"appDisplayName", principal.display_name},
          {"accountEnabled", principal.enabled},
          {"servicePrincipalNames", std::move(names)},
          {"servicePrincipalType", managed ? "ManagedIdentity" : "Application"},
          {"alternativeNames", managed ? JsonArray{"isExplicit=True", principal.resource_id} : JsonArray{}},
          {"signInAudience", "AzureADMyOrg"},
          {"appOwnerOrganizationId", tenant.text()},
          {"createdDateTime", to_rfc3339(principal.created)}};
}

Result<std::optional<JsonObject>> graph_directory_object(store::Reader& reader, Directory& directory,
                                                         const Uuid& id) {
  const auto typed = [](std::string_view type, JsonObject members) {
    JsonObject object{{"@odata.type", "#microsoft.graph." + std::string(type)}};
    for (auto& [key, value] : members) object.emplace(key, std::move(value));
    return object;
  };
  const TenantId& tenant = directory.tenant();
  if (const auto user = TRY(store::get<User>(reader, tenant, id.text())))
    return typed("user", graph_user(*user));
  if (const auto principal = TRY(store::get<ServicePrincipal>(reader, tenant, id.text()))) {
    const auto application = TRY(directory.application_by_app_id(reader, principal->app_id));
    return typed("servicePrincipal",
                 graph_service_principal(*principal, application ? &*application : nullptr, tenant));
  }
  if (const auto group = TRY(store::get<Group>(reader, tenant, id.text())))
    return typed("group", graph_group(*group));
  if (const auto application = TRY(store::get<Application>(reader, tenant, id.text())))
    return typed("application", graph_application(*application));
  return std::nullopt;
}

std::unexpected<Error> graph_not_found(std::string_view id) {
  return fail(ErrorKind::not_found, "Request_ResourceNotFound",
              "Resource '" + std::string(id.substr(0, 113)) +
                  "' does not exist or one of its queried reference-property objects are not present.");
}

std::unexpected<Error> graph_denied() {
  return fail(
      ErrorKind::forbidden, "Authorization_RequestDenied",
      "Insufficient privileges to complete the operation. Reading the directory takes the role Directory "
      "Readers or Global Administrator.");
}

std::unexpected<Error> graph_bad_request(std::string message, std::string target) {
  return fail(ErrorKind::invalid, "Request_BadRequest", std::move(message), std::move(target));
}

JsonObject graph_single(const GraphCall& call, std::string_view entity_set, JsonObject object) {
  JsonObject body{
      {"@odata.context", call.origin + "/v1.0/$metadata#" + std::string(entity_set) + "/$entity"}};
  for (auto& [key, value] : object) body.emplace(key, std::move(value));
  return body;
}

JsonObject graph_list(const GraphCall& call, std::string_view entity_set, JsonArray values) {
  return {{"@odata.context", call.origin + "/v1.0/$metadata#" + std::string(entity_set)},
          {"value", std::move(values)}};
}

}  // namespace merlon::identity
