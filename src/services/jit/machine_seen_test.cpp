// What an agent that has nothing to say costs: a small row now and then, and never its machine's record.
#include <gmock/gmock.h>

#include "machine/seen.h"
#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using std::chrono::seconds;

class MachineSeenTest : public JitFixture {
 protected:
  std::optional<machine::Machine> machine() {
    return must(store::read_value<std::optional<machine::Machine>>(
        world_.store(), [&](store::Reader& reader) { return machines_->by_resource(reader, web_.vm); }));
  }
  std::string record() {
    return must(
        store::read_value<std::string>(world_.store(), [&](store::Reader& reader) -> Result<std::string> {
          return TRY(reader.get(machine::Machine::table(), core().tenant, machine()->key()))->body;
        }));
  }
};

TEST_F(MachineSeenTest, AContactWithoutNewsLeavesTheRecordAlone) {
  sync(web_);
  const std::string before = record();
  const Timestamp first = *machine()->last_seen;
  EXPECT_EQ(first, clock_.now());
  clock_.advance(seconds(30));
  sync(web_);
  machines_->tick();
  EXPECT_EQ(machine()->last_seen, first) << "not yet written";
  clock_.advance(seconds(15));
  machines_->tick();
  EXPECT_EQ(machine()->last_seen, first + seconds(30));
  clock_.advance(seconds(100));
  sync(web_);
  EXPECT_EQ(machine()->last_seen, clock_.now()) << "where nobody ticked for so long, at once";
  EXPECT_EQ(record(), before);
}

TEST_F(MachineSeenTest, ARestartForgetsNothingThatWasWritten) {
  sync(web_);
  const auto seen = machine()->last_seen;
  start();
  EXPECT_EQ(machine()->last_seen, seen);
  const JsonObject shown = call(owner_, "GET", kRg + "/providers/Merlon.Machines/machines/web-1", {}, 200);
  EXPECT_EQ(string_at(shown, "properties.status"), "Connected");
  EXPECT_EQ(string_at(shown, "properties.lastSeen"), to_rfc3339(*seen));
}

}  // namespace
}  // namespace merlon::jit
