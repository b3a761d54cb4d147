// Web sessions, stored.
#include "services/terminal/web_session.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "identity/cookies.h"
#include "identity/sessions.h"

namespace merlon::terminal {
namespace {

constexpr size_t kForgottenAtOnce = 500;

std::string sortable(Timestamp time) { return fmt::format("{:015}", time.time_since_epoch().count()); }

Result<Timestamp> time_at(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("a web session has a bad time '" + std::string(key) + "'");
  return *time;
}

std::string text_at(const JsonObject& json, std::string_view key) {
  return string_at(json, key).value_or(std::string());
}

JsonObject principal_json(const identity::Principal& principal) {
  JsonArray amr;
  for (const std::string& method : principal.amr) amr.emplace_back(method);
  return {{"id", principal.object_id.text()},
          {"isPerson", principal.kind == identity::PrincipalKind::user},
          {"name", principal.name},
          {"app", principal.app_id.text()},
          {"amr", std::move(amr)},
          {"authTime", to_rfc3339(principal.auth_time)},
          {"tokenId", principal.token_id},
          {"signIn", principal.session_id}};
}

Result<identity::Principal> principal_from(const JsonObject& json) {
  identity::Principal principal;
  const auto id = Uuid::parse(text_at(json, "id"));
  const auto app = Uuid::parse(text_at(json, "app"));
  if (!id || !app) return internal_error("a web session names nobody");
  principal.object_id = *id;
  principal.app_id = *app;
  principal.kind = bool_at(json, "isPerson").value_or(true) ? identity::PrincipalKind::user
                                                            : identity::PrincipalKind::service_principal;
  principal.name = text_at(json, "name");
  if (const JsonArray* amr = array_at(json, "amr"))
    for (const Json& method : *amr)
      if (method.is_string()) principal.amr.emplace_back(method.get_string());
  principal.auth_time = TRY(time_at(json, "authTime"));
  principal.token_id = text_at(json, "tokenId");
  principal.session_id = text_at(json, "signIn");
  return principal;
}

std::unexpected<Error> sign_in_needed() {
  return fail(ErrorKind::unauthenticated, "SignInNeeded",
              "You are not signed in here, or not any more. Sign in.");
}

}  // namespace

const store::TableSpec& WebSession::table() {
  static const store::TableSpec spec{"bastion_web_sessions", {{"expires", store::Unique::no}}};
  return spec;
}

std::vector<std::optional<std::string>> WebSession::index_values() const { return {sortable(expires)}; }

JsonObject WebSession::to_json() const {
  return {{"digest", digest},
          {"host", host},
          {"bastion", bastion},
          {"principal", principal_json(principal)},
          {"stamp", stamp},
          {"created", to_rfc3339(created)},
          {"expires", to_rfc3339(expires)}};
}

Result<WebSession> WebSession::from_json(const JsonObject& json) {
  WebSession session;
  session.digest = TRY(require_string(json, "digest"));
  session.host = TRY(require_string(json, "host"));
  session.bastion = TRY(require_string(json, "bastion"));
  const JsonObject* principal = object_at(json, "principal");
  if (principal == nullptr) return internal_error("a web session names nobody");
  session.principal = TRY(principal_from(*principal));
  session.stamp = text_at(json, "stamp");
  session.created = TRY(time_at(json, "created"));
  session.expires = TRY(time_at(json, "expires"));
  return session;
}

std::string web_session_digest(std::string_view cookie) { return to_hex(crypto::sha256(as_bytes(cookie))); }

Result<WebSession> find_web_session(store::Reader& reader, const resource::Core& core,
                                    const net::Request& request) {
  const auto cookie = identity::read_cookie(request.headers, kWebSessionCookie);
  if (!cookie) return sign_in_needed();
  auto session = TRY(store::get<WebSession>(reader, core.tenant, web_session_digest(*cookie)));
  if (!session || session->host != request.host || session->expires <= core.clock.now())
    return sign_in_needed();
  const identity::PastSignIn sign_in{.principal = session->principal.object_id,
                                     .is_person = session->principal.kind == identity::PrincipalKind::user,
                                     .session_id = session->principal.session_id,
                                     .stamp = session->stamp};
  if (!TRY(identity::still_holds(reader, core.directory, sign_in))) return sign_in_needed();
  session->principal.address = request.peer;
  return *std::move(session);
}

Result<void> forget_old_web_sessions(const resource::Core& core, Timestamp now) {
  const store::Range oldest{.prefix = {}, .after = {}, .after_key = {}, .limit = kForgottenAtOnce};
  const auto is_due = [&](store::Reader& reader) -> Result<bool> {
    const auto rows = TRY(reader.scan_index(WebSession::table(), core.tenant, "expires", oldest));
    return !rows.empty() && rows.front().value < sortable(now);
  };
  if (!TRY(store::read_value<bool>(core.store, is_due))) return {};
  return core.store.write([&](store::Transaction& tx) -> Result<void> {
    for (const store::IndexedRow& row :
         TRY(tx.scan_index(WebSession::table(), core.tenant, "expires", oldest)))
      if (row.value < sortable(now)) TRY(tx.erase(WebSession::table(), core.tenant, row.row.key));
    return {};
  });
}

}  // namespace merlon::terminal
