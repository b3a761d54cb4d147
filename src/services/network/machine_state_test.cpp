// What no agent would take of its desired state is refused where somebody is told; and one machine whose
// record cannot be read keeps nobody from the others.
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

class MachineState : public NetworkFixture {
 protected:
  machine::Machine known(const resource::ResourceId& vm) {
    return *must(store::read_value<std::optional<machine::Machine>>(
        *store_, [&](store::Reader& reader) { return machines_->by_resource(reader, vm.text()); }));
  }
  size_t count() {
    return must(store::read_value<std::vector<machine::Machine>>(
                    *store_, [&](store::Reader& reader) { return machines_->all(reader); }))
        .size();
  }
  std::string code_of(const std::function<Result<void>(store::Transaction&)>& change) {
    const auto done = store_->write(change);
    return done ? "" : done.error().code;
  }
};

TEST_F(MachineState, MoreAddressesThanAnAgentTakesAreRefusedAndTheMachineStaysReadable) {
  const auto vm = enrol("victim", "10.9.0.5");
  const std::string nic = kProvider + "networkInterfaces/victim-nic";
  JsonObject body = get(nic).body;
  JsonArray& configurations = body["properties"].as_object()["ipConfigurations"].as_array();
  const std::string subnet =
      string_at(configurations.front().as_object(), "properties.subnet.id").value_or("");
  for (int i = 0; configurations.size() < 257; ++i)
    configurations.push_back(JsonObject{{"name", "c" + std::to_string(i)},
                                        {"properties", JsonObject{{"subnet", JsonObject{{"id", subnet}}}}}});
  const Answer answer =
      put(nic, to_text(JsonObject{{"location", "local"}, {"properties", body["properties"]}}));
  EXPECT_EQ(answer.status, 400) << answer.text;
  EXPECT_EQ(known(vm).desired.interfaces.front().addresses.size(), 1U);

  const Uuid id = known(vm).id;
  std::vector<machine::InterfacePolicy> policies = known(vm).desired.interfaces;
  policies.front().addresses.assign(257, *IpAddress::parse("10.9.0.5"));
  EXPECT_EQ(code_of([&](store::Transaction& tx) { return machines_->set_interfaces(tx, id, policies); }),
            "MachineStateTooLarge");
  machine::FilterRule rule;
  rule.name = "wide";
  rule.sources.assign(20'000, *IpPrefix::parse("2001:db8:1111:2222:3333:4444:5555:6666/127"));
  policies.front().addresses.resize(1);
  policies.front().inbound_layers = {{"group", std::vector<machine::FilterRule>(8, rule), {}}};
  EXPECT_EQ(code_of([&](store::Transaction& tx) { return machines_->set_interfaces(tx, id, policies); }),
            "MachineStateTooLarge")
      << "more than goes in an answer";
  machine::IdentityEndpoint endpoint;
  endpoint.identities = {
      {.client_id = "client", .principal_id = "principal", .resource_id = "/id", .own = true}};
  endpoint.has_rules = true;
  endpoint.rules = {{.name = std::string(129, 'n'), .users = {}, .units = {}, .client_ids = {}}};
  EXPECT_EQ(
      code_of([&](store::Transaction& tx) { return machines_->set_identity_endpoint(tx, id, endpoint); }),
      "MachineStateTooLarge");
  endpoint.rules.front().name.pop_back();
  EXPECT_EQ(
      code_of([&](store::Transaction& tx) { return machines_->set_identity_endpoint(tx, id, endpoint); }),
      "");
  EXPECT_EQ(known(vm).desired.identity.rules.size(), 1U);
}

TEST_F(MachineState, OneRecordThatCannotBeReadHidesNoOther) {
  const auto broken = enrol("broken", "10.9.0.5");
  enrol("other", "10.9.0.6");
  const machine::Machine machine = known(broken);
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) {
    return tx.put(machine::Machine::table(), tenant_, {machine.key(), "{}", machine.index_values()});
  }));
  EXPECT_EQ(count(), 1U);
  const Answer list = get(kGroup + "/providers/Merlon.Machines/machines");
  EXPECT_EQ(list.status, 200) << list.text;
  EXPECT_EQ(array_at(list.body, "value")->size(), 1U);
  const auto restored = store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(machines_->start_new_epoch(tx));
    return {};
  });
  EXPECT_TRUE(restored) << restored.error().message;
}

}  // namespace
}  // namespace merlon::network
