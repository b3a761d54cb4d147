// Who stands behind a certificate or a key, and what the bastion shows to machines.
#include "services/ssh/service.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/digest.h"
#include "identity/directory.h"
#include "identity/sessions.h"
#include "services/ssh/sign_in_note.h"

namespace merlon::ssh_identity {
namespace {

constexpr Duration kMachineCredentialLifetime = std::chrono::minutes(2);
constexpr Duration kClockSkew = std::chrono::minutes(1);

std::unexpected<Error> not_known(std::string message) {
  return fail(ErrorKind::unauthenticated, "SshSignInRefused", std::move(message));
}

}  // namespace

std::string machine_principal(std::string_view login, std::string_view machine_id) {
  return std::string(login) + "@" + ascii_lower(machine_id);
}

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs{Authorities::table(), RegisteredKey::table(),
                                                   KnownHost::table()};
  return specs;
}

Result<std::unique_ptr<SshIdentities>> install(Platform& platform) {
  auto service = std::make_unique<Service>(platform, TRY(Authorities::open(platform.core)));
  service->declare();
  service->follow_machines();
  TRY(service->tell_machines());
  return service;
}

Secret Service::host_private_key() const {
  const auto text = ssh::openssh_private_key(authorities_.host(), "merlon bastion");
  MERLON_CHECK(text.has_value());
  return *text;
}

uint64_t Service::serial() {
  uint64_t number = 0;
  for (const uint8_t byte : platform_.core.random.bytes(8)) number = number << 8 | byte;
  return number;
}

Result<identity::Principal> Service::person(store::Reader& reader, ByteView key_or_certificate,
                                            const IpAddress& source) {
  if (const auto key = ssh::PublicKey::from_blob(key_or_certificate)) return registered(reader, *key, source);
  return certified(reader, key_or_certificate, source);
}

Result<identity::Principal> Service::certified(store::Reader& reader, ByteView certificate,
                                               const IpAddress& source) {
  const auto& core = platform_.core;
  const ssh::Judge judge{.authorities = {people_authority()},
                         .type = ssh::CertificateType::user,
                         .now = core.clock.now(),
                         .source = source};
  const ssh::Certificate it = TRY(ssh::judge_certificate(certificate, judge));
  const auto who = it.principals.size() == 1 ? Uuid::parse(it.principals.front()) : std::nullopt;
  const auto said =
      std::ranges::find(it.extensions, kSignInExtension, &std::pair<std::string, std::string>::first);
  // Both are in every certificate that this server has issued to a person.
  if (!who || said == it.extensions.end()) return not_known("The certificate is for no one person.");
  const SignInNote note = TRY(SignInNote::from_text(said->second));
  const auto found = TRY(core.directory.find_object(reader, *who));
  if (!found || !found->enabled) return not_known("Whom the certificate is for was disabled or removed.");
  const std::string stamp = TRY(identity::session_stamp(reader, core.tenant, *who));
  if (to_hex(crypto::sha256(as_bytes(stamp))) != note.stamp_digest)
    return not_known(
        "The sign-in that the certificate was issued for has been revoked. Get a new one: merlon ssh cert");
  return identity::Principal{.object_id = *who,
                             .kind = note.kind,
                             .name = it.key_id,
                             .app_id = note.app_id,
                             .amr = note.amr,
                             .auth_time = note.auth_time,
                             .token_id = "ssh-certificate " + std::to_string(it.serial),
                             .address = source};
}

Result<identity::Principal> Service::registered(store::Reader& reader, const ssh::PublicKey& key,
                                                const IpAddress& source) {
  const auto& core = platform_.core;
  const auto known = TRY(store::get<RegisteredKey>(reader, core.tenant, key.fingerprint()));
  if (!known || known->line != key.line()) return not_known("The key is not registered.");
  const bool is_user = known->owner_kind == identity::principal_kind_text(identity::PrincipalKind::user);
  const auto found = TRY(core.directory.find_object(reader, known->owner));
  if (!found || !found->enabled) return not_known("Whose key it is was disabled or removed.");
  std::string name = found->display_name;
  if (is_user) {
    const auto user = TRY(store::get<identity::User>(reader, core.tenant, known->owner.text()));
    if (!user) return not_known("Whose key it is was removed.");
    name = user->user_principal_name;
  }
  // RFC 8176: a key in hardware, a key in software. Neither is a second factor.
  return identity::Principal{
      .object_id = known->owner,
      .kind = is_user ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal,
      .name = std::move(name),
      .app_id = {},
      .amr = {key.is_security_key() ? "hwk" : "swk"},
      .auth_time = core.clock.now(),
      .token_id = "ssh-key " + known->fingerprint,
      .address = source};
}

Result<MachineCredential> Service::machine_credential(const identity::Principal& person,
                                                      std::string_view login, std::string_view machine_id,
                                                      std::string_view session) {
  const auto& core = platform_.core;
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  const Timestamp now = core.clock.now();
  // Without permit-user-rc: who may send files alone could send ~/.ssh/rc, and would run commands by it.
  const ssh::CertificateRequest request{.key = ssh::PublicKey::of(key.public_key()),
                                        .serial = serial(),
                                        .type = ssh::CertificateType::user,
                                        .key_id = person.name + " session " + std::string(session),
                                        .principals = {machine_principal(login, machine_id)},
                                        .valid_after = now - kClockSkew,
                                        .valid_before = now + kMachineCredentialLifetime,
                                        .critical_options = {},
                                        .extensions = {{"permit-port-forwarding", ""}, {"permit-pty", ""}}};
  const Bytes blob = TRY(ssh::issue_certificate(request, authorities_.machines(), core.random));
  return MachineCredential{TRY(ssh::openssh_private_key(key, "merlon")),
                           TRY(ssh::certificate_line(blob, "merlon"))};
}

}  // namespace merlon::ssh_identity
