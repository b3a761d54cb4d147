// Which users and systemd units of a machine may ask for its identities:
// {vm}/providers/Merlon.ManagedIdentity/ callers/default. A document beside the machine's own, which Azure's
// clients write back without what they do not know (docs/decisions/0011).
#pragma once

#include <string>
#include <vector>

#include "machine/identity_endpoint.h"
#include "resource/resource_id.h"
#include "schema/shape.h"
#include "store/table.h"

namespace merlon::managed_identity {

inline constexpr const char* kCallersPart = "/providers/Merlon.ManagedIdentity/callers/default";

struct StoredCallers {
  std::string vm;  // its key
  JsonObject properties;
  static const store::TableSpec& table();
  std::string key() const { return vm; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<StoredCallers> from_json(const JsonObject& json);
};

schema::Shape callers_shape();

// What the shape cannot say. Errors name the rule.
Result<void> check_callers(const JsonObject& properties);

// Puts the owner's rules in `endpoint`, whose identities are there already.
void add_callers(const JsonObject& properties, machine::IdentityEndpoint& endpoint);

// As GET shows it; without properties: nobody has said anything.
JsonObject callers_document(const resource::ResourceId& vm, const JsonObject& properties);

}  // namespace merlon::managed_identity
