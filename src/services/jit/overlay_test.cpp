// What an opening changes in security groups: its own rules, and nothing else that anybody has to read or
// write.
#include <gmock/gmock.h>

#include <random>

#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class OverlayTest : public JitFixture {
 protected:
  std::string etag_of(const std::string& group) {
    return string_at(call(owner_, "GET", nsg_path(group), {}, 200), "etag").value_or("");
  }
  machine::DesiredState state_of_machine(const Enrolled& who) { return *sync(who).state; }
  static std::string filter_of(machine::DesiredState state) {
    state.version = {};
    state.openings.clear();
    return to_text(state.to_json());
  }
  void put_rule(const std::string& name, int priority) {
    call(owner_, "PUT", nsg_path() + "/securityRules/" + name,
         {{"properties", JsonObject{{"protocol", "Tcp"},
                                    {"sourcePortRange", "*"},
                                    {"destinationPortRange", "443"},
                                    {"sourceAddressPrefix", "192.0.2.0/24"},
                                    {"destinationAddressPrefix", "*"},
                                    {"access", "Allow"},
                                    {"priority", priority},
                                    {"direction", "Inbound"}}}},
         201);
  }
};

// The rules that come and go one by one are those that a whole reckoning makes: a policy that is written anew
// leaves every group exactly as it was.
TEST_F(OverlayTest, OneByOneIsTheSameAsAllAtOnce) {
  const Enrolled second = enrol("web-2", "10.7.0.5", "");
  JsonObject policy = {
      {"kind", "Basic"},
      {"properties",
       JsonObject{
           {"virtualMachines",
            JsonArray{JsonObject{{"id", web_.vm}, {"ports", JsonArray{port_policy(22), port_policy(80)}}},
                      JsonObject{{"id", second.vm}, {"ports", JsonArray{port_policy(22)}}}}}}}};
  call(owner_, "PUT", kDefaultPolicy, policy, 200);
  std::mt19937 generator(37);
  const auto below = [&](unsigned limit) { return static_cast<unsigned>(generator() % limit); };
  for (int step = 0; step < 30; ++step) {
    if (below(3) == 0 && !openings().empty()) {
      const auto open = openings();
      const std::string id = string_at(open[below(static_cast<unsigned>(open.size()))], "name").value_or("");
      ASSERT_EQ(send(ada_, "POST", opening_path(id) + "/revoke").status, 200);
    } else if (below(8) == 0) {
      pass(std::chrono::minutes(7));
    } else {
      const bool first = below(2) == 0;
      const JsonObject port = {{"number", first && below(2) == 0 ? 80 : 22},
                               {"duration", "PT" + std::to_string(5 + below(20)) + "M"},
                               {"allowedSourceAddressPrefix", "192.0.2." + std::to_string(below(6))}};
      ASSERT_EQ(
          send(ada_, "POST", kDefaultPolicy + "/initiate", request_for(first ? web_.vm : second.vm, port))
              .status,
          202);
    }
    const std::string before = etag_of("web-1-nsg") + etag_of("web-2-nsg");
    call(owner_, "PUT", kDefaultPolicy, policy, 200);
    ASSERT_EQ(etag_of("web-1-nsg") + etag_of("web-2-nsg"), before) << "step " << step;
    // One for each: the first machine's IPv6 address is not for IPv4 sources.
    ASSERT_EQ(allows("web-1-nsg") + allows("web-2-nsg"), openings().size());
  }
}

TEST_F(OverlayTest, WhatIsOpenIsNoPartOfAMachinesFilter) {
  put_rule("web", 100);
  const std::string before = filter_of(state_of_machine(web_));
  ASSERT_EQ(initiate(ada_).status, 202);
  EXPECT_THAT(told(web_), SizeIs(1));
  int64_t shown = 0;
  for (const JsonObject& rule : rules())
    if (string_at(rule, "name") == "web") shown = int_at(rule, "properties.priority").value_or(0);
  EXPECT_EQ(shown, 101) << "people see it shifted";
  EXPECT_EQ(filter_of(state_of_machine(web_)), before) << "a machine would write all its rules anew";
  // Nor is it when the filter is made anew meanwhile.
  put_rule("more", 200);
  const std::string more = filter_of(state_of_machine(web_));
  EXPECT_NE(more, before);
  pass(std::chrono::hours(1));
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_EQ(filter_of(state_of_machine(web_)), more);
}

TEST_F(OverlayTest, OtherMachinesOfThePolicyAreLeftAlone) {
  const Enrolled second = enrol("web-2", "10.7.0.5", "");
  call(owner_, "PUT", kDefaultPolicy,
       {{"kind", "Basic"},
        {"properties",
         JsonObject{{"virtualMachines",
                     JsonArray{JsonObject{{"id", web_.vm}, {"ports", JsonArray{port_policy(22)}}},
                               JsonObject{{"id", second.vm}, {"ports", JsonArray{port_policy(22)}}}}}}}},
       200);
  const auto row_of = [&](const std::string& group) {
    return must(
        store::read_value<std::string>(world_.store(), [&](store::Reader& reader) -> Result<std::string> {
          const auto id = TRY(resource::ResourceId::parse(nsg_path(group)));
          for (const store::TableSpec& table : resource::tables())
            if (table.name == "resource_changes")
              if (const auto row = TRY(reader.get(table, core().tenant, id.key()))) return row->body;
          return internal_error("no record of changes");
        }));
  };
  const std::string first = row_of("web-1-nsg");
  const std::string other = row_of("web-2-nsg");
  const auto version = state_of_machine(second).version;
  clock_.advance(std::chrono::minutes(1));
  ASSERT_EQ(initiate(ada_).status, 202);
  EXPECT_NE(row_of("web-1-nsg"), first);
  EXPECT_EQ(row_of("web-2-nsg"), other);
  pass(std::chrono::hours(1));
  EXPECT_EQ(row_of("web-2-nsg"), other) << "nor at the end";
  EXPECT_EQ(state_of_machine(second).version, version);
}

}  // namespace
}  // namespace merlon::jit
