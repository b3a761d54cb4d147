// merlon app federated-credential: whose tokens sign an application in, in the place of a secret.
#include <ostream>

#include "cli/directory_lookup.h"
#include "cli/output.h"
#include "cli/private_files.h"

namespace merlon::cli {
namespace {

struct CreateOptions {
  std::string app, name, issuer, subject, expression, audience, description, authorities, keys;
};

Result<std::string> credentials_path(Api& api, const std::string& app) {
  const JsonObject application = TRY(find_application(api, app));
  return "/v1.0/applications/" + part(text_at(application, "id")) + "/federatedIdentityCredentials";
}

std::string warnings_text(const JsonObject& credential) {
  std::string text;
  const Json* warnings = credential.if_contains("@merlon.warnings");
  if (warnings == nullptr || !warnings->is_array()) return text;
  for (const Json& warning : warnings->get_array())
    if (warning.is_object()) text += "Warning: " + printable(text_at(warning.get_object(), "message")) + "\n";
  return text;
}

std::string whom(const JsonObject& credential) {
  const std::string expression = text_at(credential, "claimsMatchingExpression.value");
  return expression.empty() ? text_at(credential, "subject") : expression;
}

Result<JsonObject> body_for(const CreateOptions& options) {
  if (options.subject.empty() == options.expression.empty())
    return wrong_usage("Say whose tokens are meant: one of --subject and --expression.");
  JsonObject body{{"name", options.name}, {"issuer", options.issuer}, {"description", options.description}};
  if (!options.audience.empty()) body["audiences"] = JsonArray{Json(options.audience)};
  if (!options.subject.empty()) body["subject"] = options.subject;
  if (!options.expression.empty())
    body["claimsMatchingExpression"] = JsonObject{{"value", options.expression}, {"languageVersion", 1}};
  if (!options.authorities.empty())
    body["@merlon.issuerAuthorities"] = TRY(read_named_file(options.authorities, 65'536));
  if (!options.keys.empty()) {
    auto keys = parse_json_object(TRY(read_named_file(options.keys, 65'536)));
    if (!keys)
      return wrong_usage("'" + options.keys +
                         "' is no JSON Web Key Set. The issuer has one at the jwks_uri of its "
                         "/.well-known/openid-configuration.");
    body["@merlon.issuerKeys"] = *std::move(keys);
  }
  return body;
}

Result<int> create(Context& context, const CreateOptions& options) {
  const JsonObject body = TRY(body_for(options));
  Api api = TRY(Api::open(context));
  const Answer made = TRY(api.post(TRY(credentials_path(api, options.app)), {}, body));
  // On the error stream too, where those see them who keep the answer in a file.
  const std::string warnings = warnings_text(made.body);
  if (context.output == OutputForm::json) context.err << warnings;
  show(context, made.body,
       facts_text({{"Credential", text_at(made.body, "name")},
                   {"Id", text_at(made.body, "id")},
                   {"Issuer", text_at(made.body, "issuer")},
                   {"Admits", whom(made.body)}}) +
           warnings);
  return kDone;
}

struct AppOptions {
  std::string app, name;
};

Result<int> list(Context& context, const AppOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.list(TRY(credentials_path(api, options.app)), {}));
  Table table({"NAME", "ISSUER", "ADMITS", "WARNINGS"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& credential = value.get_object();
    std::string codes;
    if (const Json* warnings = credential.if_contains("@merlon.warnings");
        warnings != nullptr && warnings->is_array())
      for (const Json& warning : warnings->get_array())
        codes += (codes.empty() ? "" : ", ") + text_at(warning.as_object(), "code");
    table.add({text_at(credential, "name"), text_at(credential, "issuer"), whom(credential), codes});
  }
  show(context, answer, table.size() == 0 ? "There are no federated credentials.\n" : table.text());
  return kDone;
}

Result<int> remove(Context& context, const AppOptions& options) {
  Api api = TRY(Api::open(context));
  TRY(api.remove(TRY(credentials_path(api, options.app)) + "/" + part(options.name), {}));
  show(context, {{"name", options.name}, {"deleted", true}},
       "Tokens that " + printable(options.name) + " admitted sign nobody in any more.\n");
  return kDone;
}

constexpr const char* kWho = "Client id, object id, or a name that only one has";

void declare_create(Command& command, CreateOptions& options) {
  command.text("--app", options.app, kWho)
      .required()
      .text("--name", options.name, "Name of the credential")
      .required()
      .text("--issuer", options.issuer, "The URL of the issuer, as its tokens say it")
      .required()
      .text("--subject", options.subject, "The one subject whose tokens are admitted")
      .text("--expression", options.expression,
            "Or the claims that admit a token: claims['sub'] matches 'repo:shop/cart:ref:refs/heads/*'")
      .text("--audience", options.audience, "The tokens' audience; api://AzureADTokenExchange when not given")
      .text("--description", options.description, "What it is for")
      .text("--issuer-authorities", options.authorities,
            "PEM file: whom the issuer's TLS certificate must come from")
      .text("--issuer-keys", options.keys, "JSON Web Key Set: the issuer's keys, so that it is never asked");
}

}  // namespace

std::vector<Command> federation_commands() {
  const auto app = [](Command& command, AppOptions& options) {
    command.text("--app", options.app, kWho).required();
  };
  const auto one = [app](Command& command, AppOptions& options) {
    app(command, options);
    command.text("--name", options.name, "Name or id of the credential").required();
  };
  return {make_command("app add-federated-credential", "Let tokens of another issuer sign an application in",
                       "merlon app add-federated-credential --app deploy --name main --issuer "
                       "https://token.actions.githubusercontent.com --subject "
                       "repo:shop/cart:ref:refs/heads/main",
                       create, declare_create),
          make_command("app list-federated-credentials", "List whose tokens sign an application in",
                       "merlon app list-federated-credentials --app deploy", list, app),
          make_command("app remove-federated-credential", "End it",
                       "merlon app remove-federated-credential --app deploy --name main", remove, one)};
}

}  // namespace merlon::cli
