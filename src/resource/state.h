// What the parts of the Resource Manager share: the foundation, the declared types and the stored things. One
// per Manager; routes hold a reference to it.
#pragma once

#include <functional>
#include <memory>

#include "resource/documents.h"
#include "resource/forgotten_scopes.h"
#include "resource/groups.h"
#include "resource/known_documents.h"
#include "resource/locks.h"
#include "resource/manager.h"
#include "resource/operations.h"
#include "resource/step_up.h"
#include "resource/type_registry.h"

namespace merlon::resource {

struct State {
  explicit State(Core core_in) : core(std::move(core_in)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Core core;
  TypeRegistry types;
  Documents documents{core, types};
  mutable KnownDocuments known_documents{Documents::table()};
  Groups groups{core};
  Operations operations{core};
  Locks locks{core};
  StepUps step_ups{core};
  std::vector<Route> routes;
  std::vector<ForgottenScopes::Forget> forgetting;  // what else goes

  std::string subscription_path() const { return "/subscriptions/" + core.subscription.text(); }
  // What is deleted takes its role assignments, locks and step-up policies along, and those of all that is in
  // it.
  Result<void> forget_scope(store::Transaction& tx, const ResourceId& id) const;
  // Manager::may.
  Result<bool> may(store::Reader& reader, const Call& call, std::string_view action,
                   std::string_view scope) const;
  // For an empty filter_items list: 403 unless the caller has the permission at some resource group at least.
  // Then "nothing here that you may see" and "you may see nothing" stay two different answers.
  Result<void> refuse_if_blind(store::Reader& reader, const Call& call, std::string_view action) const;
  // The provider is registered, or 409 MissingSubscriptionRegistration.
  Result<void> require_registered(store::Reader& reader, std::string_view provider) const;
  // 404 ParentResourceNotFound unless the resource that `id` is nested in exists.
  Result<void> require_parent(store::Reader& reader, const ResourceId& id) const;
};

// Azure's text for a refusal (Microsoft Learn, "Troubleshoot Azure RBAC").
Error authorization_failed(const identity::Principal& principal, std::string_view action,
                           std::string_view scope);
Error resource_not_found(const ResourceId& id);

// The built-in routes, one function per file.
using AddRoute = std::function<void(Route)>;
void add_metadata_routes(State& state, const AddRoute& add);
void add_subscription_routes(State& state, const AddRoute& add);
void add_group_routes(State& state, const AddRoute& add);
void add_resource_list_routes(State& state, const AddRoute& add);
void add_provider_routes(State& state, const AddRoute& add);
void add_operation_routes(State& state, const AddRoute& add);
void add_tag_routes(State& state, const AddRoute& add);
void add_tag_name_routes(State& state, const AddRoute& add);
void add_activity_log_routes(State& state, const AddRoute& add);
void add_role_routes(State& state, const AddRoute& add);
void add_access_routes(State& state, const AddRoute& add);
void add_elevate_access_route(State& state, const AddRoute& add);
void add_management_group_routes(State& state, const AddRoute& add);
void add_ledger_routes(State& state, const AddRoute& add);
void add_lock_routes(State& state, const AddRoute& add);
void add_step_up_routes(State& state, const AddRoute& add);
void add_move_routes(State& state, const AddRoute& add);
void add_graph_routes(State& state, const AddRoute& add);
void add_openapi_route(State& state, const AddRoute& add);
void add_provider_operation_routes(State& state, const AddRoute& add);

// The routes of a declared type.
void add_type_routes(State& state, const ResourceType& type, const AddRoute& add);
void add_embedded_routes(State& state, const EmbeddedType& type, const AddRoute& add);

const store::TableSpec& registrations_table();  // providers that were unregistered
const store::TableSpec& subscription_tags_table();
const store::TableSpec& tag_names_table();  // names and values that somebody set up before their use

}  // namespace merlon::resource
