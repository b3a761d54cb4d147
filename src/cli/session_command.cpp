// merlon session: who is signed in where, and its end.
#include <ostream>

#include "cli/directory_lookup.h"
#include "cli/output.h"
#include "cli/recording_lookup.h"

namespace merlon::cli {
namespace {

struct ListOptions {
  std::string user;
};

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  std::string path = "/v1.0/merlon.sessions";
  if (!options.user.empty())
    path = "/v1.0/users/" + part(text_at(TRY(find_user(api, options.user)), "id")) + "/merlon.sessions";
  const JsonObject answer = TRY(api.list(path, {}));
  Table table({"SESSION", "USER", "APPLICATION", "FROM", "LAST USED", "ENDS"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& session = value.get_object();
    const std::string application = text_at(session, "appDisplayName");
    table.add({text_at(session, "id"), text_at(session, "userPrincipalName"),
               application.empty() ? text_at(session, "kind") : application, text_at(session, "ipAddress"),
               text_at(session, "lastUsedDateTime"), text_at(session, "expirationDateTime")});
  }
  show(context, answer, table.size() == 0 ? "Nobody is signed in.\n" : table.text());
  return kDone;
}

struct RevokeOptions {
  std::string session, user;
};

Result<int> revoke(Context& context, const RevokeOptions& options) {
  if (options.session.empty() == options.user.empty())
    return wrong_usage("Give the session's id, or --user for all sessions of a person.");
  Api api = TRY(Api::open(context));
  if (!options.session.empty()) {
    TRY(api.remove("/v1.0/merlon.sessions/" + part(options.session), {}));
    show(context, {{"id", options.session}, {"revoked", true}},
         "The session has ended, with its tokens and the sessions that it had allowed.\n");
    return kDone;
  }
  const JsonObject user = TRY(find_user(api, options.user));
  const std::string id = text_at(user, "id");
  TRY(api.post("/v1.0/users/" + part(id) + "/revokeSignInSessions", {}));
  show(context, {{"userId", id}, {"revoked", true}},
       printable(text_at(user, "userPrincipalName")) + " is signed out everywhere.\n");
  return kDone;
}

}  // namespace

std::vector<Command> session_commands() {
  return {
      make_command("session list", "List sessions: everybody's for who reads the directory, else one's own",
                   "merlon session list --user ada@merlon.example.org", list,
                   [](Command& command, ListOptions& options) {
                     command.text("--user", options.user, "Of one person");
                   }),
      make_command("session revoke", "End a session, or all sessions of a person, at once",
                   "merlon session revoke --user ada@merlon.example.org", revoke,
                   [](Command& command, RevokeOptions& options) {
                     command.text("session", options.session, "Id of the session, from session list")
                         .text("--user", options.user, "All sessions of this person");
                   }),
      play_command("session play")};
}

}  // namespace merlon::cli
