// The note as JSON.
#include "services/ssh/sign_in_note.h"

#include "base/json.h"
#include "base/time_text.h"

namespace merlon::ssh_identity {

std::string SignInNote::to_text() const {
  JsonArray methods;
  for (const std::string& method : amr) methods.emplace_back(method);
  return merlon::to_text(JsonObject{{"kind", identity::principal_kind_text(kind)},
                                    {"app", app_id.text()},
                                    {"stamp", stamp_digest},
                                    {"amr", std::move(methods)},
                                    {"authTime", to_rfc3339(auth_time)}});
}

Result<SignInNote> SignInNote::from_text(std::string_view text) {
  const JsonObject json = TRY(parse_json_object(text, {.bytes_max = 4096, .depth_max = 4}));
  SignInNote note;
  const std::string kind = TRY(require_string(json, "kind"));
  const auto app = Uuid::parse(TRY(require_string(json, "app")));
  const auto time = from_rfc3339(TRY(require_string(json, "authTime")));
  const JsonArray* methods = array_at(json, "amr");
  if (!app || !time || methods == nullptr)
    return internal_error("a certificate's note of its sign-in is malformed");
  note.kind = kind == identity::principal_kind_text(identity::PrincipalKind::user)
                  ? identity::PrincipalKind::user
                  : identity::PrincipalKind::service_principal;
  note.app_id = *app;
  note.auth_time = *time;
  note.stamp_digest = TRY(require_string(json, "stamp"));
  for (const Json& method : *methods)
    if (method.is_string()) note.amr.emplace_back(method.get_string());
  return note;
}

}  // namespace merlon::ssh_identity
