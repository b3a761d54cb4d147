// Lists across types: "/subscriptions/{s}/resources" and a group's "/resources", with the $filter and $expand
// forms that az and the SDKs send. Values hold what every type has, and no properties.
#include <algorithm>
#include <set>

#include "base/text.h"
#include "resource/paging.h"
#include "resource/query_filter.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr const char* kKnownTerms =
    "resourceType, name, resourceGroup, location, identity/principalId and plan/publisher, plan/product, "
    "plan/name with eq and ne; tagName and tagValue with eq; substringof('…', name), "
    "substringof('…', resourceGroup), startswith(name, '…'), startswith(tagName, '…'); joined by and, or and "
    "parentheses";

bool has_tag(const JsonObject& body, const std::function<bool(std::string_view, std::string_view)>& fits) {
  const JsonObject* tags = object_at(body, "tags");
  if (tags == nullptr) return false;
  return std::ranges::any_of(*tags, [&](const auto& member) {
    const Json& value = member.value();
    return fits(member.key(), value.is_string() ? std::string_view(value.get_string()) : std::string_view());
  });
}

std::optional<std::string> subject_of(std::string_view name, const Resource& resource) {
  if (ascii_iequal(name, "resourceType")) return resource.id.type();
  if (ascii_iequal(name, "name")) return resource.id.name();
  if (ascii_iequal(name, "resourceGroup")) return resource.id.resource_group();
  if (ascii_iequal(name, "location")) return string_at(resource.body, "location").value_or("");
  for (const std::string_view path :
       {"identity/principalId", "plan/publisher", "plan/product", "plan/name"}) {
    if (!ascii_iequal(name, path)) continue;
    std::string member(path);
    member[member.find('/')] = '.';
    return string_at(resource.body, member).value_or("");
  }
  return std::nullopt;
}

Result<bool> call_fits(const FilterTerm& term, const Resource& resource) {
  if (term.arguments.size() == 2) {
    const std::string& first = term.arguments[0];
    const std::string& second = term.arguments[1];
    if (ascii_iequal(term.name, "substringof") &&
        (ascii_iequal(second, "name") || ascii_iequal(second, "resourceGroup"))) {
      return ascii_lower(*subject_of(second, resource)).find(ascii_lower(first)) != std::string::npos;
    }
    if (ascii_iequal(term.name, "startswith") && ascii_iequal(first, "name"))
      return ascii_istarts_with(resource.id.name(), second);
    if (ascii_iequal(term.name, "startswith") && ascii_iequal(first, "tagName")) {
      return has_tag(resource.body,
                     [&](std::string_view tag, std::string_view) { return ascii_istarts_with(tag, second); });
    }
  }
  return unknown_filter_term(term, kKnownTerms);
}

// `tag` is the tagName that a tagValue beside it belongs to; null when any tag's value will do.
Result<bool> term_fits(const FilterTerm& term, const Resource& resource, const std::string* tag) {
  if (term.op == "call") return call_fits(term, resource);
  if (const auto subject = subject_of(term.name, resource); subject && (term.op == "eq" || term.op == "ne"))
    return ascii_iequal(*subject, term.value) == (term.op == "eq");
  if (term.op == "eq" && ascii_iequal(term.name, "tagName")) {
    return has_tag(resource.body,
                   [&](std::string_view name, std::string_view) { return ascii_iequal(name, term.value); });
  }
  if (term.op == "eq" && ascii_iequal(term.name, "tagValue")) {
    return has_tag(resource.body, [&](std::string_view name, std::string_view value) {
      return value == term.value && (tag == nullptr || ascii_iequal(name, *tag));
    });
  }
  return unknown_filter_term(term, kKnownTerms);
}

Result<bool> fits(const FilterCondition& condition, const Resource& resource,
                  const std::string* tag = nullptr) {
  if (condition.kind == FilterCondition::Kind::term) return term_fits(condition.term, resource, tag);
  const bool all = condition.kind == FilterCondition::Kind::all;
  for (const FilterCondition& child : condition.children) {
    if (all && child.kind == FilterCondition::Kind::term && ascii_iequal(child.term.name, "tagName"))
      tag = &child.term.value;
  }
  for (const FilterCondition& child : condition.children) {
    if (TRY(fits(child, resource, tag)) != all) return !all;
  }
  return all;
}

Result<void> check_terms(const FilterCondition& condition) {
  if (condition.kind == FilterCondition::Kind::term) {
    TRY(term_fits(condition.term, Resource{}, nullptr));
    return {};
  }
  for (const FilterCondition& child : condition.children) TRY(check_terms(child));
  return {};
}

// An unknown term is an error on an empty list too.
Result<FilterCondition> condition_of(const Call& call) {
  const std::string* text = call.request.query.find("$filter");
  if (text == nullptr) return FilterCondition();
  FilterCondition condition = TRY(parse_query_condition(*text));
  TRY(check_terms(condition));
  return condition;
}

// The one type that the condition asks for, so that no other needs reading.
const std::string* only_type(const FilterCondition& condition) {
  const auto is_type = [](const FilterCondition& c) {
    return c.kind == FilterCondition::Kind::term && c.term.op == "eq" &&
           ascii_iequal(c.term.name, "resourceType");
  };
  if (is_type(condition)) return &condition.term.value;
  if (condition.kind != FilterCondition::Kind::all) return nullptr;
  const auto at = std::ranges::find_if(condition.children, is_type);
  return at == condition.children.end() ? nullptr : &at->term.value;
}

Result<std::string> summary_text(const State& state, store::Reader& reader, const Resource& resource,
                                 const std::set<std::string>& expand) {
  JsonObject out;
  for (const std::string_view key :
       {"id", "name", "type", "kind", "location", "managedBy", "sku", "plan", "identity", "zones", "tags"}) {
    if (const Json* value = resource.body.if_contains(key)) out[key] = *value;
  }
  if (expand.contains("provisioningstate")) {
    out["provisioningState"] = string_at(resource.body, "properties.provisioningState").value_or("Succeeded");
  }
  if (expand.contains("createdtime") || expand.contains("changedtime")) {
    const auto change = TRY(state.documents.change(reader, resource.id.key()));
    if (expand.contains("createdtime")) out["createdTime"] = change.created;
    if (expand.contains("changedtime")) out["changedTime"] = change.changed;
  }
  return to_text(out);
}

Result<std::set<std::string>> expand_of(const Call& call) {
  std::set<std::string> names;
  const std::string* text = call.request.query.find("$expand");
  if (text == nullptr) return names;
  for (const std::string_view part : split(*text, ',')) {
    const std::string name = ascii_lower(trim(part));
    if (name.empty()) continue;
    if (name != "createdtime" && name != "changedtime" && name != "provisioningstate") {
      return fail(ErrorKind::invalid, "InvalidQueryParameterValue",
                  "The query parameter '$expand' has '" + name.substr(0, 100) +
                      "'. Supported: createdTime, changedTime, provisioningState.",
                  "$expand");
    }
    names.insert(name);
  }
  return names;
}

Result<net::Response> list_resources(const State& state, const Call& call, store::Reader& reader,
                                     bool in_group) {
  if (in_group) TRY(state.groups.require(reader, call.id));
  const FilterCondition condition = TRY(condition_of(call));
  const Page page = TRY(page_of(call));
  const auto expand = TRY(expand_of(call));
  std::vector<std::string> values;
  const auto visit = [&](const WalkRow& at) -> Result<bool> {
    const Resource resource = TRY(state.documents.read(at.row));
    if (!TRY(fits(condition, resource))) return false;
    if (!TRY(state.may(reader, call, resource.id.type() + "/read", at.row.key))) return false;
    values.push_back(TRY(summary_text(state, reader, resource, expand)));
    return true;
  };
  const std::string* type = only_type(condition);
  const std::string after =
      type == nullptr
          ? TRY(walk_keys(reader, Documents::table(), state.core.tenant, call.id.key() + "/", page, visit))
          : TRY(walk_index(reader, Documents::table(), state.core.tenant, "type",
                           Documents::type_prefix(*type, call.id.key()), page, visit));
  return text_response(200, list_text(values, after.empty() ? std::string() : next_link(call, after)));
}

}  // namespace

void add_resource_list_routes(State& state, const AddRoute& add) {
  for (const bool in_group : {false, true}) {
    Route route;
    route.method = "GET";
    route.path = in_group ? "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/resources"
                          : "/subscriptions/{subscriptionId}/resources";
    route.permission = in_group ? "Microsoft.Resources/subscriptions/resourceGroups/resources/read"
                                : "Microsoft.Resources/subscriptions/resources/read";
    route.summary = in_group ? "Lists the resources of a group that the caller may read."
                             : "Lists the resources of a subscription that the caller may read.";
    route.filter_items = true;
    route.read = [&state, in_group](const Call& call, store::Reader& reader) {
      return list_resources(state, call, reader, in_group);
    };
    add(std::move(route));
  }
}

}  // namespace merlon::resource
