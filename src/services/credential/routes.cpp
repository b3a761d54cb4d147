// {scope}/providers/Merlon.Bastion/machineCredentials: set, shown, listed and taken away. Whoever sets one
// lends the secret, so they must be able to read it themselves.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "net/client.h"
#include "resource/paging.h"
#include "resource/preconditions.h"
#include "services/credential/service.h"

namespace merlon::credential {
namespace {

using resource::Call;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;

constexpr size_t kNameMax = 64;
constexpr int64_t kLoginMax = 64;
constexpr int64_t kUrlMax = 512;

schema::Shape credential_shape() {
  const auto url = schema::text().with_range(1, kUrlMax);
  return schema::object({schema::required(
      "properties",
      schema::object(
          {schema::required(
               "login",
               schema::text().with_range(1, kLoginMax).describe("Who is signed in by it at the machine.")),
           schema::required("kind",
                            schema::text_of({"Password", "PrivateKey"})
                                .describe("Password: for one machine alone. PrivateKey: in OpenSSH's "
                                          "form or PEM, for a machine, a group or the subscription.")),
           schema::required("secretId", url.describe("The secret's id in its vault. Without a version the "
                                                     "newest is used, each time anew.")),
           schema::optional("passphraseSecretId", url.describe("Of a private key: its passphrase."))}))});
}

std::string vaults_behind(const Call& call, const std::string& domain) {
  const size_t colon = call.origin.rfind(':');
  const bool has_port = colon != std::string::npos && colon > std::string_view("https:").size();
  return ".vault." + domain + (has_port ? call.origin.substr(colon) : std::string());
}

Result<void> check_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (!name.empty() && name.size() <= kNameMax && std::ranges::all_of(name, plain)) return {};
  return fail(ErrorKind::invalid, "InvalidResourceName",
              "The name of a machine credential has 1 to 64 letters, digits, hyphens and underscores.",
              "name");
}

// As it is named before the @: "LOGIN+MACHINE".
Result<void> check_login(std::string_view login) {
  const auto plain = [](char c) { return c > ' ' && c <= '~' && c != '+' && c != '@'; };
  if (std::ranges::all_of(login, plain)) return {};
  return fail(ErrorKind::invalid, "InvalidRequestContent",
              "A login has no spaces, and neither + nor @, in it.", "properties.login");
}

std::vector<std::string> tags_of(const std::optional<MachineCredential>& credential) {
  if (!credential) return {};
  return {credential->etag()};
}

Route credential_route(std::string method, const std::string& verb, const std::string& tail,
                       std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = "/{+scope}/providers/Merlon.Bastion/machineCredentials" + tail;
  route.checked_at = "{+scope}";
  route.permission = "Merlon.Bastion/machineCredentials/" + verb;
  route.summary = std::move(summary);
  return route;
}

std::unexpected<Error> not_found(const std::string& name, const ResourceId& scope) {
  return fail(
      ErrorKind::not_found, "ResourceNotFound",
      fmt::format("There is no machine credential '{}' at '{}'.", name.substr(0, kNameMax), scope.text()));
}

JsonObject facts_of(const MachineCredential& credential, const std::string& vaults) {
  return *object_at(credential.shown(vaults), "properties");
}

}  // namespace

Result<ResourceId> Service::require_scope(store::Reader& reader, const Call& call) {
  const auto id = ResourceId::parse(call.parameter("+scope"));
  const bool is_subscription = id && id->resource_group().empty() && id->provider().empty() &&
                               ascii_iequal(id->subscription(), platform_.core.subscription.text());
  if (is_subscription) return *id;
  if (id && !id->resource_group().empty() && id->provider().empty() &&
      TRY(platform_.resources.group_exists(reader, id->text())))
    return *id;
  if (id && is_machine(*id))
    if (const auto vm = TRY(platform_.resources.get(reader, *id))) return vm->id;
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "Machine credentials are set at a virtual machine, a resource group or the subscription: there "
              "is none of this id.");
}

Result<vault::SecretName> Service::secret_at(WriteContext& context, std::string_view property) {
  const std::string path = "properties." + std::string(property);
  const auto bad = [&] {
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "'" + path + "' is not the id of a secret in a vault here, such as https://kv-web" +
                    vaults_behind(context.call, platform_.core.domain) + "/secrets/web-1-admin.",
                path);
  };
  const auto url = net::parse_https_url(string_at(context.call.body, path).value_or(""));
  const std::string suffix = ".vault." + ascii_lower(platform_.core.domain);
  if (!url || !url->host.ends_with(suffix)) return bad();
  const auto parts = split(url->target, '/');
  const bool whole = (parts.size() == 3 || parts.size() == 4) && parts[0].empty() &&
                     ascii_iequal(parts[1], "secrets") && !parts[2].empty();
  vault::SecretName name;
  name.vault = url->host.substr(0, url->host.size() - suffix.size());
  if (!whole || name.vault.empty() || name.vault.find('.') != std::string::npos) return bad();
  name.name = parts[2];
  if (parts.size() == 4) name.version = ascii_lower(parts[3]);
  // Nobody lends what they could not have read, and given away, themselves.
  auto may = vaults_.check_lender(context.tx, name, context.call.principal);
  if (may) return name;
  Error error = std::move(may).error();
  if (error.kind == ErrorKind::not_found) error.kind = ErrorKind::invalid;
  if (error.target.empty()) error.target = path;
  return std::unexpected(std::move(error));
}

Result<MachineCredential> Service::read_body(WriteContext& context, const ResourceId& scope,
                                             std::string name) {
  const JsonObject& body = context.call.body;
  MachineCredential made;
  made.scope = scope.text();
  made.name = std::move(name);
  made.login = *string_at(body, "properties.login");
  TRY(check_login(made.login));
  made.kind = *kind_of(*string_at(body, "properties.kind"));
  made.secret = TRY(secret_at(context, "secretId"));
  if (string_at(body, "properties.passphraseSecretId")) {
    if (made.kind != Kind::private_key)
      return fail(ErrorKind::invalid, "InvalidRequestContent", "A password has no passphrase.",
                  "properties.passphraseSecretId");
    made.passphrase = TRY(secret_at(context, "passphraseSecretId"));
  }
  const auto& caller = context.call.principal;
  made.lender = caller.object_id;
  made.lender_is_person = caller.kind == identity::PrincipalKind::user;
  made.lender_name = caller.name;
  made.lender_app = caller.app_id;
  made.set = context.call.now;
  if (made.kind == Kind::private_key) return made;
  // A key signs, and nobody can keep what it has signed. A password is had by whatever it is sent to.
  if (!is_machine(scope))
    return fail(ErrorKind::invalid, "PasswordNeedsOneMachine",
                "A password is set for one machine: whoever can make a machine in '" + scope.text() +
                    "' could have it sent there. Set it machine by machine, or use a private key.",
                "properties.kind");
  made.host_keys = TRY(identities_.host_keys(context.tx, scope.text()));
  if (made.host_keys.empty())
    return fail(ErrorKind::conflict, "HostKeyNotKnown",
                "No host key of '" + scope.name() +
                    "' is known, so it cannot be said which machine the password is for. Its agent reports "
                    "them, or: merlon ssh host-keys " +
                    scope.name() + " --file ssh_host_ed25519_key.pub");
  return made;
}

Result<net::Response> Service::put(WriteContext& context) {
  const Call& call = context.call;
  const ResourceId scope = TRY(require_scope(context.tx, call));
  const std::string& name = call.parameter("credentialName");
  TRY(check_name(name));
  const auto existing = TRY(
      store::get<MachineCredential>(context.tx, call.tenant, MachineCredential::key_of(scope.text(), name)));
  TRY(resource::check_preconditions(call.request, tags_of(existing), call.id.text()));
  const MachineCredential made = TRY(read_body(context, scope, existing ? existing->name : name));
  for (const MachineCredential& other : TRY(store::find<MachineCredential>(
           context.tx, call.tenant, "login", MachineCredential::login_key(scope.text(), made.login))))
    if (other.key() != made.key())
      return fail(ErrorKind::conflict, "LoginHasCredential",
                  fmt::format("'{}' sets what '{}' signs in with here already.", other.name, made.login),
                  "properties.login");
  if (!existing &&
      TRY(store::scan_all<MachineCredential>(context.tx, call.tenant, scope.key() + "\n")).size() >=
          kCredentialsMax)
    return fail(ErrorKind::conflict, "TooManyMachineCredentials",
                fmt::format("At one scope there are at most {} machine credentials.", kCredentialsMax));
  TRY(store::put(context.tx, call.tenant, made));
  const std::string vaults = vaults_behind(call, platform_.core.domain);
  context.details = {{"credential", facts_of(made, vaults)}};
  if (existing) context.details["credentialBefore"] = facts_of(*existing, vaults);
  net::Response response = resource::json_response(existing ? 200 : 201, made.shown(vaults));
  response.headers.set("ETag", resource::entity_tag(made.etag()));
  return response;
}

Result<net::Response> Service::remove(WriteContext& context) {
  const Call& call = context.call;
  const ResourceId scope = TRY(require_scope(context.tx, call));
  const auto existing = TRY(store::get<MachineCredential>(
      context.tx, call.tenant, MachineCredential::key_of(scope.text(), call.parameter("credentialName"))));
  TRY(resource::check_preconditions(call.request, tags_of(existing), call.id.text()));
  if (!existing) return resource::empty_response(204);
  TRY(store::erase<MachineCredential>(context.tx, call.tenant, existing->key()));
  context.details = {{"credentialBefore", facts_of(*existing, vaults_behind(call, platform_.core.domain))}};
  return resource::empty_response(200);
}

Result<std::pair<std::string, std::string>> Service::state_of(store::Reader& reader,
                                                              const MachineCredential& credential) {
  for (const vault::SecretName* name :
       {&credential.secret, credential.passphrase ? &*credential.passphrase : nullptr}) {
    if (name == nullptr) continue;
    const auto usable = vaults_.check_use(
        reader,
        {.secret = *name, .lender = credential.lender_principal(), .details = {}, .correlation_id = {}});
    if (usable) continue;
    const Error& error = usable.error();
    if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable)
      return std::unexpected(error);
    return std::pair(error.details.empty() ? error.code : error.details.front().code, error.message);
  }
  if (credential.kind == Kind::password &&
      trusted_for(credential, TRY(identities_.host_keys(reader, credential.scope))).empty())
    return std::pair(std::string("HostKeyChanged"),
                     std::string("The machine's host keys have changed since the password was set. Set it "
                                 "again if the machine is the same."));
  return std::pair(std::string("Ready"), std::string());
}

Result<net::Response> Service::get(const Call& call, store::Reader& reader) {
  const ResourceId scope = TRY(require_scope(reader, call));
  const std::string& name = call.parameter("credentialName");
  const auto credential =
      TRY(store::get<MachineCredential>(reader, call.tenant, MachineCredential::key_of(scope.text(), name)));
  if (!credential) return not_found(name, scope);
  JsonObject shown = credential->shown(vaults_behind(call, platform_.core.domain));
  auto [state, message] = TRY(state_of(reader, *credential));
  JsonObject& properties = shown["properties"].get_object();
  properties["state"] = state;
  if (!message.empty()) properties["stateMessage"] = message;
  net::Response response = resource::json_response(200, shown);
  response.headers.set("ETag", resource::entity_tag(credential->etag()));
  return response;
}

// What counts at the scope (its own, and those above), and below it.
Result<net::Response> Service::list(const Call& call, store::Reader& reader) {
  const ResourceId scope = TRY(require_scope(reader, call));
  const std::string vaults = vaults_behind(call, platform_.core.domain);
  std::vector<std::string> values;
  const auto add = [&](const std::string& prefix) -> Result<void> {
    for (const MachineCredential& each : TRY(store::scan_all<MachineCredential>(reader, call.tenant, prefix)))
      values.push_back(to_text(each.shown(vaults)));
    return {};
  };
  const std::string subscription = "/subscriptions/" + ascii_lower(scope.subscription());
  const std::string group = ascii_lower(scope.group_id());
  for (const std::string& around : {subscription, group})
    if (!around.empty() && around != scope.key()) TRY(add(around + "\n"));
  TRY(add(scope.key() + "\n"));
  TRY(add(scope.key() + "/"));
  return resource::text_response(200, resource::list_text(values));
}

void Service::declare() {
  Route put = credential_route("PUT", "write", "/{credentialName}",
                               "Sets which secret of a vault a login is signed in with at machines.");
  put.body = credential_shape();
  put.write = [this](WriteContext& context) { return this->put(context); };
  platform_.resources.add(std::move(put));
  Route remove = credential_route("DELETE", "delete", "/{credentialName}",
                                  "The login is signed in by Merlon's certificate again.");
  remove.write = [this](WriteContext& context) { return this->remove(context); };
  platform_.resources.add(std::move(remove));
  Route get = credential_route("GET", "read", "/{credentialName}",
                               "Shows a machine credential, and whether it can be used now.");
  get.read = [this](const Call& call, store::Reader& reader) { return this->get(call, reader); };
  platform_.resources.add(std::move(get));
  Route list = credential_route("GET", "read", "",
                                "Lists the machine credentials that count at a scope, and those below it.");
  list.read = [this](const Call& call, store::Reader& reader) { return this->list(call, reader); };
  platform_.resources.add(std::move(list));
}

}  // namespace merlon::credential
