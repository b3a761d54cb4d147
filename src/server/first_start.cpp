// The bootstrap credential and its file.
#include "server/first_start.h"

#include "base/time_text.h"
#include "identity/bootstrap.h"
#include "server/bootstrap_roles.h"
#include "server/private_file.h"

namespace merlon::server {
namespace {

constexpr std::string_view kOwnerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

JsonObject bootstrap_json(const Assembly& assembly, const identity::BootstrapCredential& credential,
                          const std::string& state_dir, const std::string& port) {
  const Settings& settings = assembly.settings();
  const std::string endpoint = "https://" + settings.domain + (port == "443" ? "" : ":" + port);
  return {{"tenantId", settings.tenant.text()},
          {"subscriptionId", settings.subscription.text()},
          {"clientId", credential.client_id.text()},
          {"clientSecret", credential.secret.expose_text()},
          {"domain", settings.domain},
          {"endpoint", endpoint},
          {"audience", endpoint + "/"},
          {"authority", endpoint + "/" + settings.tenant.text()},
          {"adfsAuthority", endpoint + "/adfs"},
          {"caFile", state_dir + "/ca.pem"},
          {"expires", to_rfc3339(credential.expires)}};
}

Result<void> make_owner(Assembly& assembly, store::Transaction& tx,
                        const identity::BootstrapCredential& credential) {
  access::RoleAssignment owner;
  owner.id = Uuid::generate(assembly.core().random);
  owner.scope = "/";
  owner.role_definition_id = *Uuid::parse(kOwnerRole);
  owner.principal_id = credential.service_principal_id;
  owner.principal_type = "ServicePrincipal";
  owner.description = "The first credential of this Merlon; retired when a person is made administrator.";
  for (const auto& known : TRY(assembly.core().access.assignments(tx, "/", access::Access::Reach::at_scope)))
    if (known.principal_id == owner.principal_id && known.role_definition_id == owner.role_definition_id)
      return {};
  TRY(assembly.core().access.assign(tx, std::move(owner)));
  return {};
}

Result<void> record(Assembly& assembly, store::Transaction& tx, std::string_view action,
                    const identity::BootstrapCredential& credential) {
  ledger::Entry entry;
  entry.time = assembly.core().clock.now();
  entry.actor = {.kind = "System", .object_id = {}, .name = "merlon", .address = {}};
  entry.action = action;
  entry.resource = "/tenants/" + assembly.settings().tenant.text() + "/servicePrincipals/" +
                   credential.service_principal_id.text();
  entry.details = {{"expires", to_rfc3339(credential.expires)}};
  return assembly.core().ledger.append(tx, entry);
}

}  // namespace

Result<void> first_start(Assembly& assembly, const std::string& state_dir, const std::string& port,
                         KeepBootstrap keep) {
  TRY(write_private_file(state_dir + "/ca.pem", assembly.settings().authority_pem, FileReaders::everybody));
  const auto lifetime =
      keep == KeepBootstrap::yes ? identity::BootstrapLifetime::kept : identity::BootstrapLifetime::one_day;
  identity::Directory& directory = assembly.core().directory;
  return assembly.store().write([&](store::Transaction& tx) -> Result<void> {
    const auto credential = TRY(identity::bootstrap(tx, directory, lifetime));
    if (!credential) {
      TRY(identity::ensure_well_known(tx, directory));
      // One that an earlier version retired kept them.
      return take_roles_of_retired_bootstrap(assembly.core(), tx);
    }
    TRY(make_owner(assembly, tx, *credential));
    TRY(record(assembly, tx, "Merlon.Identity/bootstrap/action", *credential));
    return write_private_file(state_dir + "/bootstrap.json",
                              to_pretty_text(bootstrap_json(assembly, *credential, state_dir, port)) + "\n",
                              FileReaders::owner);
  });
}

Result<void> recover_bootstrap_file(Assembly& assembly, const std::string& state_dir,
                                    const std::string& port) {
  return assembly.store().write([&](store::Transaction& tx) -> Result<void> {
    const auto credential = TRY(identity::recover_bootstrap(tx, assembly.core().directory));
    TRY(make_owner(assembly, tx, credential));
    TRY(record(assembly, tx, "Merlon.Identity/bootstrap/recover/action", credential));
    return write_private_file(state_dir + "/bootstrap.json",
                              to_pretty_text(bootstrap_json(assembly, credential, state_dir, port)) + "\n",
                              FileReaders::owner);
  });
}

}  // namespace merlon::server
