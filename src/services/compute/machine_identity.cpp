// Source: azure-rest-api-specs, Microsoft.Compute, virtualMachine.json (VirtualMachineIdentity), and
// "Configure managed identities for Azure resources on an Azure VM using REST API calls" for what a PATCH
// adds and removes.
#include "services/compute/machine_identity.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace merlon::compute {
namespace {

using resource::Resource;
using resource::ResourceId;
using resource::WriteContext;

constexpr std::string_view kIdentityType = "Microsoft.ManagedIdentity/userAssignedIdentities";
constexpr std::string_view kAssign = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";
constexpr std::string_view kAssigned = "userAssignedIdentities";
constexpr size_t kAssignedMax = 100;

std::unexpected<Error> failed(const ResourceId& vm, const std::string& why) {
  return fail(ErrorKind::invalid, "FailedIdentityOperation",
              "Identity operation for resource '" + vm.text() + "' failed: " + why, "identity");
}

// What the request itself says of identities, before a PATCH is merged: it alone shows which it takes away.
const JsonObject* said_identity(const WriteContext& context, const ResourceId& vm) {
  return context.call.id.key() == vm.key() ? object_at(context.call.body, "identity") : nullptr;
}

const Json* find_id(const JsonObject* ids, std::string_view id) {
  if (ids == nullptr) return nullptr;
  for (const auto& member : *ids)
    if (ascii_iequal(member.key(), id)) return &member.value();
  return nullptr;
}

bool has_word(std::string_view type, std::string_view word) {
  return type.find(word) != std::string_view::npos;
}

// Azure's operation is called userAssignedIdentities/assign/action; its role Managed Identity Operator grants
// userAssignedIdentities/*/assign/action. Who has either right has it, unless either is denied. Which of the
// two decides:
Result<std::string> assign_right(const resource::Core& core, store::Reader& reader,
                                 const identity::Principal& principal, const ResourceId& id) {
  const auto check = [&](std::string action) {
    return core.access.check(reader, principal, {.action = std::move(action), .scope = id.text()});
  };
  const std::string named = std::string(kIdentityType) + "/" + id.name() + "/assign/action";
  const access::Decision by_name = TRY(check(named));
  const access::Decision plain = TRY(check(std::string(kAssign)));
  const auto is_denied = [](const access::Decision& decision) {
    return !decision.allowed && !decision.assignment_id.empty();  // by a deny assignment
  };
  if (is_denied(by_name) || (by_name.allowed && !is_denied(plain))) return named;
  return std::string(kAssign);
}

class Settlement {
 public:
  Settlement(Platform& platform, WriteContext& context, const ResourceId& vm, const Resource* existing)
      : platform_(platform),
        context_(context),
        vm_(vm),
        before_(existing == nullptr ? nullptr : object_at(existing->body, "identity")),
        said_(said_identity(context, vm)) {}

  Result<JsonObject> settle(const JsonObject& wanted) {
    const std::string type = string_at(wanted, "type").value_or("None");
    const bool own = has_word(type, "SystemAssigned");
    const bool given = has_word(type, "UserAssigned");
    JsonObject shown{{"type", own && given ? "SystemAssigned, UserAssigned" : type}};
    TRY(settle_own(own, shown));
    JsonObject assigned = TRY(settle_assigned(given, wanted));
    if (given) shown[kAssigned] = std::move(assigned);
    return shown;
  }

 private:
  Result<void> settle_own(bool wanted, JsonObject& shown) {
    auto principal = before_ == nullptr ? std::nullopt : string_at(*before_, "principalId");
    if (wanted && !principal) {
      const auto made = TRY(
          context_.core.directory.create_managed_identity(context_.tx, std::string(vm_.name()), vm_.text()));
      principal = made.id.text();
      context_.details["principalId"] = *principal;
    } else if (!wanted && principal) {
      TRY(end_identity(context_, {{"identity", *before_}}));
    }
    if (!wanted) return {};
    shown["principalId"] = *principal;
    shown["tenantId"] = context_.core.tenant.text();
    return {};
  }

  Result<JsonObject> settle_assigned(bool wanted, const JsonObject& identity) {
    JsonObject shown;
    const JsonObject* said = said_ == nullptr ? nullptr : object_at(*said_, kAssigned);
    const JsonObject* ids = object_at(identity, kAssigned);
    for (const auto& member : ids == nullptr ? JsonObject() : *ids) {
      const std::string id(member.key());
      const Json* named = find_id(said, id);
      // A PATCH may write the id that it takes away otherwise than the document does.
      if (named != nullptr && named->is_null()) continue;
      if (!wanted && named != nullptr)
        return failed(vm_, "its type does not include UserAssigned, and it names '" + id.substr(0, 300) +
                               "'. Add UserAssigned to the type, or leave the identity out.");
      if (wanted) TRY(assign(id, shown));
    }
    if (shown.size() > kAssignedMax)
      return failed(vm_, fmt::format("a machine has at most {} user-assigned identities.", kAssignedMax));
    if (wanted && shown.empty())
      return failed(vm_, "the type UserAssigned takes at least one identity in userAssignedIdentities.");
    return shown;
  }

  // Whoever gives a machine an identity lets it act as that identity, so it takes a right on the identity
  // itself (learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview). The right comes
  // first: whether a thing exists is not for everyone to know. Those it has already are not asked about
  // again.
  Result<void> assign(const std::string& text, JsonObject& shown) {
    const auto id = ResourceId::parse(text);
    if (!id || !ascii_iequal(id->type(), kIdentityType))
      return failed(vm_, "'" + text.substr(0, 300) + "' is not the id of a user-assigned identity.");
    const JsonObject* before = before_ == nullptr ? nullptr : object_at(*before_, kAssigned);
    const Json* known = find_id(before, text);
    const auto identity = TRY(platform_.resources.get(context_.tx, *id));
    const auto bound = known == nullptr || !known->is_object()
                           ? std::nullopt
                           : string_at(known->get_object(), "principalId");
    if (bound && (!identity || string_at(identity->body, "properties.principalId") != bound)) {
      // Gone, or another under the same name: it stays what it was, until somebody assigns the new one.
      if (said_ == nullptr || find_id(object_at(*said_, kAssigned), text) == nullptr || !identity) {
        shown[id->text()] = *known;
        return {};
      }
    }
    if (!bound || (identity && string_at(identity->body, "properties.principalId") != bound))
      TRY(require_assign(*id));
    if (!identity)
      return failed(vm_, "the user-assigned identity '" + id->text() + "' was not found. Create it first.");
    shown[identity->id.text()] =
        JsonObject{{"principalId", TRY(require_string(identity->body, "properties.principalId"))},
                   {"clientId", TRY(require_string(identity->body, "properties.clientId"))}};
    return {};
  }

  // Through require(), which asks for a fresh sign-in as well where a step-up policy wants one.
  Result<void> require_assign(const ResourceId& id) {
    if (context_.is_system) return {};
    return context_.require(TRY(assign_right(context_.core, context_.tx, context_.call.principal, id)),
                            id.text());
  }

  Platform& platform_;
  WriteContext& context_;
  const ResourceId& vm_;
  const JsonObject* before_;
  const JsonObject* said_;
};

}  // namespace

schema::Shape machine_identity_shape() {
  using namespace schema;
  return object({required("type", text_of({"None", "SystemAssigned", "UserAssigned",
                                           "SystemAssigned, UserAssigned", "SystemAssigned,UserAssigned"})),
                 read_only("principalId", text()), read_only("tenantId", text()),
                 optional(std::string(kAssigned), map_of(object({read_only("principalId", text()),
                                                                 read_only("clientId", text())})))});
}

Result<void> settle_identity(Platform& platform, WriteContext& context, const ResourceId& vm,
                             const Resource* existing, JsonObject& wanted) {
  const JsonObject* identity = object_at(wanted, "identity");
  const JsonObject* before = existing == nullptr ? nullptr : object_at(existing->body, "identity");
  // A PUT without the envelope leaves it as it is (Resource Provider Contract): "None" takes it away.
  if (identity == nullptr && before == nullptr) return {};
  const bool is_said = said_identity(context, vm) != nullptr;
  if (identity == nullptr || (!is_said && before != nullptr)) {
    wanted["identity"] = *before;
    return {};
  }
  JsonObject shown = TRY(Settlement(platform, context, vm, existing).settle(*identity));
  wanted.erase("identity");
  if (string_at(shown, "type") != "None") wanted["identity"] = std::move(shown);
  return {};
}

Result<void> check_may_become(Platform& platform, store::Reader& reader, const identity::Principal& maker,
                              const ResourceId& vm) {
  const auto described = TRY(platform.resources.get(reader, vm));
  const JsonObject* identity = described ? object_at(described->body, "identity") : nullptr;
  if (identity == nullptr) return {};
  const auto require = [&](const std::string& action, const std::string& scope) -> Result<void> {
    if (TRY(platform.core.access.check(reader, maker, {.action = action, .scope = scope})).allowed) return {};
    return fail(
        ErrorKind::forbidden, "LinkedAuthorizationFailed",
        fmt::format("The machine '{}' has been given identities before its enrolment, and whoever "
                    "enrols as it acts as them. {} may not do '{}' at '{}', so no token of theirs "
                    "enrols it. Ask for a token ('merlon machine token') from somebody who may.",
                    vm.name(), maker.name.empty() ? maker.object_id.text() : maker.name, action, scope));
  };
  if (string_at(*identity, "principalId")) TRY(require("Microsoft.Compute/virtualMachines/write", vm.text()));
  if (const JsonObject* assigned = object_at(*identity, kAssigned))
    for (const auto& member : *assigned) {
      const ResourceId id = TRY(ResourceId::parse(member.key()));
      TRY(require(TRY(assign_right(platform.core, reader, maker, id)), id.text()));
    }
  return {};
}

Result<void> end_identity(WriteContext& context, const JsonObject& document) {
  const auto principal = Uuid::parse(string_at(document, "identity.principalId").value_or(""));
  if (!principal) return {};
  context.tx.urgent();
  context.details["removedPrincipalId"] = principal->text();
  if (!TRY(context.core.directory.find_object(context.tx, *principal))) return {};
  return context.core.directory.erase_service_principal(context.tx, *principal);
}

}  // namespace merlon::compute
