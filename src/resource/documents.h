// Resources as they are stored: the JSON text that GET returns, with its id, name, type, etag and
// provisioning state, found by id, by type and scope, and by group. Runs in the caller's transaction; knows
// no request.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resource/core.h"
#include "resource/type_registry.h"

namespace merlon::resource {

class Documents {
 public:
  Documents(const Core& core, const TypeRegistry& types) : core_(core), types_(types) {}
  static const store::TableSpec& table();          // indexes: type ("type\nkey"), group ("group key\nkey")
  static const store::TableSpec& changes_table();  // who made and last changed a resource, and when

  // Elements of a parent's document (subnets, security rules) too.
  Result<std::optional<Resource>> get(store::Reader& reader, const ResourceId& id) const;
  // Bytes of what is read for it: the whole parent's, for an element. 0 where there is nothing.
  Result<size_t> bytes_read_for(store::Reader& reader, const ResourceId& id) const;
  Result<std::vector<Resource>> list(store::Reader& reader, std::string_view type,
                                     std::string_view scope) const;
  // Everything whose id begins with `prefix`, in the order of ids.
  Result<std::vector<Resource>> below(store::Reader& reader, const std::string& prefix) const;
  Result<std::vector<Resource>> in_group(store::Reader& reader, std::string_view group_key) const;
  Result<Resource> read(const store::Row& row) const;

  // Fills in what the Resource Manager owns, then stores. Errors: an element's name is missing, bad or there
  // twice.
  Result<Resource> put(store::Transaction& tx, const ResourceId& id, JsonObject body,
                       const ledger::Actor& by) const;
  // What a resource is after others may have changed it since put() gave it.
  Result<std::optional<Resource>> refreshed(store::Reader& reader, Resource stored) const;
  Result<void> erase(store::Transaction& tx, const ResourceId& id) const;

  // Index prefixes for walks.
  static std::string type_prefix(std::string_view type, std::string_view scope);
  static std::string group_prefix(std::string_view group_key);
  // Of stored text, without parsing it.
  static std::string etag_of(const std::string& text);
  struct Change {
    std::string created, created_by, created_by_type, changed, changed_by, changed_by_type;
  };
  Result<Change> change(store::Reader& reader, std::string_view key) const;
  // A resource that gets another id stays as old as it is.
  Result<void> carry_change(store::Transaction& tx, const ResourceId& from, const ResourceId& to) const;

 private:
  Result<void> decorate_elements(const EmbeddedType& type, const ResourceId& parent, bool show_etag,
                                 JsonObject& body) const;
  Result<void> note_change(store::Transaction& tx, const std::string& key, const ledger::Actor& by) const;
  const Core& core_;
  const TypeRegistry& types_;
};

// 413, with what would have to be left out.
Error document_too_large(const ResourceId& id, size_t bytes, size_t bytes_max);

// The array inside a document that holds an embedded type's elements; null when there is none.
JsonArray* elements_of(JsonObject& body, std::string_view array_path);
const JsonArray* elements_of(const JsonObject& body, std::string_view array_path);
JsonObject* find_element(JsonArray& elements, std::string_view name);
// What identifies a version: 128 bits of SHA-256 over the text, in hex.
std::string hash_of(const std::string& text);

}  // namespace merlon::resource
