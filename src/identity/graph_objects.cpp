// Directory objects as Graph shows them.
#include "identity/graph_objects.h"

#include "base/time_text.h"
#include "identity/record_fields.h"

namespace merlon::identity {

JsonObject graph_user(const User& user) {
  return {{"id", user.id.text()},
          {"displayName", user.display_name},
          {"userPrincipalName", user.user_principal_name},
          {"mailNickname", user.mail_nickname.empty()
                               ? user.user_principal_name.substr(0, user.user_principal_name.find('@'))
                               : user.mail_nickname},
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

namespace {

JsonArray passwords_of(const Application& application) {
  JsonArray passwords;
  for (const PasswordCredential& password : application.passwords)
    passwords.push_back(JsonObject{{"keyId", password.id.text()},
                                   {"displayName", password.display_name},
                                   {"hint", password.hint},
                                   {"secretText", nullptr},
                                   {"startDateTime", to_rfc3339(password.start)},
                                   {"endDateTime", to_rfc3339(password.end)}});
  return passwords;
}

JsonArray keys_of(const Application& application) {
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
  return keys;
}

}  // namespace

JsonObject graph_application(const Application& application) {
  JsonArray web;
  JsonArray native;
  for (const RedirectUri& redirect : application.redirect_uris)
    (redirect.kind == RedirectKind::web ? web : native).emplace_back(redirect.uri);
  return {{"id", application.id.text()},
          {"appId", application.app_id.text()},
          {"displayName", application.display_name},
          {"identifierUris", to_json_array(application.identifier_uris)},
          {"isFallbackPublicClient", application.public_client},
          {"web", JsonObject{{"redirectUris", std::move(web)}}},
          {"publicClient", JsonObject{{"redirectUris", std::move(native)}}},
          {"signInAudience", "AzureADMyOrg"},
          {"createdDateTime", to_rfc3339(application.created)},
          {"requiredResourceAccess", JsonArray()},
          {"appRoles", JsonArray()},
          {"passwordCredentials", passwords_of(application)},
          {"keyCredentials", keys_of(application)}};
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
          {"passwordCredentials", application != nullptr ? passwords_of(*application) : JsonArray()},
          {"keyCredentials", application != nullptr ? keys_of(*application) : JsonArray()},
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

Result<JsonObject> graph_objects_page(const GraphCall& call, store::Reader& reader, std::vector<Uuid> ids) {
  const GraphQuery query = TRY(call.query());
  std::ranges::sort(ids);
  JsonArray values;
  std::string last;
  bool more = false;
  int64_t total = 0;
  for (const Uuid& id : ids) {
    const bool passed = !query.skip_token.empty() && id.text() <= query.skip_token;
    if ((passed || more) && !query.count) continue;
    const auto object = TRY(graph_directory_object(reader, call.directory, id));
    if (!object || !TRY(matches(query.filter, *object))) continue;
    ++total;
    if (passed || more) continue;
    more = values.size() == query.top;
    if (more) continue;
    last = id.text();
    values.push_back(selected(*object, query.select));
  }
  JsonObject list = graph_list(call, "directoryObjects", std::move(values));
  if (query.count) list["@odata.count"] = total;
  if (more) list["@odata.nextLink"] = graph_next_link(call, last);
  return list;
}

std::string graph_next_link(const GraphCall& call, const std::string& last) {
  std::string next = call.origin + call.request.path + "?";
  for (const auto& [name, value] : call.request.query.items)
    if (!ascii_iequal(name, "$skiptoken"))
      next += net::percent_encode(name) + "=" + net::percent_encode(value) + "&";
  return next + "$skiptoken=" + net::percent_encode(last);
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
