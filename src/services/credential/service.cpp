// Finding what is set for a login, and using it.
#include "services/credential/service.h"

#include <algorithm>

#include "base/text.h"
#include "resource/forgotten_scopes.h"

namespace merlon::credential {
namespace {

using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kPasswordBytesMax = 4096;
constexpr size_t kKeyBytesMax = 25 * 1024;

std::string what_it_is(const MachineCredential& credential) {
  return credential.kind == Kind::password ? "password" : "key";
}

std::string name_in(std::string_view id) { return std::string(id.substr(id.rfind('/') + 1)); }

// The refusals of a vault, for somebody who comes to a machine.
std::string reason_of(const Error& error) {
  const std::string& inner = error.details.empty() ? error.code : error.details.front().code;
  if (inner == "VaultNotFound") return "its vault is deleted.";
  if (inner == "SecretNotFound") return "its vault has no such secret any more.";
  if (inner == "SecretDisabled") return "it is disabled in its vault.";
  if (inner == "SecretNotCurrent") return "it has expired in its vault, or its time has not come yet.";
  if (inner == "ForbiddenByRbac" || inner == "AccessDenied")
    return "whoever has set it may not read it in its vault any more.";
  if (inner == "LenderDisabled") return "whoever has set it is disabled or gone.";
  if (inner == "ForbiddenByFirewall") return "its vault lets no trusted services in.";
  if (error.kind == ErrorKind::throttled) return "its vault is asked too often; try again in a moment.";
  return "its vault does not give it (" + inner + ").";
}

std::unexpected<Error> not_usable(const MachineCredential& credential, const std::string& machine,
                                  const std::string& why) {
  return fail(ErrorKind::unavailable, "CredentialNotUsable",
              "The " + what_it_is(credential) + " that '" + credential.name + "' sets for '" +
                  credential.login + "' on '" + name_in(machine) + "' cannot be used: " + why +
                  " Whoever looks after the machine sees to it: merlon bastion credential show " +
                  credential.name);
}

// The end of a line that a file ends with is not part of what was typed into it.
Secret without_line_end(const Secret& value) {
  std::string_view text = value.expose_text();
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return Secret(text);
}

bool is_usable_text(const Secret& value, size_t most) {
  return !value.empty() && value.size() <= most && value.expose_text().find('\0') == std::string_view::npos;
}

bool looks_like_key(const Secret& value) {
  const std::string_view text = value.expose_text();
  return text.find("-----BEGIN ") != std::string_view::npos &&
         text.find("PRIVATE KEY-----") != std::string_view::npos;
}

}  // namespace

bool is_machine(const ResourceId& id) { return ascii_iequal(id.type(), "Microsoft.Compute/virtualMachines"); }

std::vector<std::string> trusted_for(const MachineCredential& credential,
                                     const std::vector<std::string>& known) {
  if (credential.kind != Kind::password) return known;
  std::vector<std::string> left;
  for (const std::string& line : known)
    if (std::ranges::find(credential.host_keys, line) != credential.host_keys.end()) left.push_back(line);
  return left;
}

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs{MachineCredential::table()};
  return specs;
}

std::unique_ptr<MachineCredentials> install(Platform& platform, compute::Compute& compute,
                                            vault::Vaults& vaults, ssh_identity::SshIdentities& identities) {
  auto service = std::make_unique<Service>(platform, vaults, identities);
  service->declare();
  service->forget_with(compute);
  return service;
}

// What was set for a machine or a group is not for another of its name. A machine that moves is another
// place, whose administrators are others.
void Service::forget_with(compute::Compute& compute) {
  compute.on_remove([this](WriteContext& context, const ResourceId& vm) -> Result<void> {
    for (const MachineCredential& credential :
         TRY(store::scan_all<MachineCredential>(context.tx, platform_.core.tenant, vm.key() + "\n"))) {
      TRY(store::erase<MachineCredential>(context.tx, platform_.core.tenant, credential.key()));
      TRY(context.record("Merlon.Bastion/machineCredentials/delete", credential.id(),
                         {{"login", credential.login}, {"reason", "MachineRemoved"}}));
    }
    return {};
  });
  auto* scopes = dynamic_cast<resource::ForgottenScopes*>(&platform_.resources);
  MERLON_CHECK(scopes != nullptr);
  scopes->on_forgotten([this](store::Transaction& tx, const ResourceId& id) -> Result<void> {
    if (!id.provider().empty()) return {};
    for (const MachineCredential& credential :
         TRY(store::scan_all<MachineCredential>(tx, platform_.core.tenant, id.key() + "\n")))
      TRY(store::erase<MachineCredential>(tx, platform_.core.tenant, credential.key()));
    return {};
  });
}

Result<std::optional<Found>> Service::find(store::Reader& reader, std::string_view machine,
                                           std::string_view login,
                                           const std::vector<std::string>& host_keys) {
  const auto id = ResourceId::parse(machine);
  if (!id || !is_machine(*id)) return std::optional<Found>();
  for (const std::string& scope : {id->text(), id->group_id(), "/subscriptions/" + id->subscription()}) {
    const auto set = TRY(store::find<MachineCredential>(reader, platform_.core.tenant, "login",
                                                        MachineCredential::login_key(scope, login)));
    if (set.empty()) continue;
    const MachineCredential& credential = set.front();
    Found found{
        .key = credential.key(), .tag = credential.etag(), .host_keys = trusted_for(credential, host_keys)};
    if (credential.kind == Kind::password && found.host_keys.empty())
      return not_usable(credential, id->text(),
                        "the machine's host keys have changed since it was set, and a password is sent to no "
                        "machine but the one that it was set for.");
    return std::optional<Found>(std::move(found));
  }
  return std::optional<Found>();
}

Result<vault::UsedSecret> Service::use(const MachineCredential& credential, const vault::SecretName& secret,
                                       const Use& use) {
  const vault::SecretUse asked{.secret = secret,
                               .lender = credential.lender_principal(),
                               .details = {{"credential", credential.id()},
                                           {"lentBy", credential.lender_name},
                                           {"lentById", credential.lender.text()},
                                           {"for", use.person.name},
                                           {"forId", use.person.object_id.text()},
                                           {"session", use.session},
                                           {"machine", use.machine},
                                           {"login", use.login}},
                               .correlation_id = use.session};
  auto used = vaults_.use_secret(asked);
  if (used) return used;
  const Error& error = used.error();
  if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable) return used;
  return not_usable(credential, use.machine, reason_of(error));
}

Result<ssh::MachineSecret> Service::secret(const Found& found, const Use& use) {
  const auto credential = TRY(
      store::read_value<std::optional<MachineCredential>>(platform_.core.store, [&](store::Reader& reader) {
        return store::get<MachineCredential>(reader, platform_.core.tenant, found.key);
      }));
  if (!credential || credential->etag() != found.tag || credential->login != use.login)
    return fail(ErrorKind::unavailable, "CredentialChanged",
                "What '" + use.login + "' signs in with on '" + name_in(use.machine) +
                    "' has been changed just now. Connect again.");
  const vault::UsedSecret value = TRY(this->use(*credential, credential->secret, use));
  ssh::MachineSecret secret;
  if (credential->kind == Kind::password) {
    secret.password = without_line_end(value.value);
    if (!is_usable_text(secret.password, kPasswordBytesMax))
      return not_usable(*credential, use.machine, "it is empty, too long, or no text.");
    return secret;
  }
  if (!is_usable_text(value.value, kKeyBytesMax) || !looks_like_key(value.value))
    return not_usable(*credential, use.machine, "it is no private key in OpenSSH's form or PEM.");
  secret.private_key = value.value;
  if (!credential->passphrase) return secret;
  secret.passphrase = without_line_end(TRY(this->use(*credential, *credential->passphrase, use)).value);
  if (!is_usable_text(secret.passphrase, kPasswordBytesMax))
    return not_usable(*credential, use.machine, "its passphrase is empty, too long, or no text.");
  return secret;
}

}  // namespace merlon::credential
