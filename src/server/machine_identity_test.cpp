// Machines' identities through the whole server: who may assign them, to which principal they are bound, and
// that they end with their machine.
#include <gmock/gmock.h>

#include "server/assembly_fixture.h"

namespace merlon::server {
namespace {

constexpr const char* kOperator = "f1a07417-d97a-45cb-824c-7a7467783830";     // Managed Identity Operator
constexpr const char* kContributor = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c";  // Virtual Machine Contributor

class MachineIdentityTest : public AssemblyTest {
 protected:
  void SetUp() override {
    AssemblyTest::SetUp();
    call("PUT", group(), {{"location", "local"}}, 201);
  }
  std::string group() const { return subscription_ + std::string(kGroup); }
  std::string vm(const std::string& name = "web-1") const {
    return group() + "/providers/Microsoft.Compute/virtualMachines/" + name;
  }
  std::string identity(const std::string& name) const {
    return group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name;
  }
  JsonObject make_identity(const std::string& name) {
    return call("PUT", identity(name), {{"location", "local"}}, 201);
  }
  JsonObject put_vm(const JsonObject& envelope, int expected, const std::string& name = "web-1") {
    return call("PUT", vm(name), {{"location", "local"}, {"identity", envelope}}, expected);
  }
  JsonObject patch_vm(const JsonObject& envelope, int expected) {
    return call("PATCH", vm(), {{"identity", envelope}}, expected);
  }
  static JsonObject assigned(const std::string& id, const Json& value = JsonObject()) {
    return {{"type", "UserAssigned"}, {"userAssignedIdentities", JsonObject{{id, value}}}};
  }
  std::optional<identity::Directory::Found> principal(const std::string& id) {
    return *store::read_value<std::optional<identity::Directory::Found>>(
        assembly_->store(), [&](store::Reader& reader) {
          return assembly_->core().directory.find_object(reader, *Uuid::parse(id));
        });
  }
  static std::string at(const JsonObject& json, const std::string& path) {
    return string_at(json, path).value_or("");
  }
  static const JsonObject* bound(const JsonObject& vm, const std::string& id) {
    const JsonObject* all = object_at(vm, "identity.userAssignedIdentities");
    const Json* value = all == nullptr ? nullptr : all->if_contains(id);
    return value == nullptr ? nullptr : value->if_object();
  }
  // An application with one role, signed in.
  std::string sign_in_with(const std::string& name,
                           const std::vector<std::pair<std::string, std::string>>& roles) {
    std::string secret;
    const auto made = *store::write_value<identity::Application>(
        assembly_->store(), [&](store::Transaction& tx) -> Result<identity::Application> {
          identity::Application application;
          application.display_name = name;
          const auto both = TRY(assembly_->core().directory.create_application(tx, application));
          secret = std::string(
              TRY(assembly_->core().directory.add_secret(tx, both.first.id, "s", std::chrono::hours(1)))
                  .text.expose_text());
          for (const auto& [role, scope] : roles) {
            access::RoleAssignment assignment;
            assignment.id = Uuid::generate(random_);
            assignment.scope = scope;
            assignment.role_definition_id = *Uuid::parse(role);
            assignment.principal_id = both.second.id;
            assignment.principal_type = "ServicePrincipal";
            TRY(assembly_->core().access.assign(tx, assignment));
          }
          return both.first;
        });
    return sign_in(made.app_id.text(), secret);
  }
};

TEST_F(MachineIdentityTest, AMachinesOwnIdentityIsMadeKeptAndRemovedWithIt) {
  const JsonObject made = put_vm({{"type", "SystemAssigned"}}, 201);
  const std::string own = at(made, "identity.principalId");
  ASSERT_TRUE(Uuid::parse(own)) << to_text(made);
  EXPECT_EQ(at(made, "identity.tenantId"), assembly_->core().tenant.text());
  ASSERT_TRUE(principal(own));
  EXPECT_EQ(principal(own)->display_name, "web-1");
  EXPECT_EQ(at(put_vm({{"type", "SystemAssigned"}, {"principalId", Uuid::generate(random_).text()}}, 200),
               "identity.principalId"),
            own)
      << "nobody chooses it";
  EXPECT_EQ(at(call("PUT", vm(), {{"location", "local"}}, 200), "identity.principalId"), own)
      << "a PUT without the envelope leaves it";
  EXPECT_EQ(at(call("PATCH", vm(), {{"tags", JsonObject{{"a", "b"}}}}, 200), "identity.principalId"), own);
  const JsonObject without = patch_vm({{"type", "None"}}, 200);
  EXPECT_FALSE(without.contains("identity")) << to_text(without);
  EXPECT_FALSE(principal(own)) << "it ends with the identity";
  const std::string next = at(patch_vm({{"type", "SystemAssigned"}}, 200), "identity.principalId");
  EXPECT_NE(next, own) << "another one, with none of the old one's roles";
  call("DELETE", vm(), {}, 200);
  EXPECT_FALSE(principal(next)) << "it ends with the machine";
}

TEST_F(MachineIdentityTest, AnEnrolledMachinesIdentityEndsWhenItIsRemoved) {
  enrol();
  const std::string own = at(patch_vm({{"type", "SystemAssigned"}}, 200), "identity.principalId");
  ASSERT_TRUE(principal(own));
  const auto answer = send(
      "DELETE", group() + "/providers/Merlon.Machines/machines/web-1?api-version=2024-05-01", {}, token_);
  EXPECT_LT(answer.status, 300) << answer.body;
  EXPECT_FALSE(principal(own));
}

TEST_F(MachineIdentityTest, AUserAssignedIdentityMustExist) {
  const JsonObject refused = put_vm(assigned(identity("app")), 400);
  EXPECT_EQ(at(refused, "error.code"), "FailedIdentityOperation") << to_text(refused);
  call("GET", vm(), {}, 404);
  put_vm(assigned(vm("other")), 400);
  put_vm(assigned("nonsense"), 400);
  put_vm({{"type", "UserAssigned"}}, 400);
  put_vm({{"type", "Anything"}}, 400);
  JsonObject both = assigned(identity("app"));
  both["type"] = "SystemAssigned";
  make_identity("app");
  put_vm(both, 400);
  call("GET", vm(), {}, 404);
}

TEST_F(MachineIdentityTest, AnIdentityIsBoundToItsPrincipalNotToItsName) {
  const JsonObject app = make_identity("app");
  const JsonObject made = put_vm(assigned(identity("APP")), 201);
  const JsonObject* binding = bound(made, identity("app"));
  ASSERT_NE(binding, nullptr) << to_text(made);
  EXPECT_EQ(at(*binding, "principalId"), at(app, "properties.principalId"));
  EXPECT_EQ(at(*binding, "clientId"), at(app, "properties.clientId"));
  call("DELETE", identity("app"), {}, 200);
  const JsonObject again = make_identity("app");
  const JsonObject touched = call("PATCH", vm(), {{"tags", JsonObject{{"a", "b"}}}}, 200);
  EXPECT_EQ(at(*bound(touched, identity("app")), "principalId"), at(app, "properties.principalId"))
      << "the new one under the old name is not this machine's";
  const JsonObject renewed = patch_vm(assigned(identity("app")), 200);
  EXPECT_EQ(at(*bound(renewed, identity("app")), "principalId"), at(again, "properties.principalId"));
}

TEST_F(MachineIdentityTest, APatchAddsAndTakesAwayWhateverTheCaseOfTheId) {
  make_identity("one");
  make_identity("two");
  put_vm({{"type", "SystemAssigned, UserAssigned"},
          {"userAssignedIdentities", JsonObject{{identity("one"), JsonObject()}}}},
         201);
  JsonObject both = patch_vm({{"type", "SystemAssigned,UserAssigned"},
                              {"userAssignedIdentities", JsonObject{{identity("two"), JsonObject()}}}},
                             200);
  EXPECT_EQ(at(both, "identity.type"), "SystemAssigned, UserAssigned");
  EXPECT_NE(bound(both, identity("one")), nullptr);
  EXPECT_NE(bound(both, identity("two")), nullptr);
  const JsonObject one = patch_vm({{"userAssignedIdentities", JsonObject{{identity("ONE"), nullptr}}}}, 200);
  EXPECT_EQ(bound(one, identity("one")), nullptr) << to_text(one);
  EXPECT_NE(bound(one, identity("two")), nullptr);
  const std::string own = at(one, "identity.principalId");
  const JsonObject user = patch_vm({{"type", "UserAssigned"}}, 200);
  EXPECT_FALSE(principal(own)) << "the machine's own one is gone";
  EXPECT_NE(bound(user, identity("two")), nullptr);
  patch_vm({{"userAssignedIdentities", JsonObject{{identity("two"), nullptr}}}}, 400);
  const JsonObject system = patch_vm({{"type", "SystemAssigned"}}, 200);
  EXPECT_EQ(object_at(system, "identity.userAssignedIdentities"), nullptr);
}

TEST_F(MachineIdentityTest, AssigningTakesARightOnTheIdentityEachTimeItIsAnother) {
  make_identity("app");
  put_vm({{"type", "None"}}, 201);
  const std::string owner = token_;
  token_ = sign_in_with("without", {{kContributor, group()}});
  const JsonObject refused = patch_vm(assigned(identity("app")), 403);
  EXPECT_EQ(at(refused, "error.code"), "LinkedAuthorizationFailed");
  EXPECT_EQ(at(patch_vm(assigned(identity("absent")), 403), "error.code"), "LinkedAuthorizationFailed")
      << "what exists is not for everyone to know";
  token_ = sign_in_with("with", {{kContributor, group()}, {kOperator, identity("app")}});
  patch_vm(assigned(identity("app")), 200);
  token_ = sign_in_with("later", {{kContributor, group()}});
  patch_vm(assigned(identity("app")), 200);
  token_ = owner;
  call("DELETE", identity("app"), {}, 200);
  make_identity("app");
  token_ = sign_in_with("last", {{kContributor, group()}});
  patch_vm(assigned(identity("app")), 403);
}

}  // namespace
}  // namespace merlon::server
