// Rotation policies: what they may say, and when they make a key due (contract, Rules).
#pragma once

#include "services/vault/records.h"

namespace merlon::vault {

// A span in calendar terms, as ISO 8601 writes it: "P2Y", "P90D", "P1Y2M10D". Weeks and times of day are
// refused.
struct CalendarSpan {
  int64_t months = 0;
  int64_t days = 0;
  static std::optional<CalendarSpan> parse(std::string_view text);
  int64_t least_days() const { return months * 28 + days; }
  Timestamp after(Timestamp time) const;
  Timestamp before(Timestamp time) const;
};

// The policy as it is kept: lifetimeActions and attributes.expiryTime. Errors: BadParameter.
Result<JsonObject> read_rotation_policy(const JsonObject& body);
JsonObject default_rotation_policy();
// When the policy rotates a key whose newest version has these facts.
std::optional<Timestamp> rotation_due(const JsonObject& policy, const Facts& facts);
// When a version that is made now ends by the policy.
std::optional<int64_t> expiry_by_policy(const JsonObject& policy, Timestamp now);

}  // namespace merlon::vault
