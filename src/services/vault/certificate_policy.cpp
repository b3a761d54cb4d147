// Reading and evaluating certificate policies.
#include "services/vault/certificate_policy.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "services/vault/plane.h"
#include "services/vault/rotation.h"

namespace merlon::vault {
namespace {

constexpr int64_t kMonthsMax = 1200;
constexpr int64_t kMonthsDefault = 12;
constexpr int64_t kDaysOfMonth = 27;  // Azure bounds days_before_expiry by validity_months × 27
constexpr int64_t kPercentDefault = 80;
constexpr size_t kTextsMax = 100;
constexpr auto kClockSkew = std::chrono::minutes(10);

const Json* member(const JsonObject& body, std::string_view key) {
  const Json* value = body.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

// The part of a body, or nothing when it is not there.
Result<JsonObject> part(const JsonObject& body, std::string_view key) {
  const Json* value = member(body, key);
  if (value == nullptr) return JsonObject();
  if (!value->is_object()) return bad_parameter("policy." + std::string(key) + " is not an object.");
  return value->get_object();
}

Result<void> take_text(const JsonObject& from, std::string_view key, JsonObject& to) {
  const Json* value = member(from, key);
  if (value == nullptr) return {};
  if (!value->is_string()) return bad_parameter("'" + std::string(key) + "' of the policy is not a text.");
  to[key] = *value;
  return {};
}

Result<void> take_bool(const JsonObject& from, std::string_view key, JsonObject& to) {
  const Json* value = member(from, key);
  if (value == nullptr) return {};
  if (!value->is_bool())
    return bad_parameter("'" + std::string(key) + "' of the policy is neither true nor false.");
  to[key] = *value;
  return {};
}

Result<void> take_number(const JsonObject& from, std::string_view key, JsonObject& to) {
  if (member(from, key) == nullptr) return {};
  const auto number = int_at(from, key);
  if (!number) return bad_parameter("'" + std::string(key) + "' of the policy is not a whole number.");
  to[key] = *number;
  return {};
}

Result<void> take_texts(const JsonObject& from, std::string_view key, JsonObject& to) {
  const Json* value = member(from, key);
  if (value == nullptr) return {};
  const auto is_text = [](const Json& one) { return one.is_string(); };
  if (!value->is_array() || value->get_array().size() > kTextsMax ||
      !std::ranges::all_of(value->get_array(), is_text))
    return bad_parameter("'" + std::string(key) + "' of the policy is not a list of at most 100 texts.");
  to[key] = *value;
  return {};
}

std::vector<std::string> texts_at(const JsonObject& json, std::string_view path) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, path))
    for (const Json& one : *array)
      if (one.is_string()) texts.emplace_back(one.get_string());
  return texts;
}

Result<JsonObject> read_key_props(const JsonObject& body, JsonObject key) {
  const JsonObject given = TRY(part(body, "key_props"));
  // Another kind of key does not keep the other one's size.
  if (const auto kind = string_at(given, "kty"); kind && kind != string_at(key, "kty")) {
    key.erase("key_size");
    key.erase("crv");
  }
  for (const std::string_view name : {"kty", "crv"}) TRY(take_text(given, name, key));
  for (const std::string_view name : {"exportable", "reuse_key"}) TRY(take_bool(given, name, key));
  TRY(take_number(given, "key_size", key));
  if (!key.contains("exportable")) key["exportable"] = true;
  if (!key.contains("kty")) key["kty"] = "RSA";
  if (!key.contains("reuse_key")) key["reuse_key"] = false;
  const std::string kind = *string_at(key, "kty");
  if (kind.ends_with("-HSM"))
    return fault(ErrorKind::unsupported, "NotSupported",
                 "Keys in a hardware token need one, and this server has none. Use kty RSA or EC.");
  if (kind == "RSA") {
    key.erase("crv");
    if (!key.contains("key_size")) key["key_size"] = 2048;
    const int64_t bits = *int_at(key, "key_size");
    if (bits != 2048 && bits != 3072 && bits != 4096)
      return bad_parameter("key_props.key_size must be 2048, 3072 or 4096.");
    return key;
  }
  if (kind != "EC") return bad_parameter("key_props.kty must be RSA or EC.");
  key.erase("key_size");
  if (!key.contains("crv")) key["crv"] = "P-256";
  constexpr std::array<std::string_view, 4> curves{"P-256", "P-384", "P-521", "P-256K"};
  if (std::ranges::find(curves, *string_at(key, "crv")) == curves.end())
    return bad_parameter("key_props.crv must be P-256, P-384, P-521 or P-256K.");
  return key;
}

Result<JsonObject> read_secret_props(const JsonObject& body, JsonObject secret) {
  TRY(take_text(TRY(part(body, "secret_props")), "contentType", secret));
  if (!secret.contains("contentType")) secret["contentType"] = kPfx;
  const std::string type = *string_at(secret, "contentType");
  if (type != kPfx && type != kPem)
    return bad_parameter("secret_props.contentType must be application/x-pkcs12 or application/x-pem-file.");
  return secret;
}

// basic_constraints makes an authority: Merlon's own, as `merlon ca create` asks for.
Result<JsonObject> read_x509_props(const JsonObject& body, JsonObject x509) {
  const JsonObject given = TRY(part(body, "x509_props"));
  TRY(take_text(given, "subject", x509));
  for (const std::string_view name : {"ekus", "key_usage"}) TRY(take_texts(given, name, x509));
  TRY(take_number(given, "validity_months", x509));
  if (member(given, "sans") != nullptr) {
    const JsonObject sans = TRY(part(given, "sans"));
    JsonObject names;
    for (const std::string_view name : {"emails", "dns_names", "upns", "uris", "ipAddresses"})
      TRY(take_texts(sans, name, names));
    x509["sans"] = std::move(names);
  }
  if (member(given, "basic_constraints") != nullptr) {
    JsonObject constraints;
    TRY(take_bool(TRY(part(given, "basic_constraints")), "ca", constraints));
    x509["basic_constraints"] = std::move(constraints);
  }
  const bool authority = bool_at(x509, "basic_constraints.ca").value_or(false);
  if (!x509.contains("ekus"))
    x509["ekus"] = authority ? JsonArray() : JsonArray{"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"};
  if (!x509.contains("key_usage"))
    x509["key_usage"] = authority ? JsonArray{"digitalSignature", "keyCertSign", "cRLSign"}
                                  : JsonArray{"digitalSignature", "keyEncipherment"};
  if (!x509.contains("validity_months")) x509["validity_months"] = kMonthsDefault;
  const int64_t months = *int_at(x509, "validity_months");
  if (months < 1 || months > kMonthsMax)
    return bad_parameter("x509_props.validity_months must be from 1 to 1200.");
  return x509;
}

Result<Json> read_action(const Json& value, int64_t months, std::string_view issuer) {
  if (!value.is_object()) return bad_parameter("A lifetime action is not an object.");
  const JsonObject& given = value.get_object();
  const std::string type = ascii_lower(string_at(given, "action.action_type").value_or(""));
  if (type != "autorenew" && type != "emailcontacts")
    return bad_parameter("A lifetime action's action_type must be AutoRenew or EmailContacts.");
  if (type == "autorenew" && issuer == kUnknown)
    return bad_parameter(
        "A certificate whose issuer is Unknown cannot renew itself. Use EmailContacts, or name an issuer.");
  const auto percent = int_at(given, "trigger.lifetime_percentage");
  const auto days = int_at(given, "trigger.days_before_expiry");
  if (percent.has_value() == days.has_value())
    return bad_parameter("A trigger has either lifetime_percentage or days_before_expiry.");
  if (percent && (*percent < 1 || *percent > 99))
    return bad_parameter("lifetime_percentage must be from 1 to 99.");
  if (days && (*days < 1 || *days > months * kDaysOfMonth))
    return bad_parameter("days_before_expiry must be from 1 to validity_months times 27.");
  JsonObject trigger;
  if (percent) trigger["lifetime_percentage"] = *percent;
  if (days) trigger["days_before_expiry"] = *days;
  return Json(JsonObject{{"trigger", std::move(trigger)},
                         {"action", {{"action_type", type == "autorenew" ? "AutoRenew" : "EmailContacts"}}}});
}

Result<JsonArray> read_actions(const JsonObject& body, const JsonObject& before, int64_t months,
                               std::string_view issuer) {
  const Json* value = member(body, "lifetime_actions");
  if (value == nullptr) value = before.if_contains("lifetime_actions");
  JsonArray actions;
  if (value == nullptr) {
    actions.push_back(
        JsonObject{{"trigger", {{"lifetime_percentage", kPercentDefault}}},
                   {"action", {{"action_type", issuer == kUnknown ? "EmailContacts" : "AutoRenew"}}}});
    return actions;
  }
  if (!value->is_array()) return bad_parameter("lifetime_actions is not a list.");
  std::vector<std::string> types;
  for (const Json& one : value->get_array()) {
    actions.push_back(TRY(read_action(one, months, issuer)));
    types.push_back(*string_at(actions.back().as_object(), "action.action_type"));
  }
  std::ranges::sort(types);
  if (std::ranges::adjacent_find(types) != types.end())
    return bad_parameter("A policy has at most one action of each type.");
  return actions;
}

Result<JsonObject> read_issuer(const JsonObject& body, JsonObject issuer) {
  const JsonObject given = TRY(part(body, "issuer"));
  for (const std::string_view name : {"name", "cty"}) TRY(take_text(given, name, issuer));
  TRY(take_bool(given, "cert_transparency", issuer));
  const std::string name = string_at(issuer, "name").value_or("");
  if (name.empty()) return bad_parameter("The policy needs issuer.name: Self, Unknown or an issuer's name.");
  for (const std::string_view known : {kSelf, kUnknown})
    if (ascii_iequal(name, known)) issuer["name"] = known;
  return issuer;
}

JsonObject part_before(const JsonObject& before, std::string_view key) {
  const JsonObject* object = object_at(before, key);
  return object == nullptr ? JsonObject() : *object;
}

std::optional<Timestamp> due_of(const JsonObject& action, const Facts& facts) {
  if (!facts.not_before || !facts.expires) return std::nullopt;
  const Timestamp begin = from_seconds(*facts.not_before), end = from_seconds(*facts.expires);
  // Its issuer may have given it less than the policy asked for: never before half of its life is over.
  const Timestamp half = begin + std::chrono::seconds((*facts.expires - *facts.not_before) / 2);
  if (const auto days = int_at(action, "trigger.days_before_expiry"))
    return std::max(half, Timestamp(end - std::chrono::days(*days)));
  const auto percent = int_at(action, "trigger.lifetime_percentage");
  if (!percent) return std::nullopt;
  return begin + std::chrono::seconds((*facts.expires - *facts.not_before) * *percent / 100);
}

JsonArray array_of(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

}  // namespace

Result<JsonObject> read_certificate_policy(const JsonObject& body, const JsonObject& before) {
  JsonObject policy;
  policy["key_props"] = TRY(read_key_props(body, part_before(before, "key_props")));
  policy["secret_props"] = TRY(read_secret_props(body, part_before(before, "secret_props")));
  policy["x509_props"] = TRY(read_x509_props(body, part_before(before, "x509_props")));
  policy["issuer"] = TRY(read_issuer(body, part_before(before, "issuer")));
  const int64_t months = *int_at(policy, "x509_props.validity_months");
  policy["lifetime_actions"] = TRY(read_actions(body, before, months, issuer_of(policy)));
  const crypto::CertificateProfile profile = profile_of(policy);
  if (profile.subject.empty() && profile.dns_names.empty() && profile.emails.empty() &&
      profile.upns.empty() && profile.uris.empty() && profile.addresses.empty())
    return bad_parameter("The policy needs x509_props.subject or x509_props.sans.");
  TRY(crypto::check_profile(profile));
  return policy;
}

Result<JsonObject> policy_of_imported(const crypto::CertificateReading& reading,
                                      const crypto::KeyMaterial& key, const JsonObject& body,
                                      std::string_view content_type) {
  JsonObject own_key{{"exportable", true}};
  own_key["kty"] = key.kind() == crypto::MaterialKind::ec ? "EC" : "RSA";
  if (key.kind() == crypto::MaterialKind::ec) {
    own_key["crv"] = key.curve();
  } else {
    own_key["key_size"] = key.bits();
  }
  const auto life = std::chrono::duration_cast<std::chrono::days>(reading.not_after - reading.not_before);
  JsonObject x509{{"subject", reading.profile.subject},
                  {"ekus", array_of(reading.profile.extended_usages)},
                  {"key_usage", array_of(reading.profile.usages)},
                  {"sans",
                   {{"emails", array_of(reading.profile.emails)},
                    {"dns_names", array_of(reading.profile.dns_names)},
                    {"upns", array_of(reading.profile.upns)},
                    {"uris", array_of(reading.profile.uris)},
                    {"ipAddresses", array_of(reading.profile.addresses)}}},
                  {"validity_months", std::clamp<int64_t>((life.count() + 15) / 30, 1, kMonthsMax)}};
  const JsonObject own{{"key_props", own_key},
                       {"secret_props", {{"contentType", content_type}}},
                       {"x509_props", std::move(x509)},
                       {"issuer", {{"name", kUnknown}}}};
  JsonObject policy;
  JsonObject key_props = TRY(read_key_props(body, own_key));
  // The key is what it is, whatever the body says of it.
  for (const std::string_view name : {"kty", "key_size", "crv"}) key_props.erase(name);
  for (const auto& said : own_key)
    if (!key_props.contains(said.key())) key_props.insert(said);
  policy["key_props"] = std::move(key_props);
  policy["secret_props"] = TRY(read_secret_props(body, part_before(own, "secret_props")));
  policy["x509_props"] = part_before(own, "x509_props");
  policy["issuer"] = TRY(read_issuer(body, part_before(own, "issuer")));
  policy["lifetime_actions"] = TRY(read_actions(body, {}, kMonthsMax, issuer_of(policy)));
  return policy;
}

std::string issuer_of(const JsonObject& policy) { return string_at(policy, "issuer.name").value_or(""); }

bool is_exportable(const JsonObject& policy) {
  return bool_at(policy, "key_props.exportable").value_or(true);
}

crypto::CertificateProfile profile_of(const JsonObject& policy) {
  return {.subject = string_at(policy, "x509_props.subject").value_or(""),
          .dns_names = texts_at(policy, "x509_props.sans.dns_names"),
          .emails = texts_at(policy, "x509_props.sans.emails"),
          .upns = texts_at(policy, "x509_props.sans.upns"),
          .uris = texts_at(policy, "x509_props.sans.uris"),
          .addresses = texts_at(policy, "x509_props.sans.ipAddresses"),
          .extended_usages = texts_at(policy, "x509_props.ekus"),
          .usages = texts_at(policy, "x509_props.key_usage"),
          .authority = bool_at(policy, "x509_props.basic_constraints.ca").value_or(false)};
}

crypto::CertificateTimes times_of(const JsonObject& policy, Timestamp now) {
  const CalendarSpan life{.months = int_at(policy, "x509_props.validity_months").value_or(kMonthsDefault)};
  return {now - kClockSkew, life.after(now)};
}

std::optional<LifetimeStep> next_step(const Certificate& certificate, const std::string& newest,
                                      const Facts& facts) {
  const JsonArray* actions = array_at(certificate.policy, "lifetime_actions");
  if (actions == nullptr || !facts.enabled || facts.pending) return std::nullopt;
  std::optional<LifetimeStep> next;
  for (const Json& action : *actions) {
    const bool renews = string_at(action.as_object(), "action.action_type") == "AutoRenew";
    if (!renews && certificate.noticed == newest) continue;
    const auto due = due_of(action.as_object(), facts);
    if (due && (!next || *due < next->due)) next = LifetimeStep{renews, *due};
  }
  return next;
}

}  // namespace merlon::vault
