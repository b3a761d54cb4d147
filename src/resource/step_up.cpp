// Read in the snapshot or transaction of the request that they guard.
#include "resource/step_up.h"

#include <algorithm>

#include "base/text.h"
#include "identity/second_factor_sign_in.h"
#include "resource/resource_id.h"

namespace merlon::resource {
namespace {

std::string key_of(std::string_view scope, std::string_view name) {
  return ascii_lower(scope) + "\n" + ascii_lower(name);
}

std::vector<std::string> texts_at(const JsonObject& json, std::string_view path) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, path))
    for (const Json& value : *array)
      if (value.is_string()) texts.emplace_back(value.get_string());
  return texts;
}

Result<StepUpPolicy> read_policy(const store::Row& row) {
  StepUpPolicy policy;
  policy.text = row.body;
  policy.body = TRY(parse_json_object(row.body));
  policy.name = TRY(require_string(policy.body, "name"));
  policy.scope = TRY(require_string(policy.body, "properties.scope"));
  policy.actions = texts_at(policy.body, "properties.actions");
  for (const std::string& role : texts_at(policy.body, "properties.roleDefinitionIds"))
    policy.roles.push_back(ascii_lower(role.substr(role.rfind('/') + 1)));
  const auto minutes = int_at(policy.body, "properties.maxAgeMinutes");
  if (!minutes) return internal_error("a stored step-up policy has no age");
  policy.age_max = std::chrono::minutes(*minutes);
  return policy;
}

bool concerns(const StepUpPolicy& policy, std::string_view action, const access::Decision& decision) {
  const auto matches = [&](const std::string& pattern) { return access::action_matches(pattern, action); };
  if (!policy.actions.empty() && std::ranges::none_of(policy.actions, matches)) return false;
  if (policy.roles.empty()) return true;
  const std::string& id = decision.role_definition_id;
  return std::ranges::find(policy.roles, ascii_lower(id.substr(id.rfind('/') + 1))) != policy.roles.end();
}

Result<std::vector<StepUpPolicy>> with_prefix(store::Reader& reader, const TenantId& tenant,
                                              const std::string& prefix) {
  std::vector<StepUpPolicy> found;
  store::Range range{.prefix = prefix, .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(StepUps::table(), tenant, range));
    for (const auto& row : rows) found.push_back(TRY(read_policy(row)));
    if (rows.size() < range.limit) return found;
    range.after = rows.back().key;
  }
}

}  // namespace

const store::TableSpec& StepUps::table() {
  static const store::TableSpec spec{"step_up_policies", {}};
  return spec;
}

Result<std::vector<StepUpPolicy>> StepUps::at(store::Reader& reader, std::string_view scope) const {
  return with_prefix(reader, core_.tenant, ascii_lower(scope) + "\n");
}

Result<std::vector<StepUpPolicy>> StepUps::at_and_above(store::Reader& reader, std::string_view scope) const {
  std::vector<StepUpPolicy> found;
  for (const std::string& around : TRY(core_.access.scopes_around(reader, scope)))
    for (StepUpPolicy& policy : TRY(at(reader, around))) found.push_back(std::move(policy));
  return found;
}

Result<std::vector<StepUpPolicy>> StepUps::at_and_below(store::Reader& reader, std::string_view scope) const {
  std::vector<StepUpPolicy> found;
  if (TRY(core_.known_rows->is_empty(reader, table(), core_.tenant))) return found;
  for (const std::string& prefix : {ascii_lower(scope) + "\n", ascii_lower(scope) + "/"})
    for (StepUpPolicy& policy : TRY(with_prefix(reader, core_.tenant, prefix)))
      found.push_back(std::move(policy));
  return found;
}

Result<void> StepUps::require_met(const identity::Principal& principal,
                                  const std::vector<StepUpPolicy>& policies) const {
  for (const StepUpPolicy& policy : policies)
    if (const auto need = missing(principal, policy))
      return std::unexpected(
          step_up_needed(*need, "Microsoft.Authorization/stepUpPolicies/write", policy.scope));
  return {};
}

std::optional<StepUpNeed> StepUps::missing(const identity::Principal& principal,
                                           const StepUpPolicy& policy) const {
  if (principal.kind != identity::PrincipalKind::user) return std::nullopt;
  const bool mfa = std::ranges::find(principal.amr, identity::kMfa) != principal.amr.end();
  if (mfa && core_.clock.now() - principal.auth_time <= policy.age_max) return std::nullopt;
  return StepUpNeed{.policy_id = step_up_id(policy.scope, policy.name), .age_max = policy.age_max};
}

Result<std::optional<StepUpNeed>> StepUps::missing(store::Reader& reader,
                                                   const identity::Principal& principal,
                                                   std::string_view action, std::string_view scope,
                                                   const access::Decision& decision) const {
  std::optional<StepUpNeed> strictest;
  if (principal.kind != identity::PrincipalKind::user) return strictest;
  if (TRY(core_.known_rows->is_empty(reader, table(), core_.tenant))) return strictest;
  for (const StepUpPolicy& policy : TRY(at_and_above(reader, scope))) {
    if (!concerns(policy, action, decision)) continue;
    auto need = missing(principal, policy);
    if (need && (!strictest || need->age_max < strictest->age_max)) strictest = std::move(need);
  }
  return strictest;
}

Result<std::optional<StepUpPolicy>> StepUps::get(store::Reader& reader, std::string_view scope,
                                                 std::string_view name) const {
  const auto row = TRY(reader.get(table(), core_.tenant, key_of(scope, name)));
  if (!row) return std::optional<StepUpPolicy>();
  return std::optional<StepUpPolicy>(TRY(read_policy(*row)));
}

Result<void> StepUps::put(store::Transaction& tx, std::string_view scope, std::string_view name,
                          const JsonObject& shown) const {
  return tx.put(table(), core_.tenant, {key_of(scope, name), to_text(shown), {}});
}

Result<void> StepUps::erase(store::Transaction& tx, std::string_view scope, std::string_view name) const {
  return tx.erase(table(), core_.tenant, key_of(scope, name));
}

Result<void> StepUps::forget_scope(store::Transaction& tx, std::string_view scope) const {
  for (const StepUpPolicy& policy : TRY(at_and_below(tx, scope))) TRY(erase(tx, policy.scope, policy.name));
  return {};
}

Result<void> StepUps::move_scope(store::Transaction& tx, const ResourceId& from, const ResourceId& to) const {
  for (const char* next : {"\n", "/"}) {
    for (const StepUpPolicy& policy : TRY(with_prefix(tx, core_.tenant, from.key() + next))) {
      const std::string scope = to.text() + policy.scope.substr(from.text().size());
      JsonObject body = policy.body;
      body["id"] = step_up_id(scope, policy.name);
      body["properties"].as_object()["scope"] = scope;
      TRY(erase(tx, policy.scope, policy.name));
      TRY(put(tx, scope, policy.name, body));
    }
  }
  return {};
}

std::string step_up_id(std::string_view scope, std::string_view name) {
  return (scope == "/" ? std::string() : std::string(scope)) +
         "/providers/Merlon.Authorization/stepUpPolicies/" + std::string(name);
}

Error step_up_needed(const StepUpNeed& need, std::string_view action, std::string_view scope) {
  return identity::step_up_error("'" + std::string(action) + "' at '" + std::string(scope) + "'",
                                 need.age_max, need.policy_id);
}

}  // namespace merlon::resource
