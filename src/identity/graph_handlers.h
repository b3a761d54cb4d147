// The functions that the rows of graph_routes.cpp name.
#pragma once

#include "identity/graph.h"

namespace merlon::identity::graph {

// What the path names. Who may not see it is denied, whether it exists or not.
Result<Application> application_argument(const GraphCall& call, store::Reader& reader);
Result<ServicePrincipal> service_principal_argument(const GraphCall& call, store::Reader& reader);
Result<Group> group_argument(const GraphCall& call, store::Reader& reader);
// The object that a body like {"@odata.id": "https://…/directoryObjects/{id}"} refers to.
Result<Uuid> reference_in(const JsonObject& body);
// Whose credentials are the service principal's.
Result<Application> application_of(const GraphCall& call, store::Reader& reader,
                                   const ServicePrincipal& principal);
// The list as the caller wants it to be: entries with a known keyId stay, entries with a key are added,
// others go.
Result<void> replace_keys(const GraphCall& call, store::Transaction& tx, const Application& application,
                          const JsonArray& wanted);
schema::Shape key_credential();

schema::Shape new_user();
schema::Shape changed_user();
Result<JsonObject> list_users(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_user(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_me(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_user_info(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> create_user(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> update_user(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> delete_user(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> revoke_user_sessions(const GraphCall& call, store::Transaction& tx);

schema::Shape new_group();
schema::Shape changed_group();
schema::Shape member_reference();
Result<JsonObject> list_groups(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_group(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> create_group(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> update_group(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> delete_group(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> add_member(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> remove_member(const GraphCall& call, store::Transaction& tx);

schema::Shape member_groups();
schema::Shape checked_groups();
Result<JsonObject> list_members(const GraphCall& call, store::Reader& reader);
Result<JsonObject> list_transitive_members(const GraphCall& call, store::Reader& reader);
Result<JsonObject> list_member_of(const GraphCall& call, store::Reader& reader);
Result<JsonObject> list_transitive_member_of(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_member_groups(const GraphCall& call, store::Reader& reader);
Result<JsonObject> check_member_groups(const GraphCall& call, store::Reader& reader);

Result<JsonObject> list_owners(const GraphCall& call, store::Reader& reader);
Result<JsonObject> list_owned_objects(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> add_owner(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> remove_owner(const GraphCall& call, store::Transaction& tx);

schema::Shape new_application();
schema::Shape changed_application();
schema::Shape new_password();
schema::Shape removed_password();
schema::Shape new_key();
Result<JsonObject> list_applications(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_application(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> create_application(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> update_application(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> delete_application(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> add_password(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> remove_password(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> add_key(const GraphCall& call, store::Transaction& tx);

schema::Shape new_federated_credential();
schema::Shape changed_federated_credential();
Result<JsonObject> list_federated_credentials(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_federated_credential(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> create_federated_credential(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> update_federated_credential(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> delete_federated_credential(const GraphCall& call, store::Transaction& tx);

schema::Shape new_service_principal();
schema::Shape changed_service_principal();
Result<JsonObject> list_service_principals(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_service_principal(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> create_service_principal(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> update_service_principal(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> delete_service_principal(const GraphCall& call, store::Transaction& tx);

schema::Shape object_ids();
Result<JsonObject> get_organization(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_by_ids(const GraphCall& call, store::Reader& reader);
Result<JsonObject> get_directory_object(const GraphCall& call, store::Reader& reader);

Result<JsonObject> list_sessions(const GraphCall& call, store::Reader& reader);
Result<JsonObject> list_user_sessions(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> end_one_session(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> revoke_own_sessions(const GraphCall& call, store::Transaction& tx);

schema::Shape rotation();
Result<JsonObject> list_signing_keys(const GraphCall& call, store::Reader& reader);
Result<std::any> make_signing_key(const GraphCall& call);
Result<GraphOutcome> rotate_signing_key(const GraphCall& call, store::Transaction& tx);

schema::Shape consent();
Result<GraphOutcome> set_consent(const GraphCall& call, store::Transaction& tx);

}  // namespace merlon::identity::graph
