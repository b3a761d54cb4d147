// The model against an evaluator that reads Azure's JSON word by word and knows nothing of how Merlon
// compiles it: two thousand random rule sets, with tags, application security groups, lists, two layers and
// both families, and the flows that lie at their edges.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "base/text.h"
#include "services/network/compiled.h"
#include "services/network/test_world.h"

namespace merlon::network {
namespace {

TEST(Model, AgreesWithAnObviousEvaluatorOnAzuresJson) {
  size_t allowed = 0;
  size_t denied = 0;
  for (uint32_t seed = 1; seed <= 1000; ++seed) {
    test::RandomWorld world(seed);
    const test::World facts = world.facts();
    CompiledInterface compiled;
    compiled.link.nic_text = "nic";
    compiled.link.addresses = {*IpAddress::parse("10.1.0.4"), *IpAddress::parse("fd00:1::4")};
    compiled.primary = true;
    std::vector<test::Layer> layers;
    const Meanings meanings = test::meanings_of(facts);
    for (const char* name : {"subnet", "nic"}) {
      if (world.chance(10)) continue;  // no group at this level
      const JsonArray rules = world.rules();
      SecurityGroup group;
      group.id = name;
      group.base_rules = rules;
      const auto read = read_group(group);
      ASSERT_TRUE(read.has_value()) << read.error().message << to_text(rules);
      CompiledLayer layer = compile_layer(*read, meanings);
      layer.group_id = name;
      compiled.layers.push_back(std::move(layer));
      layers.push_back({name, rules});
    }
    machine::DesiredState state;
    state.interfaces = {policy_of(compiled)};
    for (int i = 0; i < 30; ++i) {
      const machine::Flow flow = world.flow();
      const machine::Verdict model = machine::judge(state, flow, Timestamp{});
      const test::Decision obvious = test::decide(facts, layers, flow);
      ASSERT_EQ(model.access == machine::Access::allow, obvious.allowed)
          << "seed " << seed << ": " << test::text_of(flow) << "\nmodel: " << model.layer << " " << model.rule
          << "\nobvious: " << obvious.layer << " " << obvious.rule;
      ASSERT_EQ(model.layer, obvious.layer) << "seed " << seed << ": " << test::text_of(flow);
      ASSERT_EQ(model.rule, obvious.rule) << "seed " << seed << ": " << test::text_of(flow);
      ++(obvious.allowed ? allowed : denied);
    }
  }
  // A generator that only ever hits the last rule would prove nothing.
  EXPECT_GT(allowed, 5'000U);
  EXPECT_GT(denied, 5'000U);
}

}  // namespace
}  // namespace merlon::network
