// Programs of the machine in the place of the process of a connection.
#include "ssh/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>

namespace merlon::ssh {
namespace {

int status_of(const Program& program) {
  const Descriptor one(::open("/dev/null", O_RDONLY | O_CLOEXEC)), other(::dup(one.get()));
  const pid_t process = program.start(one, other);
  int status = -1;
  if (process < 0 || ::waitpid(process, &status, 0) != process) return -1;
  return WEXITSTATUS(status);
}

std::string bytes_of(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(Program, TheImageIsStartedInTheCommandsPlace) {
  EXPECT_EQ(status_of(Program({"/bin/false"}, bytes_of("/bin/true"))), 0);
  EXPECT_EQ(status_of(Program({"/bin/false"})), 1);
}

TEST(Program, WhereTheImageDoesNotStartTheCommandDoes) {
  EXPECT_EQ(status_of(Program({"/bin/true"}, "no program")), 0);
  EXPECT_EQ(status_of(Program({"/bin/true"}, "")), 0);
  EXPECT_EQ(status_of(Program({"/there/is/none"}, "")), -1);
}

}  // namespace
}  // namespace merlon::ssh
