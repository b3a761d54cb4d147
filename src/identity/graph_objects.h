// What Graph's handlers share: how objects look on the wire, and how lists are paged and filtered.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/text.h"
#include "identity/graph.h"

namespace merlon::identity {

JsonObject graph_user(const User& user);
JsonObject graph_group(const Group& group);
JsonObject graph_application(const Application& application);
JsonObject graph_service_principal(const ServicePrincipal& principal, const Application* application,
                                   const TenantId& tenant);
// With "@odata.type", as collections of mixed types have it; nothing when the id names no object.
Result<std::optional<JsonObject>> graph_directory_object(store::Reader& reader, Directory& directory,
                                                         const Uuid& id);

std::unexpected<Error> graph_not_found(std::string_view id);
std::unexpected<Error> graph_denied();
std::unexpected<Error> graph_bad_request(std::string message, std::string target = {});
JsonObject graph_single(const GraphCall& call, std::string_view entity_set, JsonObject object);
JsonObject graph_list(const GraphCall& call, std::string_view entity_set, JsonArray values);

// One page of these objects, sorted by id, of all types; those that are gone are left out.
Result<JsonObject> graph_objects_page(const GraphCall& call, store::Reader& reader, std::vector<Uuid> ids);
// The address of the page after `last`: this request's own, with another $skiptoken.
std::string graph_next_link(const GraphCall& call, const std::string& last);

template <store::Record T>
using ToGraph = std::function<Result<JsonObject>(const T&)>;

// Rows that can fit the filter, found by an index where one of its terms has one; nothing when only a scan
// will do.
template <store::Record T>
Result<std::optional<std::vector<T>>> graph_candidates(store::Reader& reader, const TenantId& tenant,
                                                       const std::vector<FilterTerm>& filter) {
  const auto& indexes = T::table().indexes;
  const auto has_index = [&](std::string_view name) {
    return std::ranges::any_of(indexes, [&](const store::IndexSpec& index) { return index.name == name; });
  };
  for (const FilterTerm& term : filter) {
    const std::string value = ascii_lower(term.value);
    const bool equals = term.op == FilterOperator::equals;
    if (equals && ascii_iequal(term.field, "id")) {
      auto record = TRY(store::get<T>(reader, tenant, value));
      return record ? std::vector<T>{*std::move(record)} : std::vector<T>();
    }
    if (equals && ascii_iequal(term.field, "appId") && has_index("app_id"))
      return TRY(store::find<T>(reader, tenant, "app_id", value));
    // An application's id is one of the names, and no other name is a GUID.
    if (term.op == FilterOperator::any_equals && ascii_iequal(term.field, "servicePrincipalNames") &&
        has_index("app_id") && Uuid::parse(value))
      return TRY(store::find<T>(reader, tenant, "app_id", value));
    if (equals && ascii_iequal(term.field, "userPrincipalName") && has_index("name"))
      return TRY(store::find<T>(reader, tenant, "name", value));
    if (equals && ascii_iequal(term.field, "displayName"))
      return TRY(store::find<T>(reader, tenant, "display_name", value));
    if (term.op == FilterOperator::starts_with && ascii_iequal(term.field, "displayName")) {
      std::vector<T> found;
      store::Range range{.prefix = value, .after = {}, .after_key = {}};
      for (;;) {
        const auto rows = TRY(reader.scan_index(T::table(), tenant, "display_name", range));
        for (const store::IndexedRow& row : rows) found.push_back(TRY(store::decode<T>(row.row)));
        if (rows.size() < range.limit) return found;
        range.after = rows.back().value;
        range.after_key = rows.back().row.key;
      }
    }
  }
  return std::nullopt;
}

// One page of the collection, sorted by id. Who may not read the directory gets themselves, or a refusal.
template <store::Record T>
Result<JsonObject> graph_page(const GraphCall& call, store::Reader& reader, std::string_view entity_set,
                              const ToGraph<T>& to_graph) {
  const GraphQuery query = TRY(call.query());
  JsonArray values;
  std::string last;
  bool more = false;
  int64_t total = 0;
  // False ends the page; who wants the number of all goes on.
  const auto add = [&](const T& record) -> Result<bool> {
    const bool passed = !query.skip_token.empty() && record.key() <= query.skip_token;
    if (passed && !query.count) return true;
    if (!call.may_see(record.id)) return true;
    const JsonObject object = TRY(to_graph(record));
    if (!TRY(matches(query.filter, object))) return true;
    ++total;
    if (passed) return true;
    if (values.size() == query.top) {
      more = true;
      return query.count;
    }
    last = record.key();
    values.push_back(selected(object, query.select));
    return true;
  };
  auto candidates = TRY(graph_candidates<T>(reader, call.tenant(), query.filter));
  if (!call.reads_directory) {
    candidates = std::vector<T>();
    std::vector<Uuid> visible = call.owned;
    visible.push_back(call.principal.object_id);
    for (const Uuid& id : visible)
      if (const auto own = TRY(store::get<T>(reader, call.tenant(), id.text()))) candidates->push_back(*own);
  }
  if (candidates) {
    std::ranges::sort(*candidates, {}, &T::key);
    for (const T& record : *candidates)
      if (!TRY(add(record))) break;
  } else {
    store::Range range{
        .prefix = {}, .after = query.count ? std::string() : query.skip_token, .after_key = {}};
    for (bool going = true; going;) {
      const auto rows = TRY(reader.scan(T::table(), call.tenant(), range));
      for (size_t i = 0; i < rows.size() && going; ++i) going = TRY(add(TRY(store::decode<T>(rows[i]))));
      if (rows.size() < range.limit) break;
      range.after = rows.back().key;
    }
  }
  if (!call.reads_directory && values.empty()) return graph_denied();
  JsonObject list = graph_list(call, entity_set, std::move(values));
  if (query.count) list["@odata.count"] = total;
  if (more) list["@odata.nextLink"] = graph_next_link(call, last);
  return list;
}

}  // namespace merlon::identity
