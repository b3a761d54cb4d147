// The JSON forms of the above. Both ends use them.
#include "machine/identity_endpoint.h"

#include "base/time_text.h"
#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr size_t kTokenMax = 16 * 1024;
constexpr size_t kIdMax = 64;

JsonArray texts_json(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

Result<CallerRule> read_rule(const JsonObject& json) {
  CallerRule rule;
  rule.name = TRY(text_field(json, "name", 128));
  rule.users = TRY(texts_field(json, "users", kCallersMax));
  rule.units = TRY(texts_field(json, "units", kCallersMax));
  rule.client_ids = TRY(texts_field(json, "clientIds", kBoundIdentitiesMax));
  return rule;
}

}  // namespace

JsonObject IdentityEndpoint::to_json() const {
  JsonArray bound;
  for (const BoundIdentity& identity : identities)
    bound.push_back(JsonObject{{"clientId", identity.client_id},
                               {"principalId", identity.principal_id},
                               {"resourceId", identity.resource_id},
                               {"own", identity.own}});
  JsonObject json = {{"identities", std::move(bound)}, {"linkLocal", link_local}};
  if (!has_rules) return json;
  JsonArray all;
  for (const CallerRule& rule : rules)
    all.push_back(JsonObject{{"name", rule.name},
                             {"users", texts_json(rule.users)},
                             {"units", texts_json(rule.units)},
                             {"clientIds", texts_json(rule.client_ids)}});
  json["rules"] = std::move(all);
  return json;
}

Result<IdentityEndpoint> IdentityEndpoint::from_json(const JsonObject& json) {
  IdentityEndpoint endpoint;
  for (const JsonObject* object : TRY(objects_field(json, "identities", kBoundIdentitiesMax)))
    endpoint.identities.push_back({.client_id = TRY(text_field(*object, "clientId", kIdMax)),
                                   .principal_id = TRY(text_field(*object, "principalId", kIdMax)),
                                   .resource_id = TRY(text_field(*object, "resourceId")),
                                   .own = TRY(bool_field(*object, "own"))});
  endpoint.link_local = TRY(bool_field_or_false(json, "linkLocal"));
  endpoint.has_rules = json.contains("rules");
  for (const JsonObject* object : TRY(objects_field(json, "rules", kCallerRulesMax)))
    endpoint.rules.push_back(TRY(read_rule(*object)));
  return endpoint;
}

JsonObject TokenRequest::to_json() const {
  return {{"bootId", boot_id}, {"clientId", client_id}, {"audience", audience}, {"caller", caller}};
}

Result<TokenRequest> TokenRequest::from_json(const JsonObject& json) {
  return TokenRequest{.boot_id = TRY(text_field(json, "bootId", 64)),
                      .client_id = TRY(text_field(json, "clientId", kIdMax)),
                      .audience = TRY(text_field(json, "audience", kAudienceMax)),
                      .caller = TRY(text_field_or_empty(json, "caller", 128))};
}

JsonObject TokenAnswer::to_json() const {
  return {{"token", token.expose_text()},
          {"notBefore", to_rfc3339(not_before)},
          {"expires", to_rfc3339(expires)},
          {"serverTime", to_rfc3339(server_time)}};
}

Result<TokenAnswer> TokenAnswer::from_json(const JsonObject& json) {
  TokenAnswer answer;
  answer.token = Secret(TRY(text_field(json, "token", kTokenMax)));
  answer.not_before = TRY(time_field(json, "notBefore"));
  answer.expires = TRY(time_field(json, "expires"));
  answer.server_time = TRY(time_field(json, "serverTime"));
  return answer;
}

}  // namespace merlon::machine
