// merlon user: people.
#include <ostream>

#include "cli/directory_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr size_t kPasswordBytes = 15;  // 20 characters of base64url

// Two characters in front and two behind make the kinds of character that the password policy wants, whatever
// the random part is.
Secret make_password(Random& random) {
  return Secret("Mw" + to_base64url(random.bytes(kPasswordBytes)) + "7-");
}

// "ada" is ada@ the tenant's own domain.
Result<std::string> full_name(Api& api, const std::string& name) {
  if (name.find('@') != std::string::npos) return name;
  const JsonObject answer = TRY(api.list("/v1.0/organization", {}));
  for (const Json& value : answer.at("value").get_array())
    if (const JsonArray* domains = array_at(value.get_object(), "verifiedDomains"))
      for (const Json& domain : *domains)
        if (domain.is_object() && bool_at(domain.get_object(), "isDefault").value_or(false))
          return name + "@" + text_at(domain.get_object(), "name");
  return wrong_usage("'" + name + "' lacks its domain: give a name such as " + name + "@merlon.example.org.");
}

struct CreateOptions {
  std::string username, display_name;
};

Result<int> create(Context& context, const CreateOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string name = TRY(full_name(api, options.username));
  const Secret password = make_password(context.random);
  Answer answer = TRY(api.post(
      "/v1.0/users", {},
      {{"accountEnabled", true},
       {"displayName", options.display_name.empty() ? name : options.display_name},
       {"userPrincipalName", name},
       {"mailNickname", name.substr(0, name.find('@'))},
       {"passwordProfile",
        {{"forceChangePasswordNextSignIn", true}, {"password", std::string(password.expose_text())}}}}));
  answer.body["password"] = password.expose_text();
  show(context, answer.body,
       facts_text({{"User", name},
                   {"Object id", text_at(answer.body, "id")},
                   {"One-time password", std::string(password.expose_text())}}) +
           "It is shown this once, and must be changed at the first 'merlon login --username " +
           printable(name) + "'.\n");
  return kDone;
}

struct NoOptions {};

Result<int> list(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.list("/v1.0/users", {}));
  Table table({"USERNAME", "NAME", "OBJECT ID", "ENABLED"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& user = value.get_object();
    table.add({text_at(user, "userPrincipalName"), text_at(user, "displayName"), text_at(user, "id"),
               bool_at(user, "accountEnabled").value_or(false) ? "yes" : "no"});
  }
  show(context, answer, table.size() == 0 ? "There are no users.\n" : table.text());
  return kDone;
}

struct NameOptions {
  std::string who;
};

Result<int> set_enabled(Context& context, const std::string& who, bool enabled) {
  Api api = TRY(Api::open(context));
  const JsonObject user = TRY(find_user(api, who));
  const std::string id = text_at(user, "id");
  TRY(api.patch("/v1.0/users/" + part(id), {}, {{"accountEnabled", enabled}}));
  show(context, {{"id", id}, {"accountEnabled", enabled}},
       printable(text_at(user, "userPrincipalName")) +
           (enabled ? " can sign in again.\n"
                    : " is disabled: no sign-in, and no token of theirs is good.\n"));
  return kDone;
}

Result<int> disable(Context& context, const NameOptions& options) {
  return set_enabled(context, options.who, false);
}

Result<int> enable(Context& context, const NameOptions& options) {
  return set_enabled(context, options.who, true);
}

Result<int> remove(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject user = TRY(find_user(api, options.who));
  const std::string id = text_at(user, "id");
  TRY(api.remove("/v1.0/users/" + part(id), {}));
  show(context, {{"id", id}, {"deleted", true}},
       printable(text_at(user, "userPrincipalName")) +
           " is gone: no sign-in, no token, no membership and no ownership is left.\n");
  return kDone;
}

Result<int> reset_password(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject user = TRY(find_user(api, options.who));
  const std::string id = text_at(user, "id");
  const std::string name = text_at(user, "userPrincipalName");
  const Secret password = make_password(context.random);
  TRY(api.patch(
      "/v1.0/users/" + part(id), {},
      {{"passwordProfile",
        {{"forceChangePasswordNextSignIn", true}, {"password", std::string(password.expose_text())}}}}));
  show(
      context, {{"id", id}, {"userPrincipalName", name}, {"password", password.expose_text()}},
      facts_text({{"User", name}, {"One-time password", std::string(password.expose_text())}}) +
          "The old password and every session of theirs have ended. This one is shown this once, and must be "
          "changed at the first sign-in.\n");
  return kDone;
}

}  // namespace

std::vector<Command> user_commands() {
  const auto who = [](Command& command, NameOptions& options) {
    command.text("who", options.who, "User principal name, object id, or a display name that only one has")
        .required();
  };
  return {make_command("user create", "Make a user, with a one-time password",
                       "merlon user create --username ada --display-name 'Ada Lovelace'", create,
                       [](Command& command, CreateOptions& options) {
                         command
                             .text("--username", options.username,
                                   "Name to sign in with; the tenant's domain is added when it has none")
                             .required()
                             .text("--display-name", options.display_name, "Name to be shown");
                       }),
          make_command("user list", "List users", "merlon user list --output json", list,
                       [](Command&, NoOptions&) {}),
          make_command("user disable", "Lock a user out at once",
                       "merlon user disable ada@merlon.example.org", disable, who),
          make_command("user enable", "Let a user in again", "merlon user enable ada@merlon.example.org",
                       enable, who),
          make_command("user reset-password", "Give a user a new one-time password, and end their sessions",
                       "merlon user reset-password ada@merlon.example.org", reset_password, who),
          make_command("user delete", "Delete a user, with all that they have",
                       "merlon user delete ada@merlon.example.org", remove, who)};
}

}  // namespace merlon::cli
