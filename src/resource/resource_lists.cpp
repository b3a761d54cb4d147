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
    "resourceType, name, resourceGroup, location, tagName, tagValue with eq (resourceType, name, "
    "resourceGroup and location "
    "with ne too), substringof('…', name), startswith(name, '…'), startswith(tagName, '…')";

bool has_tag(const JsonObject& body, const std::function<bool(std::string_view, std::string_view)>& fits) {
  const JsonObject* tags = object_at(body, "tags");
  if (tags == nullptr) return false;
  return std::ranges::any_of(*tags, [&](const auto& member) {
    const Json& value = member.value();
    return fits(member.key(), value.is_string() ? std::string_view(value.get_string()) : std::string_view());
  });
}

std::optional<std::string> subject_of(const FilterTerm& term, const Resource& resource) {
  if (ascii_iequal(term.name, "resourceType")) return resource.id.type();
  if (ascii_iequal(term.name, "name")) return resource.id.name();
  if (ascii_iequal(term.name, "resourceGroup")) return resource.id.resource_group();
  if (ascii_iequal(term.name, "location")) return string_at(resource.body, "location").value_or("");
  return std::nullopt;
}

// tagValue belongs to the tagName of the same filter.
bool value_fits(const std::vector<FilterTerm>& terms, const FilterTerm& value_term, const JsonObject& body) {
  const auto name =
      std::ranges::find_if(terms, [](const FilterTerm& t) { return ascii_iequal(t.name, "tagName"); });
  return has_tag(body, [&](std::string_view tag, std::string_view value) {
    return value == value_term.value && (name == terms.end() || ascii_iequal(tag, name->value));
  });
}

Result<bool> call_fits(const FilterTerm& term, const Resource& resource) {
  if (term.arguments.size() == 2) {
    const std::string name = ascii_lower(resource.id.name());
    if (ascii_iequal(term.name, "substringof") && ascii_iequal(term.arguments[1], "name")) {
      return name.find(ascii_lower(term.arguments[0])) != std::string::npos;
    }
    if (ascii_iequal(term.name, "startswith") && ascii_iequal(term.arguments[0], "name")) {
      return name.starts_with(ascii_lower(term.arguments[1]));
    }
    if (ascii_iequal(term.name, "startswith") && ascii_iequal(term.arguments[0], "tagName")) {
      return has_tag(resource.body, [&](std::string_view tag, std::string_view) {
        return ascii_istarts_with(tag, term.arguments[1]);
      });
    }
  }
  return unknown_filter_term(term, kKnownTerms);
}

Result<bool> fits(const std::vector<FilterTerm>& terms, const Resource& resource) {
  for (const FilterTerm& term : terms) {
    bool fit = false;
    if (term.op == "call") {
      fit = TRY(call_fits(term, resource));
    } else if (const auto subject = subject_of(term, resource);
               subject && (term.op == "eq" || term.op == "ne")) {
      fit = ascii_iequal(*subject, term.value) == (term.op == "eq");
    } else if (term.op == "eq" && ascii_iequal(term.name, "tagName")) {
      fit = has_tag(resource.body,
                    [&](std::string_view tag, std::string_view) { return ascii_iequal(tag, term.value); });
    } else if (term.op == "eq" && ascii_iequal(term.name, "tagValue")) {
      fit = value_fits(terms, term, resource.body);
    } else {
      return unknown_filter_term(term, kKnownTerms);
    }
    if (!fit) return false;
  }
  return true;
}

// An unknown term is an error on an empty list too.
Result<std::vector<FilterTerm>> terms_of(const Call& call) {
  const std::string* text = call.request.query.find("$filter");
  if (text == nullptr) return std::vector<FilterTerm>();
  auto terms = TRY(parse_query_filter(*text));
  const Resource none{};
  for (const FilterTerm& term : terms) TRY(fits({term}, none));
  return terms;
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

std::set<std::string> expand_of(const Call& call) {
  std::set<std::string> names;
  const std::string* text = call.request.query.find("$expand");
  if (text == nullptr) return names;
  for (const std::string_view name : split(*text, ',')) names.insert(ascii_lower(trim(name)));
  return names;
}

Result<net::Response> list_resources(const State& state, const Call& call, store::Reader& reader,
                                     bool in_group) {
  if (in_group) TRY(state.groups.require(reader, call.id));
  const auto terms = TRY(terms_of(call));
  const Page page = TRY(page_of(call));
  const auto expand = expand_of(call);
  std::vector<std::string> values;
  const auto visit = [&](const WalkRow& at) -> Result<bool> {
    const Resource resource = TRY(state.documents.read(at.row));
    if (!TRY(fits(terms, resource))) return false;
    if (!TRY(state.may(reader, call, resource.id.type() + "/read", at.row.key))) return false;
    values.push_back(TRY(summary_text(state, reader, resource, expand)));
    return true;
  };
  const std::string after =
      TRY(walk_keys(reader, Documents::table(), state.core.tenant, call.id.key() + "/", page, visit));
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
