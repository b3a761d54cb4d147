// merlon mfa: second factors, one's own and (to take them away) other people's.
#include <ostream>

#include "cli/directory_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr const char* kTotpType = "#microsoft.graph.softwareOathAuthenticationMethod";

std::string kind_of(const JsonObject& method) {
  const Json* found = method.if_contains("@odata.type");
  const std::string type = found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
  if (type == "#microsoft.graph.passwordAuthenticationMethod") return "password";
  if (type == kTotpType) return "totp";
  if (type == "#microsoft.graph.fido2AuthenticationMethod") return "passkey";
  return type;
}

// "users/<id>" or "me".
Result<std::string> whose(Api& api, const std::string& user) {
  if (user.empty()) return "me";
  return "users/" + part(text_at(TRY(find_user(api, user)), "id"));
}

std::string codes_text(const JsonObject& answer) {
  const JsonArray* codes = array_at(answer, "recoveryCodes");
  if (codes == nullptr) return {};
  std::string text =
      "Recovery codes, shown this once. Each signs you in once without the app: print them, or keep them "
      "where the password is not.\n";
  for (const Json& code : *codes)
    if (code.is_string()) text += "  " + printable(std::string(code.get_string())) + "\n";
  return text;
}

struct EnrolOptions {
  std::string name;
  bool passkey = false;
};

Result<int> enrol(Context& context, const EnrolOptions& options) {
  Api api = TRY(Api::open(context));
  if (options.passkey) {
    const std::string page = api.session().login().endpoint + "/passkeys";
    show(context, {{"page", page}}, "A browser makes passkeys. Open " + page + "\n");
    return kDone;
  }
  JsonObject body;
  if (!options.name.empty()) body["displayName"] = options.name;
  const Answer answer = TRY(api.post("/v1.0/me/authentication/merlon.totp", {}, body));
  const std::string id = text_at(answer.body, "id");
  show(context, answer.body,
       facts_text({{"Method", id},
                   {"Secret", text_at(answer.body, "secretKey")},
                   {"URI", text_at(answer.body, "otpauthUri")}}) +
           "Give the secret, or the URI (as a QR code: qrencode -t ansiutf8 'URI'), to an authenticator app. "
           "Within 15 minutes, confirm with a code that it shows:\n  merlon mfa confirm " +
           printable(id) + " --code 123456\n");
  return kDone;
}

struct ConfirmOptions {
  std::string method, code;
};

Result<int> confirm(Context& context, const ConfirmOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer =
      TRY(api.post("/v1.0/me/authentication/merlon.totp/" + part(options.method) + "/confirm", {},
                   {{"code", options.code}}));
  show(context, answer.body,
       "From now on you are asked for a code at every sign-in.\n" + codes_text(answer.body));
  return kDone;
}

struct UserOptions {
  std::string user;
};

Result<int> list(Context& context, const UserOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer =
      TRY(api.get("/v1.0/" + TRY(whose(api, options.user)) + "/authentication/methods", {}));
  Table table({"METHOD", "KIND", "NAME", "ADDED", "LAST USED"});
  if (const JsonArray* values = array_at(answer.body, "value"))
    for (const Json& value : *values) {
      const JsonObject& method = value.as_object();
      table.add({text_at(method, "id"), kind_of(method), text_at(method, "displayName"),
                 text_at(method, "createdDateTime"), text_at(method, "lastUsedDateTime")});
    }
  show(context, answer.body,
       (table.size() == 0 ? "There is no way to sign in.\n" : table.text()) +
           "Recovery codes left: " + text_at(answer.body, "recoveryCodesLeft") + "\n");
  return kDone;
}

struct RemoveOptions {
  std::string method, user;
};

Result<int> remove(Context& context, const RemoveOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string base = "/v1.0/" + TRY(whose(api, options.user)) + "/authentication/";
  const JsonObject methods = TRY(api.get(base + "methods", {})).body;
  std::string kind;
  if (const JsonArray* values = array_at(methods, "value"))
    for (const Json& value : *values)
      if (text_at(value.as_object(), "id") == options.method) kind = kind_of(value.as_object());
  if (kind == "password") return wrong_usage("A password is no second factor, and is not removed here.");
  TRY(api.remove(base + (kind == "passkey" ? "fido2Methods/" : "softwareOathMethods/") + part(options.method),
                 {}));
  show(context, {{"id", options.method}, {"removed", true}}, "The method is removed.\n");
  return kDone;
}

struct NoOptions {};

Result<int> recovery_codes(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(api.post("/v1.0/me/authentication/merlon.recoveryCodes", {}));
  show(context, answer.body, "The codes of before are worth nothing now.\n" + codes_text(answer.body));
  return kDone;
}

Result<int> reset(Context& context, const UserOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject user = TRY(find_user(api, options.user));
  const std::string id = text_at(user, "id");
  TRY(api.post("/v1.0/users/" + part(id) + "/authentication/merlon.reset", {}));
  show(context, {{"userId", id}, {"reset", true}},
       printable(text_at(user, "userPrincipalName")) +
           " has no second factor any more, and is signed out everywhere. Until they enrol a new one, the "
           "password alone signs them in.\n");
  return kDone;
}

}  // namespace

std::vector<Command> mfa_commands() {
  return {
      make_command("mfa enrol", "Begin to use an authenticator app, as yourself",
                   "merlon mfa enrol --name Phone", enrol,
                   [](Command& command, EnrolOptions& options) {
                     command.text("--name", options.name, "What you call it")
                         .flag("--passkey", options.passkey, "Show the page that makes a passkey instead");
                   }),
      make_command("mfa confirm", "Finish an enrolment with a code that the app shows",
                   "merlon mfa confirm 3f0c… --code 123456", confirm,
                   [](Command& command, ConfirmOptions& options) {
                     command.text("method", options.method, "Id of the method, from mfa enrol")
                         .required()
                         .text("--code", options.code, "Six digits")
                         .required();
                   }),
      make_command("mfa list", "List the ways in which you, or another person, can sign in",
                   "merlon mfa list --user ada@merlon.example.org", list,
                   [](Command& command, UserOptions& options) {
                     command.text("--user", options.user, "Another person; for who reads the directory");
                   }),
      make_command("mfa remove", "Remove one authenticator app or passkey", "merlon mfa remove 3f0c…", remove,
                   [](Command& command, RemoveOptions& options) {
                     command.text("method", options.method, "Id of the method, from mfa list")
                         .required()
                         .text("--user", options.user, "Another person's; for administrators");
                   }),
      make_command("mfa recovery-codes", "Make new recovery codes; the ones of before are void",
                   "merlon mfa recovery-codes", recovery_codes, [](Command&, NoOptions&) {}),
      make_command("mfa reset", "Take all second factors from a person who has lost them",
                   "merlon mfa reset --user ada@merlon.example.org", reset,
                   [](Command& command, UserOptions& options) {
                     command.text("--user", options.user, "The person").required();
                   })};
}

}  // namespace merlon::cli
