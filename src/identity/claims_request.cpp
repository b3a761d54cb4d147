// Reading and writing claims requests.
#include "identity/claims_request.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr size_t kTextMax = 8192;
constexpr int64_t kSecondsMax = 253402300799;  // 9999-12-31

std::unexpected<SignInError> malformed(std::string_view what) {
  return refuse(9002313, "Invalid request. The parameter 'claims' " + std::string(what) + ".");
}

bool is_essential(const JsonObject& claim) {
  const Json* essential = claim.if_contains("essential");
  return essential != nullptr && essential->is_bool() && essential->get_bool();
}

// "value" or one of "values".
bool asks_for(const JsonObject& claim, std::string_view wanted) {
  const auto fits = [&](const Json& value) {
    return value.is_string() && ascii_iequal(std::string_view(value.get_string()), wanted);
  };
  if (const Json* value = claim.if_contains("value"); value != nullptr && fits(*value)) return true;
  const Json* values = claim.if_contains("values");
  return values != nullptr && values->is_array() && std::ranges::any_of(values->get_array(), fits);
}

// Entra writes times of claims as text, others as numbers.
std::optional<Timestamp> time_of(const Json& value) {
  int64_t seconds = 0;
  if (value.is_int64()) {
    seconds = value.get_int64();
  } else if (value.is_string()) {
    const std::string_view text = value.get_string();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (seconds < 0 || seconds > kSecondsMax) return std::nullopt;
  return Timestamp(std::chrono::seconds(seconds));
}

}  // namespace

bool ClaimsRequest::satisfied_by(const std::vector<std::string>& amr, Timestamp auth_time) const {
  if (mfa && std::ranges::find(amr, "mfa") == amr.end()) return false;
  return !signed_in_since || auth_time >= *signed_in_since;
}

SignIn<ClaimsRequest> parse_claims_request(const std::string* text) {
  ClaimsRequest asked;
  if (text == nullptr || text->empty()) return asked;
  const auto parsed = parse_json_object(*text, {.bytes_max = kTextMax, .depth_max = 16});
  if (!parsed) return malformed("is not a JSON object");
  const Json* token = parsed->if_contains("access_token");
  if (token == nullptr || token->is_null()) return asked;
  if (!token->is_object()) return malformed("has an access_token that is not an object");
  const auto claim = [&](std::string_view name) -> const JsonObject* {
    const Json* found = token->get_object().if_contains(name);
    return found != nullptr && found->is_object() ? &found->get_object() : nullptr;
  };
  if (const JsonObject* known = claim("xms_cc")) asked.understands_challenge = asks_for(*known, "CP1");
  if (const JsonObject* amr = claim("amr")) asked.mfa = is_essential(*amr) && asks_for(*amr, "mfa");
  if (const JsonObject* since = claim("auth_time"); since != nullptr && is_essential(*since)) {
    if (const Json* value = since->if_contains("value")) {
      asked.signed_in_since = time_of(*value);
      if (!asked.signed_in_since) return malformed("asks for an auth_time that is no time");
    }
  }
  return asked;
}

std::string step_up_claims(Timestamp signed_in_since) {
  const int64_t seconds =
      std::chrono::floor<std::chrono::seconds>(signed_in_since).time_since_epoch().count();
  return to_text(JsonObject{
      {"access_token",
       JsonObject{{"amr", JsonObject{{"essential", true}, {"values", {"mfa"}}}},
                  {"auth_time", JsonObject{{"essential", true}, {"value", std::to_string(seconds)}}}}}});
}

}  // namespace merlon::identity
