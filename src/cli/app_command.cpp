// merlon app: identities of programs.
#include <map>
#include <ostream>

#include "cli/directory_lookup.h"
#include "cli/output.h"
#include "cli/private_files.h"

namespace merlon::cli {
namespace {

struct CreateOptions {
  std::string name, certificate;
  std::vector<std::string> redirects;
  bool secret = false;
  bool public_client = false;
};

Result<JsonObject> make_credentials(Api& api, const CreateOptions& options, const JsonObject& application) {
  const std::string id = text_at(application, "id");
  const std::string client_id = text_at(application, "appId");
  const Answer principal = TRY(api.post("/v1.0/servicePrincipals", {}, {{"appId", client_id}}));
  JsonObject answer = {{"clientId", client_id}, {"objectId", text_at(principal.body, "id")}};
  if (options.secret) {
    const Answer secret = TRY(api.post("/v1.0/applications/" + part(id) + "/addPassword", {},
                                       {{"passwordCredential", {{"displayName", "merlon app create"}}}}));
    answer["clientSecret"] = text_at(secret.body, "secretText");
  }
  return answer;
}

Result<int> create(Context& context, const CreateOptions& options) {
  JsonObject body = {{"displayName", options.name}};
  if (!options.certificate.empty()) {
    const std::string pem = TRY(read_named_file(options.certificate, 65'536));
    if (pem.find("PRIVATE KEY") != std::string::npos)
      return wrong_usage("'" + options.certificate +
                         "' holds a private key, which stays with you. Give the certificate alone.");
    body["keyCredentials"] = JsonArray{
        JsonObject{{"type", "AsymmetricX509Cert"}, {"usage", "Verify"}, {"key", to_base64(as_bytes(pem))}}};
  }
  if (options.public_client && (options.secret || !options.certificate.empty()))
    return wrong_usage("A public application keeps no secret: leave out --secret and --certificate.");
  if (options.public_client) body["isFallbackPublicClient"] = true;
  JsonArray redirects;
  for (const std::string& uri : options.redirects) redirects.emplace_back(uri);
  if (!redirects.empty())
    body[options.public_client ? "publicClient" : "web"] = JsonObject{{"redirectUris", std::move(redirects)}};
  Api api = TRY(Api::open(context));
  const Answer application = TRY(api.post("/v1.0/applications", {}, body));
  auto made = make_credentials(api, options, application.body);
  if (!made) {
    // Half an application is none: who tries again starts clean. What refused is what is told.
    static_cast<void>(api.remove("/v1.0/applications/" + part(text_at(application.body, "id")), {}));
    return std::unexpected(made.error());
  }
  std::string text = facts_text({{"Application", options.name},
                                 {"Client id", text_at(*made, "clientId")},
                                 {"Object id", text_at(*made, "objectId")},
                                 {"Secret", text_at(*made, "clientSecret")}});
  if (options.secret) text += "The secret is shown this once, and is good for a year.\n";
  text += "Give it a role: merlon role assign --assignee " + text_at(*made, "clientId") +
          " --role NAME --scope S\n";
  show(context, *made, text);
  return kDone;
}

struct NoOptions {};

Result<int> list(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject principals = TRY(api.list("/v1.0/servicePrincipals", {}));
  Table table({"NAME", "CLIENT ID", "OBJECT ID", "ENABLED"});
  for (const Json& value : principals.at("value").get_array()) {
    const JsonObject& principal = value.get_object();
    table.add({text_at(principal, "displayName"), text_at(principal, "appId"), text_at(principal, "id"),
               bool_at(principal, "accountEnabled").value_or(false) ? "yes" : "no"});
  }
  show(context, principals, table.size() == 0 ? "There are no applications.\n" : table.text());
  return kDone;
}

struct NameOptions {
  std::string who;
};

Result<int> set_enabled(Context& context, const std::string& who, bool enabled) {
  Api api = TRY(Api::open(context));
  const JsonObject principal = TRY(find_service_principal(api, who));
  const std::string id = text_at(principal, "id");
  TRY(api.patch("/v1.0/servicePrincipals/" + part(id), {}, {{"accountEnabled", enabled}}));
  show(context, {{"id", id}, {"accountEnabled", enabled}},
       printable(text_at(principal, "displayName")) +
           (enabled ? " can sign in again.\n" : " is disabled: no sign-in, and no token of it is good.\n"));
  return kDone;
}

struct ConsentOptions {
  std::string who;
  bool withdraw = false;
};

// Those who own an application can have left a way in to it, which counts for more from now on.
Result<std::string> ways_in(Api& api, const std::string& app_id) {
  const JsonObject application = TRY(find_application(api, app_id));
  std::string text;
  for (const char* kind : {"passwordCredentials", "keyCredentials"})
    if (const JsonArray* all = array_at(application, kind))
      for (const Json& each : *all)
        text += "  " + std::string(std::string_view(kind).starts_with("p") ? "secret " : "certificate ") +
                printable(text_at(each.as_object(), "keyId")) + " " +
                printable(text_at(each.as_object(), "displayName")) + "\n";
  for (const char* place : {"web.redirectUris", "publicClient.redirectUris", "spa.redirectUris"})
    if (const JsonArray* all = array_at(application, place))
      for (const Json& uri : *all)
        if (uri.is_string()) text += "  codes arrive at " + printable(uri.get_string()) + "\n";
  if (text.empty()) return std::string();
  return "Whoever has one of these acts for them. Look whether all are meant:\n" + text;
}

Result<int> consent(Context& context, const ConsentOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject principal = TRY(find_service_principal(api, options.who));
  const std::string id = text_at(principal, "id");
  TRY(api.post("/v1.0/servicePrincipals/" + part(id) + "/merlon.consent", {},
               {{"granted", !options.withdraw}}));
  show(context, {{"id", id}, {"granted", !options.withdraw}},
       printable(text_at(principal, "displayName")) +
           (options.withdraw ? " gets no more tokens for people.\n"
                             : " may act for whoever signs in through it, as far as they may themselves.\n" +
                                   TRY(ways_in(api, text_at(principal, "appId")))));
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
  const JsonObject application = TRY(find_application(api, options.who));
  TRY(api.remove("/v1.0/applications/" + part(text_at(application, "id")), {}));
  show(context, {{"appId", text_at(application, "appId")}, {"deleted", true}},
       printable(text_at(application, "displayName")) +
           " is gone: no sign-in, no token and no credential of it is left.\n");
  return kDone;
}

struct SecretOptions {
  std::string who;
  bool keep = false;
};

// The new one first: whoever loses the connection in between has one too many and not one too few.
Result<int> reset_secret(Context& context, const SecretOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject application = TRY(find_application(api, options.who));
  const std::string path = "/v1.0/applications/" + part(text_at(application, "id"));
  const Answer made = TRY(api.post(path + "/addPassword", {},
                                   {{"passwordCredential", {{"displayName", "merlon app reset-secret"}}}}));
  int64_t removed = 0;
  if (const JsonArray* known = array_at(application, "passwordCredentials");
      known != nullptr && !options.keep)
    for (const Json& password : *known) {
      TRY(api.post(path + "/removePassword", {}, {{"keyId", text_at(password.as_object(), "keyId")}}));
      ++removed;
    }
  const std::string secret = text_at(made.body, "secretText");
  show(context,
       {{"clientId", text_at(application, "appId")},
        {"clientSecret", secret},
        {"keyId", text_at(made.body, "keyId")},
        {"removed", removed}},
       facts_text({{"Application", text_at(application, "displayName")},
                   {"Client id", text_at(application, "appId")},
                   {"Secret", secret}}) +
           (options.keep
                ? "The earlier secrets are still good: end them with another reset without --keep.\n"
                : "Its earlier secrets (" + std::to_string(removed) + ") sign nobody in any more.\n"));
  return kDone;
}

}  // namespace

std::vector<Command> app_commands() {
  const auto who = [](Command& command, NameOptions& options) {
    command.text("who", options.who, "Client id, object id, or a name that only one has").required();
  };
  return {make_command("app create", "Make an application that can sign in by a secret or a certificate",
                       "merlon app create --name deploy --secret --output json", create,
                       [](Command& command, CreateOptions& options) {
                         command.text("--name", options.name, "Name to be shown")
                             .required()
                             .flag("--secret", options.secret, "With a secret, which is shown once")
                             .text("--certificate", options.certificate,
                                   "With a certificate: a PEM file without the key")
                             .flag("--public", options.public_client,
                                   "For programs that cannot keep a secret; they use PKCE")
                             .texts("--redirect-uri", options.redirects,
                                    "Where a sign-in in a browser may return to; repeatable");
                       }),
          make_command("app list", "List applications", "merlon app list", list, [](Command&, NoOptions&) {}),
          make_command("app consent", "Let an application act for whoever signs in through it",
                       "merlon app consent portal", consent,
                       [](Command& command, ConsentOptions& options) {
                         command.text("who", options.who, "Client id, object id, or a name that only one has")
                             .required()
                             .flag("--withdraw", options.withdraw, "End it");
                       }),
          make_command("app disable", "Lock an application out at once", "merlon app disable deploy", disable,
                       who),
          make_command("app enable", "Let an application in again", "merlon app enable deploy", enable, who),
          make_command("app reset-secret", "Give an application a new secret, and end the earlier ones",
                       "merlon app reset-secret deploy", reset_secret,
                       [](Command& command, SecretOptions& options) {
                         command.text("who", options.who, "Client id, object id, or a name that only one has")
                             .required()
                             .flag("--keep", options.keep, "Leave the earlier secrets as they are");
                       }),
          make_command("app delete", "Delete an application, with its credentials",
                       "merlon app delete deploy", remove, who)};
}

}  // namespace merlon::cli
