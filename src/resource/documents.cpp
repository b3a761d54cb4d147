// The etag is a hash of what is shown (architecture.md, Invariant 2). Where a type shows it in its body, it
// stands right after the type, in front of anything that a user wrote, so it can be read from the text
// without parsing.
#include "resource/documents.h"

#include <array>
#include <set>
#include <utility>

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "resource/preconditions.h"

namespace merlon::resource {
namespace {

constexpr size_t kEtagBytes = 16;
constexpr JsonLimits kStoredLimits{.bytes_max = 64 * 1024 * 1024, .depth_max = 64};
// With all children that stand in it: each list that shows it has it in memory, for everybody who asks.
// Somewhat more than a request may make of it (document_write.cpp): an opening that ends changes what is
// shown.
constexpr size_t kDocumentBytesMax = 6 * 1024 * 1024;
constexpr std::string_view kEtagMark = R"("etag":"W/\")";

// `first` members in front, then the others in their order, without those that `first` or the Manager owns.
JsonObject with_members_first(JsonObject first, JsonObject body) {
  first.reserve(first.size() + body.size() + 1);
  for (auto& member : body) {
    if (!first.contains(member.key()) && member.key() != "etag")
      first.emplace(member.key(), std::move(member.value()));
  }
  return first;
}

JsonObject with_etag_after_type(JsonObject shown, const std::string& etag) {
  JsonObject out;
  out.reserve(shown.size() + 1);
  for (auto& member : shown) {
    out.emplace(member.key(), std::move(member.value()));
    if (member.key() == "type") out["etag"] = entity_tag(etag);
  }
  return out;
}

// The members that stand in front of the etag, as to_text() writes them, without the object's end.
std::string members_before_etag(const JsonObject& shown) {
  std::string text;
  for (const auto& member : shown) {
    text += text.empty() ? '{' : ',';
    append_json_string(text, member.key());
    text += ':';
    append_json_string(text, member.value().as_string());
    if (member.key() == "type") return text;
  }
  MERLON_CHECK(false);  // each document has a type, behind nothing but texts
  return text;
}

void show_as_succeeded(JsonObject& body, bool make_properties) {
  Json* properties = body.if_contains("properties");
  if (properties == nullptr && make_properties) properties = &(body["properties"] = JsonObject());
  if (properties == nullptr || !properties->is_object()) return;
  if (!properties->get_object().contains("provisioningState"))
    properties->get_object()["provisioningState"] = "Succeeded";
}

// Members "createdTime", "createdBy" and "createdByType", or those of "changed".
void append_members(std::string& record, std::string_view what, std::string_view time, std::string_view by,
                    std::string_view kind) {
  const std::array<std::pair<std::string_view, std::string_view>, 3> members{
      {{"Time", time}, {"By", by}, {"ByType", kind}}};
  for (const auto& [member, value] : members) {
    record += record.empty() ? "{\"" : ",\"";
    record.append(what).append(member).append("\":");
    append_json_string(record, value);
  }
}

Json* find_mutable(JsonObject& body, std::string_view path) {
  Json* value = nullptr;
  JsonObject* object = &body;
  for (const std::string_view key : split(path, '.')) {
    if (object == nullptr) return nullptr;
    value = object->if_contains(key);
    object = value == nullptr ? nullptr : value->if_object();
  }
  return value;
}

}  // namespace

JsonArray* elements_of(JsonObject& body, std::string_view array_path) {
  Json* value = find_mutable(body, array_path);
  return value == nullptr ? nullptr : value->if_array();
}

const JsonArray* elements_of(const JsonObject& body, std::string_view array_path) {
  return array_at(body, array_path);
}

JsonObject* find_element(JsonArray& elements, std::string_view name) {
  for (Json& element : elements) {
    JsonObject* object = element.if_object();
    const auto found = object == nullptr ? std::nullopt : string_at(*object, "name");
    if (found && ascii_iequal(*found, name)) return object;
  }
  return nullptr;
}

std::string hash_of(const std::string& text) {
  const auto digest = crypto::sha256(as_bytes(text));
  return to_hex(ByteView(digest).first(kEtagBytes));
}

const store::TableSpec& Documents::table() {
  static const store::TableSpec spec{"resources",
                                     {{"type", store::Unique::no}, {"resource_group", store::Unique::no}}};
  return spec;
}

const store::TableSpec& Documents::changes_table() {
  static const store::TableSpec spec{"resource_changes", {}};
  return spec;
}

std::string Documents::type_prefix(std::string_view type, std::string_view scope) {
  std::string prefix = ascii_lower(type) + "\n" + ascii_lower(scope);
  if (prefix.back() != '/') prefix += '/';
  return prefix;
}

std::string Documents::group_prefix(std::string_view group_key) { return ascii_lower(group_key) + "\n"; }

std::string Documents::etag_of(const std::string& text) {
  const size_t at = text.find(kEtagMark);
  // Ids, names and types hold no quotes, so the first "etag" at the top is ours, if it comes before any other
  // member can.
  const size_t first_value_end = text.find(R"("type":")");
  if (at != std::string::npos && first_value_end != std::string::npos && at > first_value_end &&
      text.find(',', first_value_end) == at - 1) {
    return text.substr(at + kEtagMark.size(), kEtagBytes * 2);
  }
  return hash_of(text);
}

Result<Resource> Documents::read(const store::Row& row) const {
  auto body = parse_json_object(row.body, kStoredLimits);
  if (!body) return internal_error("resource " + row.key + ": " + body.error().message);
  auto id = ResourceId::parse(TRY(require_string(*body, "id")));
  if (!id) return internal_error("resource " + row.key + ": " + id.error().message);
  return Resource{*std::move(id), *std::move(body), etag_of(row.body)};
}

Result<std::optional<Resource>> Documents::get(store::Reader& reader, const ResourceId& id) const {
  if (const EmbeddedType* embedded = types_.find_embedded(id.type()); embedded != nullptr) {
    auto parent = TRY(get(reader, id.parent()));
    JsonArray* elements = parent ? elements_of(parent->body, embedded->array_path) : nullptr;
    JsonObject* element = elements == nullptr ? nullptr : find_element(*elements, id.name());
    if (element == nullptr) return std::optional<Resource>();
    auto own_id = TRY(ResourceId::parse(TRY(require_string(*element, "id"))));
    const std::string text = to_text(*element);
    return std::optional<Resource>(Resource{std::move(own_id), std::move(*element), etag_of(text)});
  }
  const auto row = TRY(reader.get(table(), core_.tenant, id.key()));
  if (!row) return std::optional<Resource>();
  return std::optional<Resource>(TRY(read(*row)));
}

Result<size_t> Documents::bytes_read_for(store::Reader& reader, const ResourceId& id) const {
  if (types_.find_embedded(id.type()) != nullptr) return bytes_read_for(reader, id.parent());
  const auto row = TRY(reader.get(table(), core_.tenant, id.key()));
  return row ? row->body.size() : 0;
}

Result<std::vector<Resource>> Documents::list(store::Reader& reader, std::string_view type,
                                              std::string_view scope) const {
  std::vector<Resource> found;
  store::Range range{.prefix = type_prefix(type, scope), .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan_index(table(), core_.tenant, "type", range));
    for (const auto& [value, row] : rows) {
      found.push_back(TRY(read(row)));
      range.after = value;
      range.after_key = row.key;
    }
    if (rows.size() < range.limit) return found;
  }
}

Result<std::vector<Resource>> Documents::below(store::Reader& reader, const std::string& prefix) const {
  std::vector<Resource> found;
  store::Range range{.prefix = ascii_lower(prefix), .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(table(), core_.tenant, range));
    for (const auto& row : rows) found.push_back(TRY(read(row)));
    if (rows.size() < range.limit) return found;
    range.after = rows.back().key;
  }
}

Result<std::vector<Resource>> Documents::in_group(store::Reader& reader, std::string_view group_key) const {
  return below(reader, std::string(group_key) + "/");
}

Result<void> Documents::decorate_elements(const EmbeddedType& type, const ResourceId& parent, bool show_etag,
                                          JsonObject& body) const {
  JsonArray* elements = elements_of(body, type.array_path);
  if (elements == nullptr) return {};
  const std::string last_type = type.type.substr(type.type.rfind('/') + 1);
  std::set<std::string> names;
  for (size_t i = 0; i < elements->size(); ++i) {
    const std::string path = type.array_path + "[" + std::to_string(i) + "].name";
    JsonObject* element = (*elements)[i].if_object();
    const auto name = element == nullptr ? std::nullopt : string_at(*element, "name");
    const auto id =
        name ? ResourceId::parse(parent.text() + "/" + last_type + "/" + *name) : ResourceId::parse("");
    if (!id) {
      return fail(ErrorKind::invalid, "InvalidResourceName",
                  "'" + path + "' must be a resource name: printable ASCII without <>%&\\?/#\"*:|^`{}.",
                  path);
    }
    if (!names.insert(ascii_lower(*name)).second) {
      return fail(ErrorKind::invalid, "DuplicateResourceName",
                  "'" + path + "' is '" + *name + "', a name that another element of '" + type.array_path +
                      "' has. Names differ in more than case.",
                  path);
    }
    JsonObject shown = with_members_first({{"name", *name}, {"id", id->text()}, {"type", full_type(type)}},
                                          std::move(*element));
    show_as_succeeded(shown, false);
    const std::string etag = show_etag ? hash_of(to_text(shown)) : std::string();
    *element = show_etag ? with_etag_after_type(std::move(shown), etag) : std::move(shown);
  }
  return {};
}

Error document_too_large(const ResourceId& id, size_t bytes, size_t bytes_max) {
  return {ErrorKind::too_large,
          "RequestContentTooLarge",
          "'" + id.text() + "' would have " + std::to_string(bytes) +
              " bytes with all that is in it; at most " + std::to_string(bytes_max) +
              " are kept. Leave something out, or put it into a resource of its own.",
          {},
          {},
          {}};
}

Result<Resource> Documents::put(store::Transaction& tx, const ResourceId& id, JsonObject body,
                                const ledger::Actor& by) const {
  const ResourceType* type = types_.find(id.type());
  if (type == nullptr) return internal_error("there is no resource type to store " + id.text() + " as");
  JsonObject shown = with_members_first({{"id", id.text()}, {"name", id.name()}, {"type", full_type(*type)}},
                                        std::move(body));
  show_as_succeeded(shown, type->tracked);
  for (const EmbeddedType* embedded : types_.embedded_in(full_type(*type))) {
    TRY(decorate_elements(*embedded, id, type->etag_in_body, shown));
  }
  std::string text = to_text(shown);
  const std::string etag = hash_of(text);
  if (type->etag_in_body) {
    std::string member = R"(,"etag":)";
    append_json_string(member, entity_tag(etag));
    text.insert(members_before_etag(shown).size(), member);
    shown = with_etag_after_type(std::move(shown), etag);
  }
  if (text.size() > kDocumentBytesMax)
    return std::unexpected(document_too_large(id, text.size(), kDocumentBytesMax));
  const std::string key = id.key();
  const std::string group = ascii_lower(id.group_id());
  const auto group_value = group.empty() ? std::nullopt : std::optional(group_prefix(group) + key);
  store::Row row{key, std::move(text), {ascii_lower(id.type()) + "\n" + key, group_value}};
  TRY(tx.put(table(), core_.tenant, row));
  TRY(note_change(tx, key, by));
  return Resource{id, std::move(shown), etag, std::move(row.body)};
}

Result<std::optional<Resource>> Documents::refreshed(store::Reader& reader, Resource stored) const {
  const auto row = TRY(reader.get(table(), core_.tenant, stored.id.key()));
  if (!row) return std::optional<Resource>();
  if (row->body == stored.text) return std::optional<Resource>(std::move(stored));
  return std::optional<Resource>(TRY(read(*row)));
}

Result<void> Documents::erase(store::Transaction& tx, const ResourceId& id) const {
  TRY(tx.erase(table(), core_.tenant, id.key()));
  return tx.erase(changes_table(), core_.tenant, id.key());
}

Result<void> Documents::note_change(store::Transaction& tx, const std::string& key,
                                    const ledger::Actor& by) const {
  const std::string now = to_rfc3339(core_.clock.now());
  const std::string kind =
      by.kind == "ServicePrincipal" ? "Application" : by.kind;  // systemData's word for it
  std::string record;
  if (const auto row = TRY(tx.get(changes_table(), core_.tenant, key))) {
    // Inside a text a quote has a backslash before it: only the member itself reads so.
    const size_t changed = row->body.find(R"(,"changedTime":)");
    if (changed == std::string::npos) return internal_error("the change record of " + key + " is malformed");
    record = row->body.substr(0, changed);
  } else {
    append_members(record, "created", now, by.name, kind);
  }
  append_members(record, "changed", now, by.name, kind);
  record += '}';
  return tx.put(changes_table(), core_.tenant, {key, std::move(record), {}});
}

Result<void> Documents::carry_change(store::Transaction& tx, const ResourceId& from,
                                     const ResourceId& to) const {
  const auto row = TRY(tx.get(changes_table(), core_.tenant, from.key()));
  if (!row) return {};
  TRY(tx.erase(changes_table(), core_.tenant, from.key()));
  return tx.put(changes_table(), core_.tenant, {to.key(), row->body, {}});
}

Result<Documents::Change> Documents::change(store::Reader& reader, std::string_view key) const {
  const auto row = TRY(reader.get(changes_table(), core_.tenant, key));
  if (!row) return Change{};
  const JsonObject json = TRY(parse_json_object(row->body, kStoredLimits));
  return Change{TRY(require_string(json, "createdTime")),   TRY(require_string(json, "createdBy")),
                TRY(require_string(json, "createdByType")), TRY(require_string(json, "changedTime")),
                TRY(require_string(json, "changedBy")),     TRY(require_string(json, "changedByType"))};
}

}  // namespace merlon::resource
