// Through Graph's filters, which answer exact matches.
#include "cli/directory_lookup.h"

#include "base/text.h"
#include "base/uuid.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

Result<JsonArray> matching(Api& api, const std::string& set, const std::string& field,
                           const std::string& value) {
  JsonObject answer = TRY(api.list("/v1.0/" + set, {}, "$filter=" + field + "%20eq%20" + quoted_term(value)));
  return std::move(answer.at("value").get_array());
}

Result<JsonObject> only_one(JsonArray found, const std::string& who, const std::string& what,
                            const std::string& command) {
  if (found.empty())
    return fail(ErrorKind::not_found, "NotFound",
                "There is no " + what + " '" + who + "'. 'merlon " + command + " list' shows who is there.");
  if (found.size() > 1)
    return fail(ErrorKind::conflict, "NameNotUnique",
                "Several are named '" + who + "'. Use the object id of the one that you mean ('merlon " +
                    command + " list').");
  return std::move(found.front().get_object());
}

Principal principal_of(const JsonObject& object, std::string type) {
  Principal principal{.id = text_at(object, "id"), .type = std::move(type), .name = {}};
  principal.name = text_at(object, "userPrincipalName");
  if (principal.name.empty()) principal.name = text_at(object, "displayName");
  return principal;
}

std::string type_of(const JsonObject& object) {
  const Json* type = object.if_contains("@odata.type");
  const std::string text =
      type != nullptr && type->is_string() ? std::string(type->get_string()) : std::string();
  if (text.ends_with(".user")) return "User";
  if (text.ends_with(".group")) return "Group";
  if (text.ends_with(".servicePrincipal")) return "ServicePrincipal";
  return {};
}

Result<Principal> principal_by_id(Api& api, const std::string& id) {
  const auto object = api.get("/v1.0/directoryObjects/" + part(id), {});
  if (object) {
    if (const std::string type = type_of(object->body); !type.empty())
      return principal_of(object->body, type);
    // An application's object: what acts is its service principal.
    return principal_of(TRY(find_service_principal(api, text_at(object->body, "appId"))), "ServicePrincipal");
  }
  // Who may not read the directory can still name an object by its id.
  if (object.error().kind == ErrorKind::forbidden) return Principal{.id = id, .type = {}, .name = id};
  if (object.error().kind != ErrorKind::not_found) return std::unexpected(object.error());
  return principal_of(TRY(find_service_principal(api, id)), "ServicePrincipal");
}

}  // namespace

Result<JsonObject> find_user(Api& api, const std::string& who) {
  if (Uuid::parse(who) || who.find('@') != std::string::npos) {
    auto user = TRY(api.get("/v1.0/users/" + part(who), {}));
    return std::move(user.body);
  }
  return only_one(TRY(matching(api, "users", "displayName", who)), who, "user", "user");
}

Result<JsonObject> find_group(Api& api, const std::string& who) {
  if (Uuid::parse(who)) {
    auto group = TRY(api.get("/v1.0/groups/" + part(who), {}));
    return std::move(group.body);
  }
  return only_one(TRY(matching(api, "groups", "displayName", who)), who, "group", "group");
}

Result<JsonObject> find_service_principal(Api& api, const std::string& who) {
  if (Uuid::parse(who)) {
    auto by_app = TRY(matching(api, "servicePrincipals", "appId", who));
    if (!by_app.empty()) return only_one(std::move(by_app), who, "application", "app");
    auto by_id = api.get("/v1.0/servicePrincipals/" + part(who), {});
    if (by_id) return std::move(by_id->body);
    if (by_id.error().kind != ErrorKind::not_found) return std::unexpected(by_id.error());
    return only_one({}, who, "application", "app");
  }
  return only_one(TRY(matching(api, "servicePrincipals", "displayName", who)), who, "application", "app");
}

Result<JsonObject> find_application(Api& api, const std::string& who) {
  const JsonObject principal = TRY(find_service_principal(api, who));
  JsonArray applications = TRY(matching(api, "applications", "appId", text_at(principal, "appId")));
  if (applications.empty())
    return wrong_usage("'" + who +
                       "' is a managed identity: it keeps no secret, and is changed by its resource ('az "
                       "identity').");
  return std::move(applications.front().get_object());
}

Result<Principal> find_principal(Api& api, const std::string& who) {
  if (Uuid::parse(who)) return principal_by_id(api, ascii_lower(who));
  if (who.find('@') != std::string::npos) return principal_of(TRY(find_user(api, who)), "User");
  std::vector<Principal> found;
  for (const auto& [set, type] : {std::pair{"servicePrincipals", "ServicePrincipal"},
                                  std::pair{"groups", "Group"}, std::pair{"users", "User"}})
    for (const Json& value : TRY(matching(api, set, "displayName", who)))
      found.push_back(principal_of(value.get_object(), type));
  if (found.size() == 1) return found.front();
  if (found.empty())
    return fail(
        ErrorKind::not_found, "NotFound",
        "Nobody is named '" + who + "'. 'merlon user list', 'group list' and 'app list' show who is there.");
  return fail(ErrorKind::conflict, "NameNotUnique",
              "Several are named '" + who + "'. Use the object id of the one that you mean.");
}

}  // namespace merlon::cli
