// Graph: users, and who is asking.
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"
#include "identity/sessions.h"

namespace merlon::identity::graph {
namespace {

schema::Shape password_profile() {
  return schema::object({schema::optional("password", schema::text()),
                         schema::optional("forceChangePasswordNextSignIn", schema::boolean())});
}

schema::Shape nickname() { return schema::text().with_range(1, 64); }

// By object id, or by user principal name as Graph allows.
Result<User> user_argument(const GraphCall& call, store::Reader& reader) {
  const std::string& name = call.arguments.at(0);
  const auto id = Uuid::parse(name);
  auto user = id ? TRY(store::get<User>(reader, call.tenant(), id->text()))
                 : TRY(call.directory.user_by_name(reader, name));
  // Who may not look gets one answer, whether the user exists or not.
  if (!call.reads_directory && (!user || user->id != call.principal.object_id)) return graph_denied();
  if (!user) return graph_not_found(name);
  return *std::move(user);
}

Result<User> own_user(const GraphCall& call, store::Reader& reader) {
  if (call.principal.kind != PrincipalKind::user)
    return graph_bad_request("/me request is only valid with delegated authentication flow.");
  auto user = TRY(store::get<User>(reader, call.tenant(), call.principal.object_id.text()));
  if (!user) return graph_not_found(call.principal.object_id.text());
  return *std::move(user);
}

}  // namespace

schema::Shape new_user() {
  return schema::object(
      {schema::required("accountEnabled", schema::boolean()), schema::required("displayName", schema::text()),
       schema::required("userPrincipalName", schema::text()), schema::optional("mailNickname", nickname()),
       schema::optional("passwordProfile", password_profile())});
}

schema::Shape changed_user() {
  return schema::object(
      {schema::optional("accountEnabled", schema::boolean()), schema::optional("displayName", schema::text()),
       schema::optional("userPrincipalName", schema::text()), schema::optional("mailNickname", nickname()),
       schema::optional("passwordProfile", password_profile())});
}

Result<JsonObject> list_users(const GraphCall& call, store::Reader& reader) {
  return graph_page<User>(call, reader, "users",
                          [](const User& user) -> Result<JsonObject> { return graph_user(user); });
}

Result<JsonObject> get_user(const GraphCall& call, store::Reader& reader) {
  return graph_single(call, "users", graph_user(TRY(user_argument(call, reader))));
}

Result<JsonObject> get_me(const GraphCall& call, store::Reader& reader) {
  return graph_single(call, "users", graph_user(TRY(own_user(call, reader))));
}

Result<JsonObject> get_user_info(const GraphCall& call, store::Reader& reader) {
  const User user = TRY(own_user(call, reader));
  return JsonObject{
      {"sub", user.id.text()}, {"name", user.display_name}, {"preferred_username", user.user_principal_name}};
}

Result<GraphOutcome> create_user(const GraphCall& call, store::Transaction& tx) {
  User user;
  user.display_name = TRY(require_string(call.body, "displayName"));
  user.user_principal_name = TRY(require_string(call.body, "userPrincipalName"));
  user.enabled = TRY(require_bool(call.body, "accountEnabled"));
  user.password_hash = call.password_hash;
  user.mail_nickname = string_at(call.body, "mailNickname").value_or(std::string());
  const JsonObject* profile = object_at(call.body, "passwordProfile");
  if (profile != nullptr && call.password_hash.empty())
    return graph_bad_request("The passwordProfile of a new user has no password.", "passwordProfile");
  user.must_change_password =
      profile != nullptr && bool_at(*profile, "forceChangePasswordNextSignIn").value_or(true);
  user = TRY(call.directory.create_user(tx, user));
  return GraphOutcome{.status = 201,
                      .body = graph_single(call, "users", graph_user(user)),
                      .resource = "users/" + user.id.text(),
                      .action = {},
                      .details = {{"userPrincipalName", user.user_principal_name}}};
}

Result<GraphOutcome> update_user(const GraphCall& call, store::Transaction& tx) {
  User user = TRY(user_argument(call, tx));
  GraphOutcome outcome{
      .status = 204, .body = {}, .resource = "users/" + user.id.text(), .action = {}, .details = {}};
  JsonArray changed;
  if (call.body.contains("displayName") || call.body.contains("userPrincipalName") ||
      call.body.contains("mailNickname")) {
    user.mail_nickname = string_at(call.body, "mailNickname").value_or(user.mail_nickname);
    user.display_name = string_at(call.body, "displayName").value_or(user.display_name);
    user.user_principal_name = string_at(call.body, "userPrincipalName").value_or(user.user_principal_name);
    TRY(call.directory.update_user(tx, user));
    changed.emplace_back("names");
  }
  if (!call.password_hash.empty()) {
    tx.urgent();
    TRY(call.directory.set_password(
        tx, user.id, call.password_hash,
        bool_at(call.body, "passwordProfile.forceChangePasswordNextSignIn").value_or(true)));
    outcome.action = "microsoft.directory/users/password/update";
    changed.emplace_back("password");
  } else if (const auto force = bool_at(call.body, "passwordProfile.forceChangePasswordNextSignIn")) {
    TRY(call.directory.set_must_change_password(tx, user.id, *force));
    outcome.action = "microsoft.directory/users/password/update";
    changed.emplace_back("forceChangePasswordNextSignIn");
  }
  if (const auto enabled = bool_at(call.body, "accountEnabled")) {
    if (!*enabled) tx.urgent();
    TRY(call.directory.set_enabled(tx, user.id, *enabled));
    outcome.action = *enabled ? "microsoft.directory/users/enable" : "microsoft.directory/users/disable";
    changed.emplace_back("accountEnabled");
  }
  if (changed.empty())
    return graph_bad_request("The request changes nothing: name the properties to change.");
  outcome.details["changed"] = std::move(changed);
  return outcome;
}

Result<GraphOutcome> delete_user(const GraphCall& call, store::Transaction& tx) {
  const User user = TRY(user_argument(call, tx));
  tx.urgent();
  TRY(call.directory.erase_user(tx, user.id));
  return GraphOutcome{.status = 204,
                      .body = {},
                      .resource = "users/" + user.id.text(),
                      .action = {},
                      .details = {{"userPrincipalName", user.user_principal_name}}};
}

Result<GraphOutcome> revoke_user_sessions(const GraphCall& call, store::Transaction& tx) {
  const User user = TRY(user_argument(call, tx));
  tx.urgent();
  TRY(revoke_sessions(tx, call.tenant(), user.id, call.random));
  return GraphOutcome{
      .status = 200,
      .body = {{"@odata.context", call.origin + "/v1.0/$metadata#Edm.Boolean"}, {"value", true}},
      .resource = "users/" + user.id.text(),
      .action = {},
      .details = {}};
}

}  // namespace merlon::identity::graph
