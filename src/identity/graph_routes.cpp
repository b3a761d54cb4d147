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
constexpr auto kWriteOwned = GraphPermission::write_owned;
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
      {.method = "GET", .pattern = "users/$count", .permission = kSelf, .read = list_users, .counts = true},
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
      {.method = "POST",
       .pattern = "users/{id}/revokeSignInSessions",
       .permission = kWrite,
       .action = "microsoft.directory/users/invalidateAllRefreshTokens",
       .write = revoke_user_sessions,
       .only_takes = true},
  };
}

std::vector<GraphRoute> group_routes() {
  return {
      {.method = "GET", .pattern = "groups", .permission = kSelf, .read = list_groups},
      {.method = "GET", .pattern = "groups/$count", .permission = kSelf, .read = list_groups, .counts = true},
      {.method = "POST",
       .pattern = "groups",
       .permission = kWrite,
       .action = "microsoft.directory/groups/create",
       .write = create_group,
       .shape = new_group},
      {.method = "GET", .pattern = "groups/{id}", .permission = kSelf, .read = get_group},
      {.method = "PATCH",
       .pattern = "groups/{id}",
       .permission = kWriteOwned,
       .action = "microsoft.directory/groups/basic/update",
       .write = update_group,
       .shape = changed_group},
      {.method = "DELETE",
       .pattern = "groups/{id}",
       .permission = kWriteOwned,
       .action = "microsoft.directory/groups/delete",
       .write = delete_group},
      {.method = "POST",
       .pattern = "groups/{id}/members/$ref",
       .permission = kWriteOwned,
       .action = "microsoft.directory/groups/members/update",
       .write = add_member,
       .shape = member_reference},
      {.method = "DELETE",
       .pattern = "groups/{id}/members/{member}/$ref",
       .permission = kWriteOwned,
       .action = "microsoft.directory/groups/members/update",
       .write = remove_member},
  };
}

std::vector<GraphRoute> application_routes() {
  return {
      {.method = "GET", .pattern = "applications", .permission = kSelf, .read = list_applications},
      {.method = "GET",
       .pattern = "applications/$count",
       .permission = kSelf,
       .read = list_applications,
       .counts = true},
      {.method = "POST",
       .pattern = "applications",
       .permission = kWrite,
       .action = "microsoft.directory/applications/create",
       .write = create_application,
       .shape = new_application},
      {.method = "GET", .pattern = "applications/{id}", .permission = kSelf, .read = get_application},
      {.method = "PATCH",
       .pattern = "applications/{id}",
       .permission = kWriteOwned,
       .action = "microsoft.directory/applications/basic/update",
       .write = update_application,
       .shape = changed_application},
      {.method = "DELETE",
       .pattern = "applications/{id}",
       .permission = kWriteOwned,
       .action = "microsoft.directory/applications/delete",
       .write = delete_application},
      {.method = "POST",
       .pattern = "applications/{id}/addPassword",
       .permission = kWriteOwned,
       .action = "microsoft.directory/applications/credentials/update",
       .write = add_password,
       .shape = new_password},
      {.method = "POST",
       .pattern = "applications/{id}/removePassword",
       .permission = kWriteOwned,
       .action = "microsoft.directory/applications/credentials/update",
       .write = remove_password,
       .shape = removed_password,
       .only_takes = true},
      {.method = "POST",
       .pattern = "applications/{id}/addKey",
       .permission = kWriteOwned,
       .action = "microsoft.directory/applications/credentials/update",
       .write = add_key,
       .shape = new_key},
      {.method = "POST",
       .pattern = "applications/{id}/removeKey",
       .permission = kWriteOwned,
       .action = "microsoft.directory/applications/credentials/update",
       .write = remove_password,
       .shape = removed_password,
       .only_takes = true},
  };
}

constexpr std::string_view kFederated = "applications/{id}/federatedIdentityCredentials";
constexpr std::string_view kOneFederated = "applications/{id}/federatedIdentityCredentials/{credential}";
constexpr std::string_view kCredentialsUpdate = "microsoft.directory/applications/credentials/update";

std::vector<GraphRoute> federated_credential_routes() {
  return {
      {.method = "GET", .pattern = kFederated, .permission = kSelf, .read = list_federated_credentials},
      {.method = "POST",
       .pattern = kFederated,
       .permission = kWriteOwned,
       .action = kCredentialsUpdate,
       .write = create_federated_credential,
       .shape = new_federated_credential},
      {.method = "GET", .pattern = kOneFederated, .permission = kSelf, .read = get_federated_credential},
      {.method = "PATCH",
       .pattern = kOneFederated,
       .permission = kWriteOwned,
       .action = kCredentialsUpdate,
       .write = update_federated_credential,
       .shape = changed_federated_credential},
      {.method = "DELETE",
       .pattern = kOneFederated,
       .permission = kWriteOwned,
       .action = kCredentialsUpdate,
       .write = delete_federated_credential},
  };
}

std::vector<GraphRoute> service_principal_routes() {
  return {
      {.method = "GET", .pattern = "servicePrincipals", .permission = kSelf, .read = list_service_principals},
      {.method = "GET",
       .pattern = "servicePrincipals/$count",
       .permission = kSelf,
       .read = list_service_principals,
       .counts = true},
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
  };
}

// What the row has in all: a read, with a body when there is a shape.
GraphRoute read_row(std::string_view method, std::string_view pattern, GraphRead read,
                    schema::Shape (*shape)() = nullptr, bool counts = false) {
  GraphRoute row{.method = method, .pattern = pattern, .permission = kSelf};
  row.read = read;
  row.shape = shape;
  row.counts = counts;
  return row;
}

std::vector<GraphRoute> membership_routes() {
  return {
      read_row("GET", "groups/{id}/members", list_members),
      read_row("GET", "groups/{id}/members/$count", list_members, nullptr, true),
      read_row("GET", "groups/{id}/transitiveMembers", list_transitive_members),
      read_row("GET", "groups/{id}/transitiveMembers/$count", list_transitive_members, nullptr, true),
      read_row("GET", "me/memberOf", list_member_of),
      read_row("GET", "me/transitiveMemberOf", list_transitive_member_of),
      read_row("POST", "me/getMemberGroups", get_member_groups, member_groups),
      read_row("POST", "me/checkMemberGroups", check_member_groups, checked_groups),
      read_row("GET", "users/{id}/memberOf", list_member_of),
      read_row("GET", "users/{id}/transitiveMemberOf", list_transitive_member_of),
      read_row("POST", "users/{id}/getMemberGroups", get_member_groups, member_groups),
      read_row("POST", "users/{id}/checkMemberGroups", check_member_groups, checked_groups),
      read_row("GET", "groups/{id}/memberOf", list_member_of),
      read_row("GET", "groups/{id}/transitiveMemberOf", list_transitive_member_of),
      read_row("POST", "groups/{id}/getMemberGroups", get_member_groups, member_groups),
      read_row("POST", "groups/{id}/checkMemberGroups", check_member_groups, checked_groups),
      read_row("GET", "servicePrincipals/{id}/memberOf", list_member_of),
      read_row("GET", "servicePrincipals/{id}/transitiveMemberOf", list_transitive_member_of),
      read_row("POST", "servicePrincipals/{id}/getMemberGroups", get_member_groups, member_groups),
      read_row("POST", "servicePrincipals/{id}/checkMemberGroups", check_member_groups, checked_groups),
      read_row("POST", "directoryObjects/{id}/getMemberGroups", get_member_groups, member_groups),
      read_row("POST", "directoryObjects/{id}/checkMemberGroups", check_member_groups, checked_groups),
  };
}

constexpr std::string_view kGroupOwners = "microsoft.directory/groups/owners/update";
constexpr std::string_view kApplicationOwners = "microsoft.directory/applications/owners/update";

std::vector<GraphRoute> owner_routes() {
  return {
      {.method = "GET", .pattern = "me/ownedObjects", .permission = kAny, .read = list_owned_objects},
      {.method = "GET", .pattern = "groups/{id}/owners", .permission = kSelf, .read = list_owners},
      {.method = "POST",
       .pattern = "groups/{id}/owners/$ref",
       .permission = kWriteOwned,
       .action = kGroupOwners,
       .write = add_owner,
       .shape = member_reference},
      {.method = "DELETE",
       .pattern = "groups/{id}/owners/{owner}/$ref",
       .permission = kWriteOwned,
       .action = kGroupOwners,
       .write = remove_owner},
      {.method = "GET", .pattern = "applications/{id}/owners", .permission = kSelf, .read = list_owners},
      {.method = "POST",
       .pattern = "applications/{id}/owners/$ref",
       .permission = kWriteOwned,
       .action = kApplicationOwners,
       .write = add_owner,
       .shape = member_reference},
      {.method = "DELETE",
       .pattern = "applications/{id}/owners/{owner}/$ref",
       .permission = kWriteOwned,
       .action = kApplicationOwners,
       .write = remove_owner},
      {.method = "GET", .pattern = "servicePrincipals/{id}/owners", .permission = kSelf, .read = list_owners},
  };
}

constexpr std::string_view kPrincipalCredentials = "microsoft.directory/servicePrincipals/credentials/update";

std::vector<GraphRoute> principal_credential_routes() {
  std::vector<GraphRoute> rows;
  const auto row = [&](std::string_view pattern, GraphWrite write, schema::Shape (*shape)()) {
    GraphRoute one{
        .method = "POST", .pattern = pattern, .permission = kWrite, .action = kPrincipalCredentials};
    one.write = write;
    one.shape = shape;
    one.only_takes = write == remove_password;
    rows.push_back(one);
  };
  row("servicePrincipals/{id}/addPassword", add_password, new_password);
  row("servicePrincipals/{id}/removePassword", remove_password, removed_password);
  row("servicePrincipals/{id}/addKey", add_key, new_key);
  row("servicePrincipals/{id}/removeKey", remove_password, removed_password);
  return rows;
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
          service_principal_routes(), principal_credential_routes(), membership_routes(), owner_routes(),
          merlon_routes(), authentication_routes()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return routes;
}

}  // namespace merlon::identity
