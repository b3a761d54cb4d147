// Who may use a vault, and from where.
#include "base/text.h"
#include "resource/step_up.h"
#include "services/vault/plane.h"
#include "services/vault/subnet_rules.h"

namespace merlon::vault {
namespace {

std::string caller(const Asked& asked) {
  return "appid=" + asked.principal.app_id.text() + ";oid=" + asked.principal.object_id.text();
}

// What is asked: a data action at the thing, or the word that stands for it in access policies.
struct Wanted {
  std::string action;  // after "Microsoft.KeyVault/vaults/"
  std::string place;   // after the vault's id; empty: the vault itself
  std::string kind;    // of permissions
  std::string word;
};

Wanted wanted_of(const Asked& asked) {
  Wanted wanted{.action = std::string(asked.operation->action),
                .place = {},
                .kind = std::string(asked.operation->policy_kind),
                .word = std::string(asked.operation->policy_word)};
  // A role may be given for one secret or key (Microsoft Learn, "Provide access to Key Vault with Azure
  // RBAC").
  if (!asked.arguments.empty())
    wanted.place = "/" + std::string(asked.operation->object_folder) + "/" + asked.arguments[0];
  return wanted;
}

// The right is there; is the person's sign-in fresh enough for it?
Result<void> check_step_up(const resource::Core& core, store::Reader& reader, const Asked& asked,
                           const Wanted& wanted, const access::Decision& decision) {
  // Nobody is there who could prove themselves anew: whoever has lent it has done so then.
  if (asked.by_server) return {};
  const std::string action = "Microsoft.KeyVault/vaults/" + wanted.action;
  const auto need = TRY(
      resource::StepUps(core).missing(reader, asked.principal, action, asked.vault().resource_id, decision));
  if (!need) return {};
  return std::unexpected(resource::step_up_needed(*need, action, asked.vault().resource_id));
}

Result<std::string> check_roles(const resource::Core& core, store::Reader& reader, const Asked& asked,
                                const Wanted& wanted) {
  access::Question question;
  question.action = "Microsoft.KeyVault/vaults/" + wanted.action;
  question.scope = asked.vault().resource_id + wanted.place;
  question.kind = access::ActionKind::data;
  const access::Decision decision = TRY(core.access.check(reader, asked.principal, question));
  if (decision.allowed) {
    TRY(check_step_up(core, reader, asked, wanted, decision));
    return decision.assignment_id;
  }
  return fault(ErrorKind::forbidden, "Forbidden",
               "Caller is not authorized to perform action on resource. Caller: '" + caller(asked) +
                   "'. Action: '" + question.action + "'. Resource: '" + question.scope + "'. " +
                   decision.reason + " Give the caller a role such as 'Key Vault Secrets User' at the vault.",
               "ForbiddenByRbac");
}

bool has_word(const JsonObject& policy, const Wanted& wanted) {
  const JsonArray* words = array_at(policy, "permissions." + wanted.kind);
  if (words == nullptr) return false;
  return std::ranges::any_of(*words, [&](const Json& word) {
    if (!word.is_string()) return false;
    const std::string_view text = word.get_string();
    return ascii_iequal(text, wanted.word) ||
           (ascii_iequal(text, "manageissuers") && wanted.word.ends_with("issuers")) ||
           (ascii_iequal(text, "all") && wanted.word != "purge");
  });
}

Result<std::string> check_policies(const resource::Core& core, store::Reader& reader, const Asked& asked,
                                   const Wanted& wanted) {
  const auto holders = TRY(core.access.principal_and_groups(reader, asked.principal.object_id));
  const auto holds = [&](const JsonObject& policy) {
    const auto holder = Uuid::parse(string_at(policy, "objectId").value_or(""));
    if (!holder || std::ranges::find(holders, *holder) == holders.end()) return false;
    // A compound identity: this person through this application alone.
    const auto application = string_at(policy, "applicationId");
    return !application || ascii_iequal(*application, asked.principal.app_id.text());
  };
  if (const JsonArray* policies = array_at(asked.vault().properties, "accessPolicies"))
    for (const Json& policy : *policies)
      if (holds(policy.as_object()) && has_word(policy.as_object(), wanted)) {
        TRY(check_step_up(core, reader, asked, wanted, {}));
        return "access policy";
      }
  return fault(ErrorKind::forbidden, "Forbidden",
               "The user, group or application '" + caller(asked) + "' does not have " + wanted.kind + " " +
                   wanted.word + " permission on key vault '" + asked.vault().name + ";location=" +
                   asked.vault().location + "'. Whoever may change the vault can add an access policy.",
               "AccessDenied");
}

Result<std::string> check(const resource::Core& core, store::Reader& reader, const Asked& asked,
                          const Wanted& wanted) {
  return asked.vault().uses_rbac() ? check_roles(core, reader, asked, wanted)
                                   : check_policies(core, reader, asked, wanted);
}

}  // namespace

Result<void> check_network(Platform& platform, store::Reader& reader, const Vault& vault,
                           const IpAddress& peer) {
  if (ascii_iequal(string_at(vault.properties, "publicNetworkAccess").value_or(""), "Disabled"))
    return fault(
        ErrorKind::forbidden, "Forbidden",
        "Public network access is disabled and request is not from a trusted service nor via an approved "
        "private link. Caller: " +
            peer.text() + ". Whoever may change the vault can enable it.",
        "ForbiddenByConnection");
  const JsonObject* acls = object_at(vault.properties, "networkAcls");
  if (acls == nullptr || !ascii_iequal(string_at(*acls, "defaultAction").value_or(""), "Deny")) return {};
  if (const JsonArray* rules = array_at(*acls, "ipRules"))
    for (const Json& rule : *rules) {
      const auto prefix = IpPrefix::parse(string_at(rule.as_object(), "value").value_or(""));
      if (prefix && prefix->contains(peer)) return {};
    }
  const SubnetAnswer subnets = TRY(ask_subnet_rules(platform, reader, vault, peer));
  if (subnets.admits) return {};
  return fault(ErrorKind::forbidden, "Forbidden",
               "Client address is not authorized and caller is not a trusted service. Client address: " +
                   peer.text() + ". Vault: " + vault.name + ";location=" + vault.location +
                   (subnets.only_now.empty()
                        ? ". Whoever may change the vault can add the address to its networkAcls.ipRules."
                        : ". The subnet '" + subnets.only_now +
                              "' did not have this address when its rule was written. Whoever may change "
                              "the vault can take the rule out and add it again."),
               "ForbiddenByFirewall");
}

// Azure's meaning of "bypass" (Microsoft Learn, "Network security for Azure Key Vault", trusted services): it
// opens the firewall to the provider's own services, unless somebody has set None.
Result<void> check_trusted_service(const Vault& vault) {
  const bool shut =
      ascii_iequal(string_at(vault.properties, "publicNetworkAccess").value_or(""), "Disabled") ||
      ascii_iequal(string_at(vault.properties, "networkAcls.defaultAction").value_or(""), "Deny");
  const bool trusts =
      !ascii_iequal(string_at(vault.properties, "networkAcls.bypass").value_or("AzureServices"), "None");
  if (!shut || trusts) return {};
  return fault(ErrorKind::forbidden, "Forbidden",
               "The vault '" + vault.name +
                   "' lets no trusted services in. Whoever may change the vault can set its "
                   "networkAcls.bypass to AzureServices.",
               "ForbiddenByFirewall");
}

Result<std::string> check_right(const resource::Core& core, store::Reader& reader, const Asked& asked) {
  return check(core, reader, asked, wanted_of(asked));
}

Result<void> check_issuer_right(const resource::Core& core, store::Reader& reader, const Asked& asked,
                                std::string_view issuer) {
  TRY(check(core, reader, asked,
            {.action = "certificatecas/read",
             .place = "/certificates/issuers/" + std::string(issuer),
             .kind = "certificates",
             .word = "getissuers"}));
  return {};
}

}  // namespace merlon::vault
