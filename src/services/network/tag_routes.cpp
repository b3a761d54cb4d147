// Service tags over HTTP: Merlon's routes to load them, Azure's to read them.
#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "resource/document_rules.h"
#include "resource/paging.h"
#include "services/network/declarations.h"

namespace merlon::network {
namespace {

using resource::Call;
using resource::Route;
using resource::WriteContext;

constexpr const char* kSets = "/subscriptions/{subscriptionId}/providers/Merlon.Network/serviceTagSets";
constexpr size_t kTagsPerPage = 1000;

JsonObject shown_set(const Call& call, const ServiceTagSet& set) {
  return {{"id", "/subscriptions/" + call.parameter("subscriptionId") +
                     "/providers/Merlon.Network/serviceTagSets/" + set.name},
          {"name", set.name},
          {"type", "Merlon.Network/serviceTagSets"},
          {"properties", JsonObject{{"cloud", set.cloud},
                                    {"changeNumber", set.change_number},
                                    {"tags", set.tags},
                                    {"loaded", to_rfc3339(set.loaded)},
                                    {"loadedBy", set.loaded_by},
                                    {"provisioningState", "Succeeded"}}}};
}

// What changed: in the answer for the caller, in the ledger for everyone later.
JsonObject change_json(const Service::TagChange& change) {
  JsonArray retired;
  for (const auto& [tag, groups] : change.retired)
    retired.push_back(
        JsonObject{{"tag", tag}, {"networkSecurityGroups", JsonArray(groups.begin(), groups.end())}});
  return {{"added", change.added},
          {"changed", change.changed},
          {"removed", change.removed},
          {"machines", change.machines},
          {"retired", std::move(retired)}};
}

net::Response changed_response(WriteContext& context, int status, const Service::TagChange& change) {
  JsonObject shown = shown_set(context.call, change.set);
  shown["properties"].as_object()["change"] = change_json(change);
  context.details = change_json(change);
  context.details["changeNumber"] = change.set.change_number;
  return resource::json_response(status, shown);
}

Result<ServiceTagSet> require_set(store::Reader& reader, const Call& call) {
  const std::string& name = call.parameter("setName");
  auto set = TRY(store::get<ServiceTagSet>(reader, call.tenant, ascii_lower(name)));
  if (!set)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "There is no set of service tags '" + name + "'. See 'merlon network service-tags list'.");
  return *std::move(set);
}

Route set_route(std::string method, std::string verb, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = std::string(kSets) + "/{setName}";
  route.permission = "Merlon.Network/serviceTagSets/" + verb;
  route.summary = std::move(summary);
  return route;
}

Route load_route(Service& service) {
  Route route = set_route("PUT", "write", "Loads a set of service tags, in place of what it had");
  // Read strictly by read_service_tags, which names the tag that is wrong.
  route.body = schema::object(
      {schema::optional("cloud", schema::anything()), schema::optional("changeNumber", schema::anything()),
       schema::required("values", schema::array_of(schema::anything()).with_range(0, 100'000))});
  route.gather = [](const Call& call) -> Result<resource::Gathered> {
    TRY(resource::check_resource_name(call.parameter("setName"), "Merlon.Network/serviceTagSets"));
    return resource::Gathered::of(TRY(read_service_tags(call.body)));
  };
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    const auto* file = std::any_cast<ServiceTagFile>(&context.call.gathered);
    MERLON_CHECK(file != nullptr);
    const std::string& name = context.call.parameter("setName");
    const bool is_new =
        !TRY(store::get<ServiceTagSet>(context.tx, context.call.tenant, ascii_lower(name))).has_value();
    return changed_response(context, is_new ? 201 : 200, TRY(service.load_tags(context, name, *file)));
  };
  return route;
}

Route remove_route(Service& service) {
  Route route = set_route("DELETE", "delete", "Removes a set of service tags");
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    const ServiceTagSet set = TRY(require_set(context.tx, context.call));
    return changed_response(context, 200, TRY(service.remove_tags(context, set.name)));
  };
  return route;
}

Route get_route() {
  Route route = set_route("GET", "read", "Gets what is known of a set of service tags");
  route.read = [](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200, shown_set(call, TRY(require_set(reader, call))));
  };
  return route;
}

Route list_route() {
  Route route = set_route("GET", "read", "Lists the sets of service tags");
  route.path = kSets;
  route.checked_at = "/subscriptions/{subscriptionId}";
  route.read = [](const Call& call, store::Reader& reader) -> Result<net::Response> {
    JsonArray values;
    for (const ServiceTagSet& set : TRY(store::scan_all<ServiceTagSet>(reader, call.tenant)))
      values.push_back(shown_set(call, set));
    return resource::json_response(200, {{"value", std::move(values)}});
  };
  return route;
}

JsonArray platform_tags() {
  JsonArray values;
  for (const auto& [name, prefixes] : fixed_platform_tags())
    values.push_back(JsonObject{
        {"name", name},
        {"id", name},
        {"properties", JsonObject{{"changeNumber", "1"},
                                  {"region", ""},
                                  {"systemService", "AzurePlatform"},
                                  {"addressPrefixes", JsonArray(prefixes.begin(), prefixes.end())}}}});
  return values;
}

// Azure's own: every tag that a rule may name, with its addresses.
Route tags_route() {
  Route route;
  route.method = "GET";
  route.path = "/subscriptions/{subscriptionId}/providers/Microsoft.Network/locations/{location}/serviceTags";
  route.permission = "Microsoft.Network/locations/serviceTags/read";
  route.checked_at = "/subscriptions/{subscriptionId}";
  route.summary = "Lists the service tags and their addresses";
  route.read = [](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const resource::Page page = TRY(resource::page_of(call, kTagsPerPage));
    std::string cloud = "Public";
    std::vector<std::string> numbers;
    for (const ServiceTagSet& set : TRY(store::scan_all<ServiceTagSet>(reader, call.tenant))) {
      if (!set.cloud.empty()) cloud = set.cloud;
      if (!set.change_number.empty()) numbers.push_back(set.change_number);
    }
    JsonArray values = page.after.empty() ? platform_tags() : JsonArray();
    const std::string after = TRY(resource::walk_keys(
        reader, ServiceTag::table(), call.tenant, "", page, [&](const resource::WalkRow& at) -> Result<bool> {
          values.push_back(shown_tag(TRY(store::decode<ServiceTag>(at.row))));
          return true;
        }));
    const std::string name = ascii_lower(cloud);
    JsonObject body = {{"name", name},
                       {"id", "/subscriptions/" + call.parameter("subscriptionId") +
                                  "/providers/Microsoft.Network/serviceTags/" + name},
                       {"type", "Microsoft.Network/serviceTags"},
                       {"changeNumber", numbers.empty() ? "0" : join(numbers, "-")},
                       {"cloud", cloud},
                       {"values", std::move(values)}};
    if (!after.empty()) body["nextLink"] = resource::next_link(call, after);
    return resource::json_response(200, body);
  };
  return route;
}

}  // namespace

void add_tag_routes(const Platform& platform, Service& service) {
  platform.resources.add(load_route(service));
  platform.resources.add(remove_route(service));
  platform.resources.add(get_route());
  platform.resources.add(list_route());
  platform.resources.add(tags_route());
}

}  // namespace merlon::network
