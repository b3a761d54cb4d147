// A session that says more than may be recorded in the time is slowed down; nothing of it is lost, and it
// still ends when it is told to.
#include <thread>

#include "ssh/edge_fixture.h"

namespace merlon::ssh {
namespace {

using test::Ran;
using testing::HasSubstr;

class PaceTest : public test::EdgeFixture {
 protected:
  size_t recorded_bytes() {
    const std::lock_guard lock(recorded_.mutex);
    return recorded_.output.size();
  }
};

TEST_F(PaceTest, ASessionIsAsSlowAsItsRecordingAndAllOfItIsThere) {
  constexpr size_t kBytes = 3'000'000;
  const Duration began = clock_.boottime();
  // A megabyte in a second.
  wishes_.pace = [this, began] {
    const auto due = Duration(static_cast<int64_t>(recorded_bytes() / 1000));
    return std::max(Duration(0), began + due - clock_.boottime());
  };
  const Ran ran = ssh({}, {"head -c " + std::to_string(kBytes) + " /dev/zero"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out.size(), kBytes);
  EXPECT_GE(clock_.boottime() - began, std::chrono::milliseconds(2500))
      << "what is in the pipes may be ahead";
  wait_until_ended();
  EXPECT_EQ(recorded_bytes(), kBytes);
}

TEST_F(PaceTest, WhoIsNotReadFromEndsAllTheSame) {
  test::FakePassage::tells().clear();
  wishes_.pace = [this] { return recorded_bytes() > 0 ? std::chrono::hours(1) : std::chrono::hours(0); };
  std::thread later([this] {
    for (int i = 0; i < 300 && recorded_bytes() == 0; ++i) ::usleep(50'000);
    ::usleep(500'000);
    test::FakePassage::tells().back()({true, "DeadlinePassed", "the time is over."});
  });
  const Ran ran = ssh({}, {"yes"});
  later.join();
  EXPECT_EQ(ran.status, 254);
  EXPECT_THAT(ran.out.substr(ran.out.size() - std::min<size_t>(ran.out.size(), 1000)),
              HasSubstr("the time is over."));
  wait_until_ended();
  EXPECT_THAT(recorded_.ended, testing::ElementsAre("DeadlinePassed"));
}

}  // namespace
}  // namespace merlon::ssh
