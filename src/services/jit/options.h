// What a policy may ask for beyond Azure's own words: approval by others, a justification, who may ask, from
// where, and what happens to established connections. A document of its own beside the policy
// (docs/decisions/0011): Azure's clients leave out of a PUT what they do not know, and must not loosen a
// policy by that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/uuid.h"
#include "resource/resource_id.h"
#include "schema/shape.h"
#include "store/table.h"

namespace merlon::jit {

inline constexpr int64_t kApprovalsMax = 10;
inline constexpr auto kWaitMax = std::chrono::hours(7 * 24);

struct PortRequesters {
  std::optional<resource::ResourceId> vm;  // none: of each machine in the policy
  int64_t number = 0;
  std::vector<Uuid> requesters;
};

struct Options {
  int64_t approvals = 0;                       // how many others must agree
  Duration waits_for = std::chrono::hours(8);  // how long a request waits for them
  std::vector<Uuid> approvers;                 // people and groups; empty: whoever has the right
  bool justification_required = false;
  bool cut_established = false;  // at the end, connections are cut too
  bool live_server = false;      // open only while the machine hears the server
  bool own_address_only = false;
  unsigned widest_v4 = 0, widest_v6 = 0;  // shortest prefix that may be asked for
  std::vector<Uuid> requesters;           // people and groups; empty: whoever has the right
  std::vector<PortRequesters> ports;      // further restricted, port by port
};

schema::Shape options_shape();
// `document` has passed the shape. Errors name the field.
Result<Options> read_options(const JsonObject& document);

// As PUT; one for each policy that has any.
struct StoredOptions {
  std::string policy;  // key of its id
  JsonObject document;
  static const store::TableSpec& table();
  std::string key() const { return policy; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const { return {{"policy", policy}, {"document", document}}; }
  static Result<StoredOptions> from_json(const JsonObject& json);
};

}  // namespace merlon::jit
