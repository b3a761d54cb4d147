// Merlon.Bastion's routes for SSH identities: the public keys of the authorities; certificates for oneself;
// one's own registered keys. Nobody gets a certificate or registers a key for anybody else.
#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "identity/sessions.h"
#include "resource/paging.h"
#include "services/ssh/service.h"
#include "services/ssh/sign_in_note.h"

namespace merlon::ssh_identity {
namespace {

using resource::Call;
using resource::Route;
using resource::WriteContext;

constexpr std::string_view kScope = "/{+scope}/providers/Merlon.Bastion/";
constexpr Duration kClockSkew = std::chrono::minutes(1);
constexpr Duration kLifetimeMin = std::chrono::minutes(1);

schema::Shape certificate_shape() {
  return schema::object(
      {schema::required("publicKey",
                        schema::text().with_range(1, 16 * 1024).describe("The line of a .pub file.")),
       schema::optional("lifetime",
                        schema::text().describe("How long it is good: PT8H when not given, PT24H at most.")),
       schema::optional("sourceAddresses",
                        schema::array_of(schema::text())
                            .with_range(1, 20)
                            .describe("Addresses and prefixes that it is good from; everywhere when "
                                      "not given."))});
}

schema::Shape key_shape() {
  return schema::object({schema::required(
      "properties",
      schema::object({schema::required("publicKey", schema::text().with_range(1, 16 * 1024))}))});
}

Result<Duration> lifetime_of(const JsonObject& body) {
  const auto text = string_at(body, "lifetime");
  if (!text) return kCertificateLifetime;
  const auto lifetime = from_iso8601_duration(*text);
  if (!lifetime || *lifetime < kLifetimeMin || *lifetime > kCertificateLifetimeMax)
    return fail(ErrorKind::invalid, "InvalidLifetime",
                "A certificate is good for between one minute and 24 hours, such as PT8H.", "lifetime");
  return *lifetime;
}

Result<ssh::Options> critical_of(const JsonObject& body) {
  const JsonArray* addresses = array_at(body, "sourceAddresses");
  if (addresses == nullptr) return ssh::Options();
  std::vector<std::string> prefixes;
  for (const Json& address : *addresses) {
    const auto prefix = IpPrefix::parse(address.as_string());
    if (!prefix)
      return fail(ErrorKind::invalid, "InvalidSourceAddress",
                  "Each source is an address or a prefix, such as 192.0.2.0/24.", "sourceAddresses");
    prefixes.push_back(prefix->text());
  }
  return ssh::Options{{"source-address", join(prefixes, ",")}};
}

Route scoped(std::string method, std::string tail, std::string permission, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = std::string(kScope) + std::move(tail);
  route.permission = "Merlon.Bastion/" + std::move(permission);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

}  // namespace

net::Response Service::show_authorities() const {
  const auto shown = [](std::string_view name, const ssh::PublicKey& key, std::string_view use) {
    return JsonObject{
        {"name", name},
        {"type", "Merlon.Bastion/sshAuthorities"},
        {"properties", {{"publicKey", key.line()}, {"fingerprint", key.fingerprint()}, {"use", use}}}};
  };
  const std::lock_guard lock(mutex_);
  return resource::json_response(
      200, {{"sshPort", port_},
            {"value", JsonArray{shown("people", people_authority(), "certifies people towards the bastion"),
                                shown("machines", machines_authority(),
                                      "certifies the bastion towards machines: their TrustedUserCAKeys"),
                                shown("host", host_key(), "is the bastion's host key, for known_hosts")}}});
}

// The person's own certificate: it says who they are, and opens nothing that they may not open.
Result<net::Response> Service::issue(WriteContext& context) {
  const Call& call = context.call;
  const auto key = TRY(ssh::PublicKey::from_line(TRY(require_string(call.body, "publicKey"))));
  const Duration lifetime = TRY(lifetime_of(call.body));
  const auto& who = call.principal;
  const std::string stamp = TRY(identity::session_stamp(context.tx, call.tenant, who.object_id));
  const SignInNote note{.kind = who.kind,
                        .app_id = who.app_id,
                        .stamp_digest = to_hex(crypto::sha256(as_bytes(stamp))),
                        .amr = who.amr,
                        .auth_time = who.auth_time};
  const ssh::CertificateRequest request{.key = key,
                                        .serial = serial(),
                                        .type = ssh::CertificateType::user,
                                        .key_id = who.name,
                                        .principals = {who.object_id.text()},
                                        .valid_after = call.now - kClockSkew,
                                        .valid_before = call.now + lifetime,
                                        .critical_options = TRY(critical_of(call.body)),
                                        .extensions = {{"permit-port-forwarding", ""},
                                                       {"permit-pty", ""},
                                                       {std::string(kSignInExtension), note.to_text()}}};
  const Bytes blob = TRY(ssh::issue_certificate(request, authorities_.people(), platform_.core.random));
  const std::string serial_text = std::to_string(request.serial);
  context.details = {{"serial", serial_text},
                     {"fingerprint", key.fingerprint()},
                     {"validTo", to_rfc3339(request.valid_before)}};
  return resource::json_response(200, {{"certificate", TRY(ssh::certificate_line(blob, who.name))},
                                       {"serial", serial_text},
                                       {"validTo", to_rfc3339(request.valid_before)},
                                       {"fingerprint", key.fingerprint()}});
}

Result<net::Response> Service::put_key(WriteContext& context) {
  const Call& call = context.call;
  const std::string& name = call.parameter("name");
  if (name.size() > 64)
    return fail(ErrorKind::invalid, "InvalidSshKeyName", "The name of a key has at most 64 characters.",
                "name");
  const auto key = TRY(ssh::PublicKey::from_line(string_at(call.body, "properties.publicKey").value_or("")));
  const Uuid& owner = call.principal.object_id;
  const auto taken = TRY(store::get<RegisteredKey>(context.tx, call.tenant, key.fingerprint()));
  if (taken && (taken->owner != owner || !ascii_iequal(taken->name, name)))
    return fail(ErrorKind::conflict, "SshKeyInUse",
                taken->owner == owner
                    ? "You have registered this key already, as '" + taken->name + "'."
                    : "This key is somebody else's. Make one of your own: ssh-keygen -t ed25519");
  const auto mine = TRY(context.tx.scan_index(RegisteredKey::table(), call.tenant, "owner",
                                              {.prefix = owner.text() + "/", .after = {}, .after_key = {}}));
  for (const auto& row : mine)
    if (row.value == RegisteredKey::owned(owner, name))
      TRY(store::erase<RegisteredKey>(context.tx, call.tenant, row.row.key));
  if (mine.size() >= kKeysMax && !taken)
    return fail(ErrorKind::conflict, "TooManySshKeys",
                "You have 50 keys. Remove one: merlon ssh key remove NAME");
  const RegisteredKey made{.fingerprint = key.fingerprint(),
                           .owner = owner,
                           .owner_kind = std::string(identity::principal_kind_text(call.principal.kind)),
                           .name = name,
                           .line = key.line(),
                           .created = call.now};
  TRY(store::put(context.tx, call.tenant, made));
  context.details = {{"fingerprint", made.fingerprint}, {"name", name}};
  return resource::json_response(taken ? 200 : 201, made.shown());
}

Result<net::Response> Service::remove_key(WriteContext& context) {
  const Call& call = context.call;
  const auto mine =
      TRY(store::find<RegisteredKey>(context.tx, call.tenant, "owner",
                                     RegisteredKey::owned(call.principal.object_id, call.parameter("name"))));
  if (mine.empty()) return resource::empty_response(204);
  TRY(store::erase<RegisteredKey>(context.tx, call.tenant, mine.front().key()));
  context.details = {{"fingerprint", mine.front().fingerprint}, {"name", mine.front().name}};
  return resource::empty_response(200);
}

Result<net::Response> Service::list_keys(const Call& call, store::Reader& reader) {
  const auto mine =
      TRY(reader.scan_index(RegisteredKey::table(), call.tenant, "owner",
                            {.prefix = call.principal.object_id.text() + "/", .after = {}, .after_key = {}}));
  JsonArray values;
  for (const auto& row : mine) values.emplace_back(TRY(store::decode<RegisteredKey>(row.row)).shown());
  return resource::json_response(200, {{"value", std::move(values)}});
}

void Service::declare() {
  auto& manager = platform_.resources;
  Route authorities;
  authorities.method = "GET";
  authorities.path = "/providers/Merlon.Bastion/sshAuthorities";
  authorities.public_because = "Who connects must know the bastion's key before; these are public keys only.";
  authorities.summary = "The public SSH keys of the bastion and its authorities.";
  authorities.any_api_version = true;
  authorities.read = [this](const Call&, store::Reader&) -> Result<net::Response> {
    return show_authorities();
  };
  manager.add(std::move(authorities));

  Route issue_route = scoped("POST", "issueSshCertificate", "sshCertificates/read",
                             "Issues a short-lived SSH certificate for the caller's own key.");
  issue_route.entered_as = "Merlon.Bastion/sshCertificates/issue";
  issue_route.body = certificate_shape();
  issue_route.passes_locks_because = "it changes nothing at the scope";
  issue_route.write = [this](WriteContext& context) { return issue(context); };
  manager.add(std::move(issue_route));

  Route put = scoped("PUT", "sshKeys/{name}", "sshKeys/write",
                     "Registers a key of the caller's own to sign in with.");
  put.body = key_shape();
  put.passes_locks_because = "it changes nothing at the scope";
  put.write = [this](WriteContext& context) { return put_key(context); };
  manager.add(std::move(put));

  Route remove =
      scoped("DELETE", "sshKeys/{name}", "sshKeys/read", "Removes a registered key of the caller's own.");
  remove.entered_as = "Merlon.Bastion/sshKeys/delete";
  remove.passes_locks_because = "it takes access away, and changes nothing at the scope";
  remove.write = [this](WriteContext& context) { return remove_key(context); };
  manager.add(std::move(remove));

  Route list = scoped("GET", "sshKeys", "sshKeys/read", "Lists the caller's own registered keys.");
  list.read = [this](const Call& call, store::Reader& reader) { return list_keys(call, reader); };
  manager.add(std::move(list));
  declare_host_keys();
}

}  // namespace merlon::ssh_identity
