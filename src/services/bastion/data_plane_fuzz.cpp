// Whatever somebody who has not signed in sends to a bastion's name: tokens asked for, redeemed and deleted,
// links opened, files and hosts asked for. Nobody is given anything, and nothing of it is a fault of the
// server's.
//
// An input is "METHOD target", a line's end, and a body; the method UPGRADE asks for a WebSocket.
#include <cstddef>
#include <cstdint>

#include "services/bastion/bastion_fixture.h"

namespace {

using namespace merlon;

class Plane final : public bastion::BastionFixture {
 public:
  Plane() {
    make_setting("Standard");
    host_ = string_at(call(owner_, "GET", bastion::kHostId, {}, 200), "properties.dnsName").value_or("");
  }
  void TestBody() override {}

  void ask(std::string_view input) {
    const size_t line = input.find('\n');
    const std::string_view head = input.substr(0, line);
    const size_t space = head.find(' ');
    if (line == std::string_view::npos || space == std::string_view::npos) return;
    const auto target = net::parse_target(head.substr(space + 1));
    if (!target) return;
    net::Request request;
    request.method = head.substr(0, space);
    request.target = head.substr(space + 1);
    request.path = target->path;
    request.segments = target->segments;
    request.query = target->query;
    request.host = host_;
    request.request_id = "00000000-0000-4000-8000-000000000001";
    request.peer = *IpAddress::parse("198.51.100.7");
    request.body = input.substr(line + 1);
    request.headers.set("Content-Type", "application/json");
    MERLON_CHECK(bastion_->handles(request));
    if (request.method != "UPGRADE") return check(bastion_->handle(request));
    const auto plan = bastion_->upgrade(request);
    MERLON_CHECK(!plan.has_value());
    check(plan.error());
  }

 private:
  static void check(const net::Response& response) {
    MERLON_CHECK(response.status >= 400 && response.status < 500);
  }
  std::string host_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Plane plane;
  if (size <= 16 * 1024) plane.ask(as_text({data, size}));
  return 0;
}
