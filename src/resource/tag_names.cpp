// "/subscriptions/{s}/tagNames": the tag names and values in use, and those that somebody set up beforehand
// so that people find them (`az tag`). Setting one up tags nothing, and needs no tag to have been set up.
#include <any>
#include <array>
#include <map>

#include "base/text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr size_t kNameMax = 512;
constexpr size_t kValueMax = 256;
constexpr const char* kNamePath = "/subscriptions/{subscriptionId}/tagNames/{tagName}";
constexpr const char* kAction = "Microsoft.Resources/subscriptions/tagNames/";

// Names without case, values with it.
std::string key_of(std::string_view name) { return ascii_lower(name); }
std::string key_of(std::string_view name, std::string_view value) {
  return ascii_lower(name) + "\n" + std::string(value);
}

struct TagName {
  std::string shown;  // as first met
  std::map<std::string, int64_t> values;
  int64_t total() const {
    int64_t sum = 0;
    for (const auto& [value, uses] : values) sum += uses;
    return sum;
  }
};
using TagNames = std::map<std::string, TagName>;  // by lower-case name

void count(TagNames& names, const JsonObject& body) {
  const JsonObject* tags = object_at(body, "tags");
  if (tags == nullptr) return;
  for (const auto& member : *tags) {
    TagName& name = names[ascii_lower(member.key())];
    if (name.shown.empty()) name.shown = member.key();
    if (member.value().is_string()) ++name.values[std::string(member.value().get_string())];
  }
}

Result<TagNames> all_names(const State& state, store::Reader& reader) {
  TagNames names;
  store::Range set_up{.prefix = {}, .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(tag_names_table(), state.core.tenant, set_up));
    for (const auto& row : rows) {
      const JsonObject body = TRY(parse_json_object(row.body));
      TagName& name = names[row.key.substr(0, row.key.find('\n'))];
      if (name.shown.empty()) name.shown = TRY(require_string(body, "name"));
      if (body.contains("value")) name.values.try_emplace(TRY(require_string(body, "value")), 0);
    }
    if (rows.size() < set_up.limit) break;
    set_up.after = rows.back().key;
  }
  const auto own =
      TRY(reader.get(subscription_tags_table(), state.core.tenant, ascii_lower(state.subscription_path())));
  if (own) count(names, {{"tags", TRY(parse_json_object(own->body))}});
  for (const auto& group : TRY(state.groups.all(reader))) count(names, group.body);
  store::Range range{.prefix = ascii_lower(state.subscription_path()) + "/", .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(Documents::table(), state.core.tenant, range));
    for (const auto& row : rows) {
      if (row.body.find(R"("tags":)") != std::string::npos) count(names, TRY(state.documents.read(row)).body);
    }
    if (rows.size() < range.limit) return names;
    range.after = rows.back().key;
  }
}

JsonObject count_json(int64_t uses) { return {{"type", "Total"}, {"value", uses}}; }

JsonObject value_json(const State& state, const std::string& name, const std::string& value, int64_t uses) {
  return {{"id", state.subscription_path() + "/tagNames/" + name + "/tagValues/" + value},
          {"tagValue", value},
          {"count", count_json(uses)}};
}

JsonObject name_json(const State& state, const TagName& name) {
  JsonArray values;
  for (const auto& [value, uses] : name.values) values.push_back(value_json(state, name.shown, value, uses));
  return {{"id", state.subscription_path() + "/tagNames/" + name.shown},
          {"tagName", name.shown},
          {"count", count_json(name.total())},
          {"values", std::move(values)}};
}

// Before the transaction, for which everything else waits: this goes through all documents. What was set up
// is an aid to people, so a name that came into use in between does no harm.
Result<Gathered> gather_names(const State& state) {
  return Gathered::of(TRY(store::read_value<TagNames>(
      state.core.store, [&](store::Reader& reader) { return all_names(state, reader); })));
}

Result<net::Response> list_names(const State& state, store::Reader& reader) {
  JsonArray values;
  for (const auto& [key, name] : TRY(all_names(state, reader))) values.push_back(name_json(state, name));
  return json_response(200, {{"value", std::move(values)}});
}

// Azure's rules for names that are set up (Tags - Create Or Update).
Result<void> check_name(const std::string& name) {
  if (name.size() > kNameMax || name.find_first_of("<>%&\\?/") != std::string::npos) {
    return fail(ErrorKind::invalid, "InvalidTagNameCharacters",
                "The tag name '" + name.substr(0, 100) +
                    "' is longer than 512 characters or contains one of <>%&\\?/. Rename it.",
                "tagName");
  }
  static constexpr std::array<std::string_view, 3> kReserved{"microsoft", "azure", "windows"};
  for (const std::string_view prefix : kReserved) {
    if (!ascii_istarts_with(name, prefix)) continue;
    return fail(ErrorKind::invalid, "InvalidTagName",
                "The tag name '" + name.substr(0, 100) + "' begins with '" + std::string(prefix) +
                    "', which is reserved. Rename it.",
                "tagName");
  }
  return {};
}

Result<net::Response> set_up(const State& state, WriteContext& context, bool with_value) {
  const std::string& name = context.call.parameter("tagName");
  TRY(check_name(name));
  const auto& names = std::any_cast<const TagNames&>(context.call.gathered);
  const auto known = names.find(key_of(name));
  const std::string shown = known == names.end() ? name : known->second.shown;
  if (!with_value) {
    const bool is_new = known == names.end();
    TRY(context.tx.put(tag_names_table(), state.core.tenant,
                       {key_of(name), to_text(JsonObject{{"name", shown}}), {}}));
    return json_response(is_new ? 201 : 200, name_json(state, is_new ? TagName{name, {}} : known->second));
  }
  const std::string& value = context.call.parameter("tagValue");
  if (known == names.end()) {
    return fail(ErrorKind::not_found, "TagNotFound",
                "The tag name '" + name.substr(0, 100) + "' does not exist. Create it before its values.",
                "tagName");
  }
  if (value.size() > kValueMax) {
    return fail(ErrorKind::invalid, "TagValueTooLong",
                "The value of the tag '" + shown.substr(0, 100) + "' is longer than 256 characters.",
                "tagValue");
  }
  const bool is_new = !known->second.values.contains(value);
  TRY(context.tx.put(tag_names_table(), state.core.tenant,
                     {key_of(name, value), to_text(JsonObject{{"name", shown}, {"value", value}}), {}}));
  return json_response(is_new ? 201 : 200,
                       value_json(state, shown, value, is_new ? 0 : known->second.values.at(value)));
}

Error in_use(const std::string& what, int64_t uses) {
  Error error;
  error.kind = ErrorKind::conflict;
  error.code = "TagInUse";
  error.message = "The " + what.substr(0, 200) + " is on " + std::to_string(uses) +
                  " resources or groups and cannot be deleted. Take it off there first.";
  return error;
}

Result<net::Response> take_away(const State& state, WriteContext& context, bool with_value) {
  const std::string& name = context.call.parameter("tagName");
  const auto& names = std::any_cast<const TagNames&>(context.call.gathered);
  const auto known = names.find(key_of(name));
  if (known == names.end()) return empty_response(204);
  if (with_value) {
    const std::string& value = context.call.parameter("tagValue");
    const auto at = known->second.values.find(value);
    if (at == known->second.values.end()) return empty_response(204);
    if (at->second > 0) return std::unexpected(in_use("tag value '" + value + "'", at->second));
    TRY(context.tx.erase(tag_names_table(), state.core.tenant, key_of(name, value)));
    return empty_response(200);
  }
  if (const int64_t uses = known->second.total(); uses > 0)
    return std::unexpected(in_use("tag '" + known->second.shown + "'", uses));
  TRY(context.tx.erase(tag_names_table(), state.core.tenant, key_of(name)));
  for (const auto& [value, uses] : known->second.values)
    TRY(context.tx.erase(tag_names_table(), state.core.tenant, key_of(name, value)));
  return empty_response(200);
}

Route name_route(std::string method, bool with_value, std::string verb, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = std::string(kNamePath) + (with_value ? "/tagValues/{tagValue}" : "");
  route.permission = std::string(kAction) + (with_value ? "tagValues/" : "") + std::move(verb);
  route.summary = std::move(summary);
  return route;
}

}  // namespace

const store::TableSpec& tag_names_table() {
  static const store::TableSpec spec{"tag_names", {}};
  return spec;
}

void add_tag_name_routes(State& state, const AddRoute& add) {
  Route list = name_route("GET", false, "read", "Lists the tag names in use or set up, with their values.");
  list.path = "/subscriptions/{subscriptionId}/tagNames";
  list.read = [&state](const Call&, store::Reader& reader) { return list_names(state, reader); };
  add(std::move(list));
  for (const bool with_value : {false, true}) {
    const std::string what = with_value ? "a value of a tag name" : "a tag name";
    Route put = name_route("PUT", with_value, "write", "Sets up " + what + ".");
    put.gather = [&state](const Call&) { return gather_names(state); };
    put.write = [&state, with_value](WriteContext& context) { return set_up(state, context, with_value); };
    add(std::move(put));
    Route remove = name_route("DELETE", with_value, "delete", "Deletes " + what + " that nothing carries.");
    remove.gather = [&state](const Call&) { return gather_names(state); };
    remove.write = [&state, with_value](WriteContext& context) {
      return take_away(state, context, with_value);
    };
    add(std::move(remove));
  }
}

}  // namespace merlon::resource
