// What a session's process may write to the server, cut anywhere: never more than one question at a time is
// taken, and nothing that was not admitted is recorded.
#include <sys/socket.h>

#include <array>
#include <cstdlib>

#include "ssh/edge_connection.h"
#include "ssh/sftp_watch.h"

using namespace merlon;

namespace {

class NobodysDesk final : public ssh::Desk {
 public:
  Result<std::unique_ptr<ssh::Person>> by_key(ByteView, const ssh::Source&) override { return nobody(); }
  Result<ssh::DeviceCode> start_device(const ssh::Source&) override {
    return ssh::DeviceCode{"https://merlon/devicelogin", "ABCD", Secret(std::string_view("s"))};
  }
  Result<std::unique_ptr<ssh::Person>> poll_device(const ssh::DeviceCode&, const ssh::Source&) override {
    return std::unique_ptr<ssh::Person>();
  }
  // Nobody has signed in here, so nobody may come this far.
  Result<std::unique_ptr<ssh::Passage>> admit(const ssh::Person&, const ssh::Destination&,
                                              const ssh::Source&) override {
    std::abort();
  }
  Secret host_key() override { return Secret(std::string_view("key")); }

 private:
  static std::unexpected<Error> nobody() { return fail(ErrorKind::unauthenticated, "No", "Nobody."); }
};

void follow_files(std::string_view bytes) {
  ssh::SftpWatch watch({.upload = false, .download = false}, [](JsonObject) {});
  std::string answer;
  const size_t half = bytes.size() / 2;
  watch.from_person(bytes.substr(0, half), answer);
  watch.from_machine(bytes.substr(half));
  watch.from_person(bytes.substr(half), answer);
  watch.ended();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = as_text({data, size});
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) return 0;
  const ssh::Descriptor process(pair[1]);
  NobodysDesk desk;
  const SystemClock clock;
  const ssh::EdgeLimits limits;
  const ssh::Program program(std::vector<std::string>{});  // nothing is started here
  ssh::EdgeContext context{.desk = desk,
                           .clock = clock,
                           .limits = limits,
                           .program = program,
                           .work =
                               [](const std::function<void()>& work) {
                                 work();
                                 return true;
                               },
                           .post = [](const std::function<void()>& what) { what(); },
                           .failed = [](const ssh::Source&) {},
                           .will_write = [](int) {}};
  const auto connection =
      std::make_shared<ssh::EdgeConnection>(context, ssh::Descriptor(pair[0]), ssh::Source{}, 0);
  const size_t cut = size / 3;
  if (connection->take(bytes.substr(0, cut))) connection->take(bytes.substr(cut));
  if (connection->is_known()) std::abort();
  connection->close("ClientClosed");
  follow_files(bytes);
  return 0;
}
