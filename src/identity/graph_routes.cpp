// The table of Graph's routes: what may be asked, by whom, and what the ledger calls it.
#include "identity/authentication_methods.h"
#include "identity/graph_handlers.h"

namespace merlon::identity {
namespace {

using namespace graph;

constexpr auto kAny = GraphPermission::signed_in;
constexpr auto kSelf = GraphPermission::read_self;
constexpr auto kRead = GraphPermission::read_directory;
constexpr auto kWrite = GraphPermission::write_directory;
constexpr auto kWriteSelf = GraphPermission::write_self;

std::vector<GraphRoute> common_routes() {
  return {
      {.method = "GET", .pattern = "me", .permission = kAny, .read = get_me},
      {.method = "GET", .pattern = "organization", .permission = kAny, .read = get_organization},
      {.method = "POST",
       .pattern = "directoryObjects/getByIds",
       .permission = kAny,
       .read = get_by_ids,
       .shape = object_ids},
      {.method = "GET",
       .pattern = "directoryObjects/{id}",
       .permission = kSelf,
       .read = get_directory_object},
      // OpenID Connect's, at /oidc/userinfo on Graph's host.
      {.method = "GET", .pattern = "oidc/userinfo", .permission = kAny, .read = get_user_info},
  };
}

std::vector<GraphRoute> user_routes() {
  return {
      {.method = "GET", .pattern = "users", .permission = kSelf, .read = list_users},
      {.method = "POST",
       .pattern = "users",
       .permission = kWrite,
       .action = "microsoft.directory/users/create",
       .write = create_user,
       .shape = new_user},
      {.method = "GET", .pattern = "users/{id}", .permission = kSelf, .read = get_user},
      {.method = "PATCH",
       .pattern = "users/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/users/basic/update",
       .write = update_user,
       .shape = changed_user},
      {.method = "DELETE",
       .pattern = "users/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/users/delete",
       .write = delete_user},
      {.method = "GET", .pattern = "users/{id}/memberOf", .permission = kSelf, .read = list_member_of},
      {.method = "POST",
       .pattern = "users/{id}/revokeSignInSessions",
       .permission = kWrite,
       .action = "microsoft.directory/users/invalidateAllRefreshTokens",
       .write = revoke_user_sessions},
  };
}

std::vector<GraphRoute> group_routes() {
  return {
      {.method = "GET", .pattern = "groups", .permission = kRead, .read = list_groups},
      {.method = "POST",
       .pattern = "groups",
       .permission = kWrite,
       .action = "microsoft.directory/groups/create",
       .write = create_group,
       .shape = new_group},
      {.method = "GET", .pattern = "groups/{id}", .permission = kRead, .read = get_group},
      {.method = "PATCH",
       .pattern = "groups/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/groups/basic/update",
       .write = update_group,
       .shape = changed_group},
      {.method = "DELETE",
       .pattern = "groups/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/groups/delete",
       .write = delete_group},
      {.method = "GET", .pattern = "groups/{id}/members", .permission = kRead, .read = list_members},
      {.method = "GET", .pattern = "groups/{id}/memberOf", .permission = kRead, .read = list_member_of},
      {.method = "POST",
       .pattern = "groups/{id}/members/$ref",
       .permission = kWrite,
       .action = "microsoft.directory/groups/members/update",
       .write = add_member,
       .shape = member_reference},
      {.method = "DELETE",
       .pattern = "groups/{id}/members/{member}/$ref",
       .permission = kWrite,
       .action = "microsoft.directory/groups/members/update",
       .write = remove_member},
  };
}

std::vector<GraphRoute> application_routes() {
  return {
      {.method = "GET", .pattern = "applications", .permission = kRead, .read = list_applications},
      {.method = "POST",
       .pattern = "applications",
       .permission = kWrite,
       .action = "microsoft.directory/applications/create",
       .write = create_application,
       .shape = new_application},
      {.method = "GET", .pattern = "applications/{id}", .permission = kRead, .read = get_application},
      {.method = "PATCH",
       .pattern = "applications/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/applications/basic/update",
       .write = update_application,
       .shape = changed_application},
      {.method = "DELETE",
       .pattern = "applications/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/applications/delete",
       .write = delete_application},
      {.method = "POST",
       .pattern = "applications/{id}/addPassword",
       .permission = kWrite,
       .action = "microsoft.directory/applications/credentials/update",
       .write = add_password,
       .shape = new_password},
      {.method = "POST",
       .pattern = "applications/{id}/removePassword",
       .permission = kWrite,
       .action = "microsoft.directory/applications/credentials/update",
       .write = remove_password,
       .shape = removed_password},
      {.method = "POST",
       .pattern = "applications/{id}/addKey",
       .permission = kWrite,
       .action = "microsoft.directory/applications/credentials/update",
       .write = add_key,
       .shape = new_key},
      {.method = "POST",
       .pattern = "applications/{id}/removeKey",
       .permission = kWrite,
       .action = "microsoft.directory/applications/credentials/update",
       .write = remove_password,
       .shape = removed_password},
  };
}

constexpr std::string_view kFederated = "applications/{id}/federatedIdentityCredentials";
constexpr std::string_view kOneFederated = "applications/{id}/federatedIdentityCredentials/{credential}";
constexpr std::string_view kCredentialsUpdate = "microsoft.directory/applications/credentials/update";

std::vector<GraphRoute> federated_credential_routes() {
  return {
      {.method = "GET", .pattern = kFederated, .permission = kRead, .read = list_federated_credentials},
      {.method = "POST",
       .pattern = kFederated,
       .permission = kWrite,
       .action = kCredentialsUpdate,
       .write = create_federated_credential,
       .shape = new_federated_credential},
      {.method = "GET", .pattern = kOneFederated, .permission = kRead, .read = get_federated_credential},
      {.method = "PATCH",
       .pattern = kOneFederated,
       .permission = kWrite,
       .action = kCredentialsUpdate,
       .write = update_federated_credential,
       .shape = changed_federated_credential},
      {.method = "DELETE",
       .pattern = kOneFederated,
       .permission = kWrite,
       .action = kCredentialsUpdate,
       .write = delete_federated_credential},
  };
}

std::vector<GraphRoute> service_principal_routes() {
  return {
      {.method = "GET", .pattern = "servicePrincipals", .permission = kSelf, .read = list_service_principals},
      {.method = "POST",
       .pattern = "servicePrincipals",
       .permission = kWrite,
       .action = "microsoft.directory/servicePrincipals/create",
       .write = create_service_principal,
       .shape = new_service_principal},
      {.method = "GET",
       .pattern = "servicePrincipals/{id}",
       .permission = kSelf,
       .read = get_service_principal},
      {.method = "PATCH",
       .pattern = "servicePrincipals/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/servicePrincipals/basic/update",
       .write = update_service_principal,
       .shape = changed_service_principal},
      {.method = "DELETE",
       .pattern = "servicePrincipals/{id}",
       .permission = kWrite,
       .action = "microsoft.directory/servicePrincipals/delete",
       .write = delete_service_principal},
      {.method = "GET",
       .pattern = "servicePrincipals/{id}/memberOf",
       .permission = kSelf,
       .read = list_member_of},
  };
}

// Names of ours as OData qualifies them, so that none can meet one of Graph's.
std::vector<GraphRoute> merlon_routes() {
  return {
      {.method = "GET", .pattern = "merlon.sessions", .permission = kSelf, .read = list_sessions},
      {.method = "GET",
       .pattern = "users/{id}/merlon.sessions",
       .permission = kSelf,
       .read = list_user_sessions},
      {.method = "DELETE",
       .pattern = "merlon.sessions/{id}",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/sessions/revoke/action",
       .write = end_one_session},
      {.method = "POST",
       .pattern = "me/revokeSignInSessions",
       .permission = kWriteSelf,
       .action = "microsoft.directory/users/invalidateAllRefreshTokens",
       .write = revoke_own_sessions},
      {.method = "GET", .pattern = "merlon.signingKeys", .permission = kRead, .read = list_signing_keys},
      {.method = "POST",
       .pattern = "merlon.signingKeys/rotate",
       .permission = kWrite,
       .action = "Merlon.Identity/signingKeys/rotate/action",
       .write = rotate_signing_key,
       .shape = rotation,
       .prepare = make_signing_key},
      {.method = "POST",
       .pattern = "servicePrincipals/{id}/merlon.consent",
       .permission = kWrite,
       .action = "microsoft.directory/servicePrincipals/managePermissionGrantsForAll",
       .write = set_consent,
       .shape = consent},
  };
}

}  // namespace

const std::vector<GraphRoute>& graph_routes() {
  static const std::vector<GraphRoute> routes = [] {
    std::vector<GraphRoute> all;
    for (const auto& part :
         {common_routes(), user_routes(), group_routes(), application_routes(), federated_credential_routes(),
          service_principal_routes(), merlon_routes(), authentication_routes()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return routes;
}

}  // namespace merlon::identity
