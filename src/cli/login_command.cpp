// merlon login and logout.
#include <optional>
#include <ostream>

#include "base/text.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/prompt.h"
#include "cli/server_error.h"
#include "cli/session.h"
#include "cli/until_signal.h"

namespace merlon::cli {
namespace {

constexpr const char* kPasswordExpired = "AADSTS50055";

struct LoginOptions {
  std::string endpoint, ca_file, tenant, client_id, secret_file, bootstrap, username;
  bool fresh = false;
};

std::string without_line_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

Result<Login> from_bootstrap(const LoginOptions& options) {
  const std::string text = TRY(read_named_file(options.bootstrap));
  const auto json = parse_json_object(text);
  if (!json)
    return fail(ErrorKind::invalid, "BootstrapUnreadable",
                "'" + options.bootstrap + "' is not a server's bootstrap.json: " + json.error().message);
  Login login;
  login.endpoint = TRY(normal_endpoint(options.endpoint.empty() ? string_at(*json, "endpoint").value_or("")
                                                                : options.endpoint));
  login.tenant = string_at(*json, "tenantId").value_or("");
  login.client_id = string_at(*json, "clientId").value_or("");
  login.client_secret = Secret(string_at(*json, "clientSecret").value_or(""));
  const std::string ca = options.ca_file.empty() ? string_at(*json, "caFile").value_or("") : options.ca_file;
  if (!ca.empty()) login.authorities_pem = TRY(read_named_file(ca));
  return login;
}

// The server says it itself; it is no secret, and a wrong one only makes the sign-in fail.
Result<std::string> ask_tenant(const Login& login) {
  const auto client = TRY(make_client(login.endpoint, login.authorities_pem));
  net::ClientRequest request;
  request.target = "/metadata/endpoints?api-version=2022-09-01";
  const net::Response response = TRY(client->send(request));
  const auto json = parse_json(response.body);
  if (response.status == 200 && json && json->is_array() && !json->get_array().empty() &&
      json->get_array().front().is_object())
    if (const auto tenant = string_at(json->get_array().front().get_object(), "authentication.tenant"))
      return *tenant;
  return fail(ErrorKind::invalid, "TenantUnknown",
              "The server at " + login.endpoint + " did not say its tenant. Give it with --tenant.");
}

Result<Login> from_options(Context& context, const LoginOptions& options) {
  Login login;
  const std::string endpoint =
      options.endpoint.empty() ? context.environment("MERLON_ENDPOINT").value_or("") : options.endpoint;
  if (endpoint.empty() && options.fresh) {
    if (const auto known = TRY(stored_login(context)); known && known->is_person()) {
      login.endpoint = known->endpoint;
      login.authorities_pem = known->authorities_pem;
      login.tenant = known->tenant;
      login.client_id = kPublicClientId;
      return login;
    }
  }
  if (endpoint.empty())
    return wrong_usage("There is no server: give --server, --bootstrap or MERLON_ENDPOINT.");
  login.endpoint = TRY(normal_endpoint(endpoint));
  const std::string ca =
      options.ca_file.empty() ? context.environment("MERLON_CA").value_or("") : options.ca_file;
  if (!ca.empty()) login.authorities_pem = TRY(read_named_file(ca));
  login.tenant = options.tenant.empty() ? context.environment("MERLON_TENANT").value_or("") : options.tenant;
  if (!options.username.empty()) {
    login.username = options.username;
    login.client_id = kPublicClientId;
    return login;
  }
  login.client_id =
      options.client_id.empty() ? context.environment("MERLON_CLIENT_ID").value_or("") : options.client_id;
  if (login.client_id.empty()) {
    login.client_id = kPublicClientId;  // a person, who signs in in a browser
    return login;
  }
  if (!options.secret_file.empty())
    login.client_secret = Secret(without_line_end(TRY(read_named_file(options.secret_file, 4096))));
  else if (const auto secret = context.environment("MERLON_CLIENT_SECRET"))
    login.client_secret = Secret(*secret);
  else
    login.client_secret = TRY(ask_secret("Secret of " + printable(login.client_id) + ": ",
                                         "set MERLON_CLIENT_SECRET or give --client-secret-file"));
  return login;
}

Result<Secret> new_password(const Context& context) {
  if (const auto given = context.environment("MERLON_NEW_PASSWORD")) return Secret(*given);
  const std::string instead = "set MERLON_NEW_PASSWORD";
  Secret first = TRY(ask_secret("New password: ", instead));
  if (first != TRY(ask_secret("The same again: ", instead)))
    return fail(ErrorKind::invalid, "PasswordsDiffer", "The two new passwords differ. Nothing was changed.");
  return first;
}

Result<void> sign_in_person(Context& context, Session& session) {
  const std::string& name = session.login().username;
  const auto given = context.environment("MERLON_PASSWORD");
  const Secret password =
      given ? Secret(*given)
            : TRY(ask_secret("Password of " + printable(name) + ": ", "set MERLON_PASSWORD"));
  const auto signed_in = session.sign_in(password);
  if (signed_in || signed_in.error().code != kPasswordExpired) return signed_in;
  context.err << "The password of " << printable(name) << " must be changed.\n";
  const Secret wanted = TRY(new_password(context));
  TRY(session.change_password(password, wanted));
  context.err << "The password is changed.\n";
  return session.sign_in(wanted);
}

bool is_for_browser(const Login& login) { return !login.is_person() && login.client_id == kPublicClientId; }

Result<void> sign_in_by_browser(Context& context, Session& session, const SignalWatch& watch, bool fresh) {
  const Session::DeviceCode device = TRY(session.ask_device_code(fresh));
  context.err << "To sign in, open " << printable(device.page)
              << "\nin a browser, on any machine, and enter the code " << printable(device.user_code) << "\n"
              << std::flush;
  for (std::chrono::seconds waited{0}; waited < device.lifetime; waited += device.interval) {
    if (watch.wait(device.interval))
      return fail(ErrorKind::unauthenticated, "Interrupted", "You stopped the sign-in. Nothing was changed.");
    if (TRY(session.poll_device_code(device))) return {};
  }
  return fail(ErrorKind::unauthenticated, "CodeExpired",
              "Nobody has entered the code in time. Run 'merlon login' again.");
}

Result<int> login_command(Context& context, const LoginOptions& options) {
  if (!options.username.empty() && !(options.client_id.empty() && options.bootstrap.empty()))
    return wrong_usage("Give one of --username, --client-id and --bootstrap.");
  if (options.fresh && !(options.username.empty() && options.client_id.empty() && options.bootstrap.empty()))
    return wrong_usage(
        "--fresh is for a person in a browser: not with --username, --client-id or --bootstrap.");
  Login login = TRY(options.bootstrap.empty() ? from_options(context, options) : from_bootstrap(options));
  if (login.tenant.empty()) login.tenant = TRY(ask_tenant(login));
  // Only while a browser is waited for, or Ctrl-C would not end the question for a password.
  std::optional<SignalWatch> watch;
  if (is_for_browser(login)) watch.emplace();
  Session session(context, login, TRY(make_client(login.endpoint, login.authorities_pem)));
  if (watch) {
    TRY(sign_in_by_browser(context, session, *watch, options.fresh));
    login = session.login();
  } else if (login.is_person())
    TRY(sign_in_person(context, session));
  else
    TRY(session.access_token());
  TRY(store_login(context, login));
  const std::string who = login.is_person() ? login.username : login.client_id;
  show(context,
       {{"endpoint", login.endpoint},
        {"tenantId", login.tenant},
        {login.is_person() ? "username" : "clientId", who}},
       "Signed in to " + login.endpoint + " as " + printable(who) + ".\n");
  return kDone;
}

struct NoOptions {};

Result<int> logout(Context& context, const NoOptions&) {
  // What is stored, whatever the environment says. A server that cannot be reached is no reason to keep the
  // tokens, but one to say so.
  if (const auto login = stored_login(context); login && *login && (*login)->is_person()) {
    auto client = make_client((*login)->endpoint, (*login)->authorities_pem);
    const auto ended = client ? Session(context, **login, *std::move(client)).sign_out()
                              : Result<void>(std::unexpected(client.error()));
    if (!ended)
      context.err << "The session could not be ended at the server: " << printable(ended.error().message)
                  << "\nAn administrator can end it with 'merlon session revoke'.\n";
  }
  const bool any = TRY(forget_login(context));
  show(context, {{"signedOut", any}}, any ? "Signed out.\n" : "You were not signed in.\n");
  return kDone;
}

}  // namespace

std::vector<Command> login_commands() {
  return {make_command(
              "login", "Sign in to a server and remember it; in a browser unless told otherwise",
              "merlon login --server https://merlon.example.org:8443 --ca ca.pem\n"
              "merlon login --bootstrap /var/lib/merlon/bootstrap.json\n"
              "merlon login --endpoint https://merlon.example.org:8443 --ca ca.pem --username "
              "ada@merlon.example.org\n"
              "The environment can hold secrets: MERLON_PASSWORD, MERLON_NEW_PASSWORD, MERLON_CLIENT_SECRET.",
              login_command,
              [](Command& command, LoginOptions& options) {
                command.text("--server,--endpoint", options.endpoint, "https://NAME:PORT of the server")
                    .text("--ca", options.ca_file,
                          "The server's ca.pem; the system's authorities when not given")
                    .text("--tenant", options.tenant, "Id of the tenant; the server is asked when not given")
                    .text("--username", options.username,
                          "A person: ada@merlon.example.org. The password is asked for, or MERLON_PASSWORD")
                    .text("--client-id", options.client_id,
                          "An application. Its secret is asked for, or MERLON_CLIENT_SECRET")
                    .text("--client-secret-file", options.secret_file,
                          "File with the application's secret; - is standard input")
                    .flag("--fresh", options.fresh,
                          "Prove yourself anew, with your second factor, though you are signed in")
                    .text("--bootstrap", options.bootstrap,
                          "bootstrap.json in the state directory of a new server");
              }),
          make_command("logout", "End the session and forget the server, the credential and every token",
                       "merlon logout", logout, [](Command&, NoOptions&) {})};
}

}  // namespace merlon::cli
