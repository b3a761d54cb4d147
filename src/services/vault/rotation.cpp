// Reading and evaluating rotation policies.
#include "services/vault/rotation.h"

#include <chrono>

#include "base/text.h"
#include "services/vault/plane.h"

namespace merlon::vault {
namespace {

constexpr int64_t kDigitsMax = 4;
constexpr int64_t kLeastExpiryDays = 28;  // Azure's
constexpr int64_t kLeastRotationDays = 7;
constexpr size_t kActionsMax = 2;  // Azure's

Timestamp shifted(Timestamp time, int64_t months, int64_t days) {
  using std::chrono::floor;
  const auto day = floor<std::chrono::days>(time);
  const auto rest = time - day;
  std::chrono::year_month_day date{day};
  date += std::chrono::months(months);
  // The 31st of a month that has none is its last day.
  if (!date.ok()) date = date.year() / date.month() / std::chrono::last;
  return Timestamp(std::chrono::sys_days(date) + std::chrono::days(days)) + rest;
}

Result<CalendarSpan> span_at(const JsonObject& json, std::string_view key) {
  const auto text = string_at(json, key);
  const auto span = text ? CalendarSpan::parse(*text) : std::nullopt;
  if (!span)
    return bad_parameter("'" + std::string(key) + "' is not a span of days, months or years such as P90D.");
  return *span;
}

struct Counts {
  unsigned rotations = 0;
  unsigned notices = 0;
};

Result<JsonObject> read_action(const Json& value, Counts& counts) {
  if (!value.is_object()) return bad_parameter("A lifetime action is not an object.");
  const JsonObject* trigger = object_at(value.get_object(), "trigger");
  const std::string type = ascii_lower(string_at(value.get_object(), "action.type").value_or(""));
  if (trigger == nullptr || (type != "rotate" && type != "notify"))
    return bad_parameter("A lifetime action needs a trigger and the action type Rotate or Notify.");
  const bool after = string_at(*trigger, "timeAfterCreate").has_value();
  const bool before = string_at(*trigger, "timeBeforeExpiry").has_value();
  if (after == before) return bad_parameter("A trigger has either timeAfterCreate or timeBeforeExpiry.");
  if (type == "notify" && after) return bad_parameter("Notify goes by timeBeforeExpiry.");
  const std::string key = after ? "timeAfterCreate" : "timeBeforeExpiry";
  const CalendarSpan span = TRY(span_at(*trigger, key));
  if (span.least_days() < kLeastRotationDays)
    return bad_parameter("'" + key + "' is shorter than seven days.");
  if (++(type == "rotate" ? counts.rotations : counts.notices) > 1)
    return bad_parameter("A policy has one Rotate and one Notify action at most.");
  return JsonObject{{"trigger", {{key, *string_at(*trigger, key)}}},
                    {"action", {{"type", type == "rotate" ? "Rotate" : "Notify"}}}};
}

}  // namespace

std::optional<CalendarSpan> CalendarSpan::parse(std::string_view text) {
  if (!text.starts_with('P')) return std::nullopt;
  text.remove_prefix(1);
  CalendarSpan span;
  std::string_view order = "YMD";
  while (!text.empty()) {
    const size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos || digits > kDigitsMax) return std::nullopt;
    const int64_t number = std::stoll(std::string(text.substr(0, digits)));
    const size_t unit = order.find(text[digits]);
    if (unit == std::string_view::npos) return std::nullopt;
    if (order[unit] == 'Y') span.months += number * 12;
    if (order[unit] == 'M') span.months += number;
    if (order[unit] == 'D') span.days += number;
    order.remove_prefix(unit + 1);
    text.remove_prefix(digits + 1);
  }
  if (span.months == 0 && span.days == 0) return std::nullopt;
  if (span.months > 12 * 1000) return std::nullopt;
  return span;
}

Timestamp CalendarSpan::after(Timestamp time) const { return shifted(time, months, days); }
Timestamp CalendarSpan::before(Timestamp time) const { return shifted(time, -months, -days); }

Result<JsonObject> read_rotation_policy(const JsonObject& body) {
  JsonObject policy;
  if (const auto text = string_at(body, "attributes.expiryTime")) {
    const CalendarSpan expiry = TRY(span_at(*object_at(body, "attributes"), "expiryTime"));
    if (expiry.least_days() < kLeastExpiryDays) return bad_parameter("'expiryTime' is shorter than 28 days.");
    policy["expiryTime"] = *text;
  }
  JsonArray actions;
  Counts counts;
  // A key's policy is read with each use of the key.
  const JsonArray* given = array_at(body, "lifetimeActions");
  if (given != nullptr && given->size() > kActionsMax)
    return bad_parameter("A policy has two lifetimeActions at most: one Rotate and one Notify.");
  if (given != nullptr)
    for (const Json& action : *given) {
      actions.push_back(TRY(read_action(action, counts)));
      const JsonObject& trigger = actions.back().as_object().at("trigger").as_object();
      if (!policy.contains("expiryTime")) {
        if (trigger.contains("timeBeforeExpiry"))
          return bad_parameter("A trigger by timeBeforeExpiry needs attributes.expiryTime.");
        continue;
      }
      const CalendarSpan span = TRY(span_at(trigger, trigger.begin()->key()));
      const CalendarSpan expiry = TRY(span_at(policy, "expiryTime"));
      if (span.least_days() + kLeastRotationDays > expiry.least_days())
        return bad_parameter("The trigger must leave seven days within 'expiryTime'.");
    }
  policy["lifetimeActions"] = std::move(actions);
  return policy;
}

JsonObject default_rotation_policy() {
  return {{"lifetimeActions", JsonArray{JsonObject{{"trigger", {{"timeBeforeExpiry", "P30D"}}},
                                                   {"action", {{"type", "Notify"}}}}}}};
}

std::optional<Timestamp> rotation_due(const JsonObject& policy, const Facts& facts) {
  const JsonArray* actions = array_at(policy, "lifetimeActions");
  if (actions == nullptr || !facts.enabled) return std::nullopt;
  for (const Json& action : *actions) {
    if (string_at(action.as_object(), "action.type") != "Rotate") continue;
    if (const auto text = string_at(action.as_object(), "trigger.timeAfterCreate"))
      if (const auto span = CalendarSpan::parse(*text)) return span->after(from_seconds(facts.created));
    if (const auto text = string_at(action.as_object(), "trigger.timeBeforeExpiry"); text && facts.expires)
      if (const auto span = CalendarSpan::parse(*text)) return span->before(from_seconds(*facts.expires));
  }
  return std::nullopt;
}

std::optional<int64_t> expiry_by_policy(const JsonObject& policy, Timestamp now) {
  const auto text = string_at(policy, "expiryTime");
  const auto span = text ? CalendarSpan::parse(*text) : std::nullopt;
  if (!span) return std::nullopt;
  return to_seconds(span->after(now));
}

}  // namespace merlon::vault
