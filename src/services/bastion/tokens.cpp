// Tokens of the data plane, stored.
#include "services/bastion/tokens.h"

#include "base/bytes.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "services/bastion/records.h"

namespace merlon::bastion {
namespace {

constexpr size_t kTokenBytes = 32;
constexpr size_t kForgottenAtOnce = 500;

std::string text_at(const JsonObject& json, std::string_view key) {
  return string_at(json, key).value_or(std::string());
}

Result<Timestamp> time_at(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(text_at(json, key));
  if (!time) return internal_error("a tunnel token has a bad time '" + std::string(key) + "'");
  return *time;
}

JsonArray array_of(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

std::vector<std::string> texts_in(const JsonObject& json, std::string_view key) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, key))
    for (const Json& element : *array)
      if (element.is_string()) texts.emplace_back(element.get_string());
  return texts;
}

JsonObject way_json(const WayIn& way) {
  const identity::Principal& caller = way.caller;
  return {{"person", caller.object_id.text()},
          {"isPerson", caller.kind == identity::PrincipalKind::user},
          {"name", caller.name},
          {"app", caller.app_id.text()},
          {"amr", array_of(caller.amr)},
          {"authTime", to_rfc3339(caller.auth_time)},
          {"tokenId", caller.token_id},
          {"signIn", caller.session_id},
          {"userAgent", way.user_agent},
          {"target", way.target},
          {"bastion", way.bastion},
          {"port", way.port},
          {"protocol", protocol_text(way.protocol)}};
}

Result<WayIn> way_from(const JsonObject& json) {
  WayIn way;
  const auto person = Uuid::parse(text_at(json, "person"));
  const auto app = Uuid::parse(text_at(json, "app"));
  if (!person || !app) return internal_error("a tunnel token names nobody");
  way.caller.object_id = *person;
  way.caller.app_id = *app;
  way.caller.kind = bool_at(json, "isPerson").value_or(true) ? identity::PrincipalKind::user
                                                             : identity::PrincipalKind::service_principal;
  way.caller.name = text_at(json, "name");
  way.caller.amr = texts_in(json, "amr");
  way.caller.auth_time = TRY(time_at(json, "authTime"));
  way.caller.token_id = text_at(json, "tokenId");
  way.caller.session_id = text_at(json, "signIn");
  way.user_agent = text_at(json, "userAgent");
  way.target = text_at(json, "target");
  way.bastion = text_at(json, "bastion");
  way.port = static_cast<uint16_t>(int_at(json, "port").value_or(0));
  way.protocol = protocol_of(text_at(json, "protocol")).value_or(Protocol::tcp);
  return way;
}

}  // namespace

const store::TableSpec& TunnelToken::table() {
  static const store::TableSpec spec{
      "bastion_tokens",
      {{"websocket", store::Unique::yes}, {"person", store::Unique::no}, {"expires", store::Unique::no}}};
  return spec;
}

std::vector<std::optional<std::string>> TunnelToken::index_values() const {
  return {websocket.empty() ? std::nullopt : std::optional(websocket), way.caller.object_id.text(),
          sortable(expires)};
}

JsonObject TunnelToken::to_json() const {
  return {{"digest", digest},
          {"websocket", websocket},
          {"websocketUntil", to_rfc3339(websocket_until)},
          {"isForGateway", is_for_gateway},
          {"expires", to_rfc3339(expires)},
          {"bastion", bastion},
          {"way", way_json(way)},
          {"sessions", array_of(sessions)}};
}

Result<TunnelToken> TunnelToken::from_json(const JsonObject& json) {
  TunnelToken token;
  token.digest = TRY(require_string(json, "digest"));
  token.websocket = text_at(json, "websocket");
  token.websocket_until = TRY(time_at(json, "websocketUntil"));
  token.is_for_gateway = bool_at(json, "isForGateway").value_or(false);
  token.expires = TRY(time_at(json, "expires"));
  token.bastion = TRY(require_string(json, "bastion"));
  const JsonObject* way = object_at(json, "way");
  if (way == nullptr) return internal_error("a tunnel token leads nowhere");
  token.way = TRY(way_from(*way));
  token.sessions = texts_in(json, "sessions");
  return token;
}

std::string new_token(Random& random) { return to_base64url(random.bytes(kTokenBytes)); }

std::string token_digest(std::string_view token) { return to_hex(crypto::sha256(as_bytes(token))); }

Result<void> forget_old_tokens(const resource::Core& core, Timestamp now) {
  return core.store.write([&](store::Transaction& tx) -> Result<void> {
    const store::Range oldest{.prefix = {}, .after = {}, .after_key = {}, .limit = kForgottenAtOnce};
    for (const store::IndexedRow& row :
         TRY(tx.scan_index(TunnelToken::table(), core.tenant, "expires", oldest)))
      if (row.value < sortable(now)) TRY(tx.erase(TunnelToken::table(), core.tenant, row.row.key));
    return {};
  });
}

}  // namespace merlon::bastion
