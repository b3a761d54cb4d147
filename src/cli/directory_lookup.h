// Finding people, groups and applications by whatever somebody calls them.
#pragma once

#include <string>

#include "cli/api.h"

namespace merlon::cli {

struct Principal {
  std::string id;    // object id: what roles are given to
  std::string type;  // "User", "Group", "ServicePrincipal"; empty when it could not be asked
  std::string name;
};

// An object id, a user principal name, an application's client id, or a display name that only one has.
Result<Principal> find_principal(Api& api, const std::string& who);

// One object of a set ("users", "groups", "applications", "servicePrincipals"), by id or by its name.
Result<JsonObject> find_user(Api& api, const std::string& who);
Result<JsonObject> find_group(Api& api, const std::string& who);
Result<JsonObject> find_service_principal(Api& api, const std::string& who);
// The application of a service principal; a managed identity has none.
Result<JsonObject> find_application(Api& api, const std::string& who);

}  // namespace merlon::cli
