// What goes wrong around an opening: policies, groups, machines and security groups that change or go under
// it.
#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using std::chrono::minutes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class JitFaultsTest : public JitFixture {
 protected:
  // A machine with two interfaces, each with a security group of its own: two-1-nsg and other-nsg.
  Enrolled with_two_groups() {
    const Enrolled two = enrol("two-1", "10.7.0.20", "", "10.8.0.20");
    call(owner_, "PUT", nsg_path("other-nsg"), {{"location", "local"}, {"properties", JsonObject()}}, 201);
    guard_second_interface("other-nsg");
    return two;
  }
  void guard_second_interface(const std::string& group) {
    const std::string path = kRg + "/providers/Microsoft.Network/networkInterfaces/two-1-eth1";
    JsonObject nic = call(owner_, "GET", path, {}, 200);
    nic["properties"].as_object()["networkSecurityGroup"] = JsonObject{{"id", nsg_path(group)}};
    call(owner_, "PUT", path, nic, 200);
  }
  static JsonObject rule(const std::string& name, int64_t priority, const std::string& port = "443") {
    return {{"name", name},
            {"properties", JsonObject{{"protocol", "Tcp"},
                                      {"sourcePortRange", "*"},
                                      {"destinationPortRange", port},
                                      {"sourceAddressPrefix", "*"},
                                      {"destinationAddressPrefix", "*"},
                                      {"access", "Allow"},
                                      {"priority", priority},
                                      {"direction", "Inbound"}}}};
  }
  std::vector<std::string> reasons() {
    std::vector<std::string> all;
    for (const auto& entry : world_.entries("Merlon.Jit/openings/close/action"))
      all.push_back(string_at(entry.details, "reason").value_or(""));
    return all;
  }
};

TEST_F(JitFaultsTest, ADeletedPolicyTakesItsOpeningsAlong) {
  ASSERT_EQ(initiate(ada_).status, 202);
  call(owner_, "DELETE", kDefaultPolicy, {}, 200);
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_THAT(rules(), IsEmpty());
  EXPECT_THAT(reasons(), ElementsAre("PolicyDeleted"));
  pass(std::chrono::hours(1));
  EXPECT_EQ(initiate(ada_).status, 404);
}

TEST_F(JitFaultsTest, WhoIsDisabledOrRemovedKeepsNoDoor) {
  const auto look = [&] {
    clock_.advance(std::chrono::seconds(2));
    must(jit_->tick({}));
  };
  const size_t closed = rules().size();
  ASSERT_EQ(initiate(ada_).status, 202);
  look();
  EXPECT_THAT(told(web_), SizeIs(1)) << "she is there";
  EXPECT_EQ(rules().size(), closed + 1);
  set_enabled(ada_, false);
  look();
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_EQ(rules().size(), closed);
  EXPECT_THAT(reasons(), ElementsAre("HolderGone"));
  set_enabled(ada_, true);
  look();
  EXPECT_THAT(told(web_), IsEmpty()) << "nothing comes back";
  ASSERT_EQ(initiate(owner_).status, 202);
  must(world_.store().write(
      [&](store::Transaction& tx) { return core().directory.erase_user(tx, owner_.id); }));
  look();
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_THAT(reasons(), ElementsAre("HolderGone", "HolderGone"));
}

TEST_F(JitFaultsTest, AMachineThatLeavesThePolicyIsClosed) {
  const Enrolled db = enrol("db-1", "10.7.0.9", "fd07::9");
  JsonObject both = policy_of(web_.vm, {port_policy(22)});
  both["properties"].as_object()["virtualMachines"].as_array().push_back(
      JsonObject{{"id", db.vm}, {"ports", JsonArray{port_policy(22)}}});
  call(owner_, "PUT", kDefaultPolicy, both, 200);
  ASSERT_EQ(initiate(ada_).status, 202);
  ASSERT_EQ(send(ada_, "POST", kDefaultPolicy + "/initiate", request_for(db.vm, {})).status, 202);
  call(owner_, "PUT", kDefaultPolicy, policy_of(db.vm, {port_policy(22)}), 200);
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_THAT(told(db), SizeIs(1)) << "the other stays";
  EXPECT_THAT(rules(), IsEmpty());
  EXPECT_THAT(rules("db-1-nsg"), SizeIs(3));
  EXPECT_THAT(reasons(), ElementsAre("PolicyChanged"));
}

TEST_F(JitFaultsTest, AGroupThatIsReplacedDuringAnOpeningKeepsIt) {
  JsonObject seen = call(owner_, "GET", nsg_path(), {}, 200);  // before the opening
  ASSERT_EQ(initiate(ada_).status, 202);
  seen["properties"].as_object()["securityRules"].as_array().push_back(rule("web", 500));
  const std::string etag = string_at(seen, "etag").value_or("");
  EXPECT_EQ(send(owner_, "PUT", nsg_path(), seen, {{"If-Match", etag}}).status, 412)
      << "who names the view they read is told that it has changed";
  EXPECT_THAT(told(web_), SizeIs(1));
  JsonObject now = call(owner_, "GET", nsg_path(), {}, 200);
  now["properties"].as_object()["securityRules"].as_array().push_back(rule("web", 500));
  call(owner_, "PUT", nsg_path(), now, 200);
  EXPECT_THAT(told(web_), SizeIs(1));
  EXPECT_EQ(allows(), 1U);
  pass(minutes(30));
  EXPECT_THAT(rules(), SizeIs(3)) << "two denials and the person's own rule";
  call(owner_, "PUT", nsg_path(), now, 200);
  EXPECT_EQ(allows(), 0U) << "a stale copy opens nothing";
  EXPECT_THAT(told(web_), IsEmpty());
}

TEST_F(JitFaultsTest, AnAllowRuleCannotBeProlongedByHand) {
  ASSERT_EQ(initiate(ada_).status, 202);
  JsonObject seen = call(owner_, "GET", nsg_path(), {}, 200);
  for (Json& element : seen["properties"].as_object()["securityRules"].as_array()) {
    JsonObject& properties = element.as_object()["properties"].as_object();
    if (string_at(properties, "access") == "Allow") properties["sourceAddressPrefix"] = "*";
  }
  EXPECT_EQ(send(owner_, "PUT", nsg_path(), seen).code(), "JitRuleCannotBeModified");
  EXPECT_EQ(told(web_).front().source.text(), ada_.address);
}

TEST_F(JitFaultsTest, ADeletedResourceGroupLeavesNothingBehind) {
  const std::string group = kScope + "/resourceGroups/rg2";
  const std::string policy =
      group + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
  const std::string options = policy + "/providers/Merlon.Jit/options/default";
  const auto make = [&] {
    const std::string vm = describe(group, "box-1");
    call(owner_, "PUT", policy, policy_of(vm, {port_policy(22)}), 200);
    return vm;
  };
  const std::string vm = make();
  call(owner_, "POST", policy + "/initiate", request_for(vm, {}), 202);
  call(owner_, "PUT", options, {{"properties", JsonObject{{"approval", JsonObject{{"required", 1}}}}}}, 200);
  call(owner_, "POST", policy + "/initiate", request_for(vm, {{"allowedSourceAddressPrefix", "192.0.2.1"}}),
       202);
  call(owner_, "DELETE", group, {}, 202);
  const auto left = must(store::read_value<size_t>(world_.store(), [&](auto& reader) -> Result<size_t> {
    return TRY(grants_->active(reader, "jit")).size() + TRY(grants_->active(reader, "jit-request")).size();
  }));
  EXPECT_EQ(left, 0U);
  pass(std::chrono::hours(2));
  make();
  EXPECT_TRUE(object_at(call(owner_, "GET", options, {}, 200), "properties")->empty());
  EXPECT_THAT(*array_at(call(owner_, "GET", policy, {}, 200), "properties.requests"), IsEmpty());
  EXPECT_THAT(list(owner_, "openings", group), IsEmpty());
}

TEST_F(JitFaultsTest, ADeletedMachineEndsItsOpeningsAndRequests) {
  ASSERT_EQ(initiate(ada_).status, 202);
  need_approvals();
  const std::string waiting = ask(ada_, {{"allowedSourceAddressPrefix", "192.0.2.1"}});
  call(owner_, "DELETE", kRg + "/providers/Merlon.Machines/machines/web-1", {}, 200);
  EXPECT_THAT(reasons(), ElementsAre("MachineRemoved"));
  EXPECT_EQ(state_of(waiting), "Canceled/MachineRemoved");
  const Answer again = initiate(ada_);
  EXPECT_EQ(again.status, 404);
  EXPECT_THAT(again.message(), HasSubstr("does not exist any more"));
}

TEST_F(JitFaultsTest, TwoInterfacesAndTwoGroups) {
  const Enrolled two = with_two_groups();
  JsonObject policy = policy_of(two.vm, {port_policy(22)});
  call(owner_, "PUT", kDefaultPolicy, policy, 200);
  EXPECT_THAT(rules("two-1-nsg"), SizeIs(1));
  EXPECT_THAT(rules("other-nsg"), SizeIs(1));
  ASSERT_EQ(send(ada_, "POST", kDefaultPolicy + "/initiate", request_for(two.vm, {})).status, 202);
  EXPECT_EQ(allows("two-1-nsg"), 1U);
  EXPECT_EQ(allows("other-nsg"), 1U);
  EXPECT_THAT(told(two), SizeIs(2)) << "one for each address";
  // The second moves back into the first group while it is open.
  guard_second_interface("two-1-nsg");
  EXPECT_THAT(rules("other-nsg"), IsEmpty());
  EXPECT_EQ(allows("two-1-nsg"), 2U);
  EXPECT_THAT(told(two), SizeIs(2));
  pass(minutes(30));
  EXPECT_EQ(allows("two-1-nsg"), 0U);
  EXPECT_THAT(told(two), IsEmpty());
}

TEST_F(JitFaultsTest, InAFullGroupNothingOpensAndThatIsSaid) {
  // A thousand rules at most: another owner's openings are 998 of them, the policy's own denials two.
  const auto nsg = must(resource::ResourceId::parse(nsg_path()));
  std::vector<network::OverlayRule> others;
  for (int i = 1; i <= 998; ++i) {
    network::OverlayRule rule;
    rule.id = std::to_string(i);
    rule.access = machine::Access::allow;
    rule.name = "SecurityCenter-JITRule-" + rule.id;
    rule.sources = {"192.0.2.1"};
    rule.destination = *IpAddress::parse("10.7.0.200");
    rule.port = static_cast<uint16_t>(i);
    others.push_back(std::move(rule));
  }
  must(world_.store().write([&](store::Transaction& tx) {
    return world_.manager().as_system(tx, "test", [&](resource::WriteContext& context) {
      return network_->set_overlay(context, nsg, "test", others);
    });
  }));
  const Answer refused = initiate(ada_);
  EXPECT_GE(refused.status, 400);
  EXPECT_EQ(refused.code(), "SecurityRulesLimitExceeded");
  EXPECT_THAT(refused.message(), HasSubstr("at most 1000 rules"));
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_THAT(openings(), IsEmpty());
  EXPECT_THAT(history(), IsEmpty());
  EXPECT_THAT(world_.entries("Merlon.Jit/openings/open/action"), IsEmpty());
  EXPECT_EQ(
      world_.entries("Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action").back().decision,
      ledger::Decision::failed);
}

TEST_F(JitFaultsTest, TooManyOpeningsOnOneMachineAreRefusedBeforeTheMachineWould) {
  // Neither group has more addresses than a group may; the machine would have an opening for each, twice.
  const Enrolled two = with_two_groups();
  JsonArray sources;
  for (int i = 0; i < 64; ++i) sources.emplace_back("192.0.2." + std::to_string(i));
  JsonArray ports;
  for (int number = 1; number <= 35; ++number) ports.push_back(port_policy(number));
  call(owner_, "PUT", kDefaultPolicy, policy_of(two.vm, ports), 200);
  JsonArray wanted;
  for (int number = 1; number <= 35; ++number)
    wanted.push_back(
        JsonObject{{"number", number}, {"duration", "PT1H"}, {"allowedSourceAddressPrefixes", sources}});
  const Answer refused =
      send(ada_, "POST", kDefaultPolicy + "/initiate",
           {{"virtualMachines", JsonArray{JsonObject{{"id", two.vm}, {"ports", std::move(wanted)}}}}});
  EXPECT_EQ(refused.status, 409) << to_text(refused.body);
  EXPECT_EQ(refused.code(), "JitTooManyOpenings");
  EXPECT_THAT(told(two), IsEmpty());
}

TEST_F(JitFaultsTest, AStoppedServerForgetsNothing) {
  ASSERT_EQ(initiate(ada_, {{"duration", "PT10M"}}).status, 202);
  ASSERT_EQ(initiate(ada_, {{"duration", "PT2H"}, {"allowedSourceAddressPrefix", "192.0.2.1"}}).status, 202);
  start();
  EXPECT_THAT(told(web_), SizeIs(2));
  clock_.advance(minutes(30));
  start();
  tick();
  EXPECT_THAT(told(web_), SizeIs(1));
  EXPECT_THAT(history(), ElementsAre("Revoked Expired", "Initiated UserRequested"));
}

}  // namespace
}  // namespace merlon::jit
