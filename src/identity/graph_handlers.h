// The functions that the rows of graph_routes.cpp name.
#pragma once

#include "identity/graph.h"

namespace merlon::identity::graph {

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
Result<JsonObject> list_members(const GraphCall& call, store::Reader& reader);
Result<JsonObject> list_member_of(const GraphCall& call, store::Reader& reader);
Result<GraphOutcome> create_group(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> update_group(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> delete_group(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> add_member(const GraphCall& call, store::Transaction& tx);
Result<GraphOutcome> remove_member(const GraphCall& call, store::Transaction& tx);

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
