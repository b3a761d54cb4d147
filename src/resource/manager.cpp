// tidy: allow(banned-name) because Azure calls it the Resource Manager
// The Manager itself: declarations in, requests and services' calls out to the parts that do the work.
#include "resource/manager.h"

#include "base/text.h"
#include "resource/begun_writes.h"
#include "resource/pipeline.h"
#include "resource/removal.h"
#include "resource/router.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

// tidy: allow(banned-name) because Azure calls it the Resource Manager
class ResourceManager final : public Manager, public BegunWrites, public ForgottenScopes {
 public:
  explicit ResourceManager(Core core) : state_(std::move(core)), pipeline_(state_, router_) {
    const AddRoute add_route = [this](Route route) { add(std::move(route)); };
    add_metadata_routes(state_, add_route);
    add_subscription_routes(state_, add_route);
    add_group_routes(state_, add_route);
    add_resource_list_routes(state_, add_route);
    add_provider_routes(state_, add_route);
    add_operation_routes(state_, add_route);
    add_tag_routes(state_, add_route);
    add_tag_name_routes(state_, add_route);
    add_activity_log_routes(state_, add_route);
    add_role_routes(state_, add_route);
    add_access_routes(state_, add_route);
    add_elevate_access_route(state_, add_route);
    add_management_group_routes(state_, add_route);
    add_ledger_routes(state_, add_route);
    add_lock_routes(state_, add_route);
    add_step_up_routes(state_, add_route);
    add_move_routes(state_, add_route);
    add_graph_routes(state_, add_route);
    add_openapi_route(state_, add_route);
    add_provider_operation_routes(state_, add_route);
  }

  void add(Route route) override {
    MERLON_CHECK(route.permission.empty() != route.public_because.empty());
    MERLON_CHECK((route.read != nullptr) != (route.write != nullptr));
    MERLON_CHECK(!route.permission.empty() || route.read != nullptr);
    router_.add(route, state_.routes.size());
    state_.routes.push_back(std::move(route));
  }
  void add(ResourceType type) override {
    const ResourceType& added = state_.types.add(std::move(type));
    add_type_routes(state_, added, [this](Route route) { add(std::move(route)); });
  }
  void add(EmbeddedType type) override {
    const EmbeddedType& added = state_.types.add(std::move(type));
    add_embedded_routes(state_, added, [this](Route route) { add(std::move(route)); });
  }
  const std::vector<Route>& routes() const override { return state_.routes; }
  void on_forgotten(Forget forget) override { state_.forgetting.push_back(std::move(forget)); }

  net::Response handle(const net::Request& request, const std::string& origin) override {
    return pipeline_.handle(request, origin);
  }
  std::optional<net::Response> answer_at_once(const net::Request& request,
                                              const std::string& origin) override {
    return pipeline_.answer_at_once(request, origin);
  }
  bool begin_at_once(const std::shared_ptr<const net::Request>& request, const std::string& origin,
                     const net::LateAnswer& answer) override {
    return pipeline_.begin_at_once(request, origin, answer);
  }

  Result<std::optional<Resource>> get(store::Reader& reader, const ResourceId& id) override {
    return state_.documents.get(reader, id);
  }
  Result<std::vector<Resource>> list(store::Reader& reader, std::string_view type,
                                     std::string_view scope) override {
    return state_.documents.list(reader, type, scope);
  }
  Result<Resource> store_document(WriteContext& context, const ResourceId& id, JsonObject body) override {
    TRY(state_.groups.require(context.tx, id));
    Resource stored = TRY(state_.documents.put(context.tx, id, std::move(body), context.actor));
    const ResourceType* type = state_.types.find(id.type());
    if (type == nullptr || !type->changed) return stored;
    TRY(type->changed(context, id));
    auto current = TRY(state_.documents.refreshed(context.tx, std::move(stored)));
    if (!current) return internal_error("resource " + id.text() + " is gone after it was stored");
    return *std::move(current);
  }
  Result<Resource> render(store::Transaction& tx, const ResourceId& id, JsonObject body) override {
    return state_.documents.put(tx, id, std::move(body), {"System", {}, "merlon", {}});
  }
  Result<void> erase(store::Transaction& tx, const ResourceId& id) override {
    TRY(state_.documents.erase(tx, id));
    return state_.forget_scope(tx, id);
  }
  Result<bool> may(store::Reader& reader, const Call& call, std::string_view action,
                   std::string_view scope) override {
    return state_.may(reader, call, action, scope);
  }
  Result<void> require_unlocked(store::Reader& reader, std::string_view scope, Change change) override {
    return state_.locks.check(reader, scope, change);
  }
  Result<bool> group_exists(store::Reader& reader, std::string_view group_id) override {
    return state_.groups.exists(reader, group_id);
  }
  Result<void> ensure_group(WriteContext& context, const ResourceId& group,
                            const std::string& location) override {
    if (TRY(state_.groups.exists(context.tx, group.text()))) return {};
    TRY(check_group_name(group.resource_group()));
    TRY(state_.groups.put(context.tx, group, {{"location", location}}));
    return context.record("Microsoft.Resources/subscriptions/resourceGroups/write", group.text(), {});
  }

  Result<Operation> start_operation(WriteContext& context, const ResourceId& id, std::string_view status,
                                    JsonObject result) override {
    return state_.operations.start(context, id, status, std::move(result));
  }
  Result<void> finish_operation(store::Transaction& tx, const std::string& operation_id,
                                std::string_view status, JsonObject result) override {
    return state_.operations.finish(tx, operation_id, status, std::move(result));
  }
  net::Response accepted(const Call& call, const Operation& operation) override {
    return Operations::accepted(call, operation);
  }

  Result<void> as_system(store::Transaction& tx, std::string_view reason,
                         const std::function<Result<void>(WriteContext&)>& work) override {
    net::Request request;
    request.method = "SYSTEM";
    request.request_id = Uuid::generate(state_.core.random).text();
    const Call call{.request = request,
                    .parameters = {},
                    .id = {},
                    .body = {},
                    .principal = {},
                    .tenant = state_.core.tenant,
                    .now = state_.core.clock.now(),
                    .origin = "https://" + state_.core.domain,
                    .api_version = {},
                    .correlation_id = request.request_id,
                    .gathered = {}};
    WriteContext context(state_.core, call, tx, std::string(reason));
    TRY(work(context));
    // No change without an entry: work that made none gets one.
    if (context.recorded > 0) return {};
    return context.record("Merlon.System/work/action", "/", context.details);
  }

 private:
  State state_;
  Router router_;
  Pipeline pipeline_;
};

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs{
      Documents::table(),  Documents::changes_table(), Groups::table(),
      Operations::table(), registrations_table(),      subscription_tags_table(),
      Locks::table(),      StepUps::table(),           tag_names_table()};
  return specs;
}

std::unique_ptr<Manager> Manager::make(Core core) {
  return std::make_unique<ResourceManager>(std::move(core));
}

}  // namespace merlon::resource
