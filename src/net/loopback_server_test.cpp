// The local server over real sockets: what it takes, what it refuses, and that a full door closes no other.
#include "net/loopback_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

namespace merlon::net {
namespace {

int connect_to(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }
  ::close(fd);
  return -1;
}

std::string ask_at(uint16_t port, const std::string& bytes) {
  const int fd = connect_to(port);
  if (fd < 0) return "refused";
  ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  std::string all;
  char part[4096];
  for (ssize_t size = 0; (size = ::recv(fd, part, sizeof part, 0)) > 0;)
    all.append(part, static_cast<size_t>(size));
  ::close(fd);
  return all;
}

std::string get(const std::string& target, const std::string& headers = {}) {
  return "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n";
}

class LoopbackServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LoopbackLimits limits;
    limits.connections_per_door_max = 4;
    limits.request_timeout = std::chrono::milliseconds(800);
    server_ = LoopbackServer::start(
        [](const Request& request, const Door& door) {
          Response response;
          response.body = request.method + " " + request.path + " at " + std::to_string(door.port) +
                          (door.meant && door.meant->second != door.port ? " redirected" : "") + " of " +
                          (door.user ? std::to_string(*door.user) : "nobody");
          return response;
        },
        limits);
  }
  std::unique_ptr<LoopbackServer> server_;
};

TEST_F(LoopbackServerTest, AnswersAtEachDoorAndTellsThemApart) {
  const uint16_t one = *server_->open(0);
  const uint16_t two = *server_->open(0);
  ASSERT_NE(one, two);
  EXPECT_THAT(ask_at(one, get("/a?b=c")), ::testing::HasSubstr("GET /a at " + std::to_string(one)));
  EXPECT_THAT(ask_at(two, get("/a")), ::testing::HasSubstr("GET /a at " + std::to_string(two)));
  EXPECT_THAT(ask_at(two, get("/a")), ::testing::HasSubstr("Connection: close"));
  EXPECT_EQ(server_->open(one).error().code, "AddressInUse");
  server_->close(one);
  for (int i = 0; i < 50 && ask_at(one, get("/")) != "refused"; ++i) ::usleep(10'000);
  EXPECT_EQ(ask_at(one, get("/")), "refused");
  EXPECT_THAT(ask_at(two, get("/")), ::testing::HasSubstr("200 OK"));
}

TEST_F(LoopbackServerTest, SaysWhoseSocketASenderHas) {
  const uint16_t port = *server_->open(0);
  EXPECT_THAT(ask_at(port, get("/")), ::testing::HasSubstr(" of " + std::to_string(::getuid())));
  // Another user's, where this test may become one.
  if (::getuid() != 0) return;
  const int fd = connect_to(port);
  ASSERT_EQ(::fchown(fd, 4711, 4711), 0);
  const std::string bytes = get("/");
  ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  std::array<char, 4096> part{};
  const ssize_t size = ::recv(fd, part.data(), part.size(), 0);
  ::close(fd);
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(part.data(), static_cast<size_t>(size)), ::testing::HasSubstr(" of 4711"));
}

// Many connections wait to be accepted when a door closes: the kernel would reset them.
TEST_F(LoopbackServerTest, WhoeverHasConnectedIsAnsweredThoughTheDoorCloses) {
  LoopbackLimits limits;
  limits.connections_per_door_max = 200;
  const auto server = LoopbackServer::start([](const Request&, const Door&) { return Response{}; }, limits);
  for (const auto linger : {std::chrono::milliseconds(0), std::chrono::milliseconds(50)}) {
    const uint16_t port = *server->open(0);
    std::vector<int> callers;
    for (int i = 0; i < 100; ++i) callers.push_back(connect_to(port));
    server->close(port, linger);
    for (const int caller : callers) {
      ASSERT_GE(caller, 0);
      const std::string bytes = get("/");
      EXPECT_EQ(::send(caller, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
      char part[64];
      const ssize_t size = ::recv(caller, part, sizeof part, 0);
      EXPECT_THAT(std::string(part, static_cast<size_t>(std::max<ssize_t>(size, 0))),
                  ::testing::HasSubstr("200 OK"));
      ::close(caller);
    }
    for (int i = 0; i < 500 && ask_at(port, get("/")) != "refused"; ++i) ::usleep(10'000);
    EXPECT_EQ(ask_at(port, get("/")), "refused");
  }
}

TEST_F(LoopbackServerTest, RefusesWhatIsNoPlainRequest) {
  const uint16_t port = *server_->open(0);
  EXPECT_THAT(ask_at(port, "GET / HTTP/1.1\r\n\r\n"), ::testing::HasSubstr(" 400 ")) << "no Host";
  EXPECT_THAT(ask_at(port, get("/", "Content-Length: 3\r\n")), ::testing::HasSubstr(" 413 "));
  EXPECT_THAT(ask_at(port, get("/") + get("/second")), ::testing::HasSubstr(" 400 "));
  EXPECT_THAT(ask_at(port, get("/../x")), ::testing::HasSubstr(" 400 "));
  EXPECT_THAT(ask_at(port, get("http://127.0.0.1/")), ::testing::HasSubstr(" 400 "));
  EXPECT_THAT(ask_at(port, get("/", "X: " + std::string(20'000, 'x') + "\r\n")),
              ::testing::HasSubstr(" 431 "));
  EXPECT_THAT(ask_at(port, get("/", "Host: other\r\n")), ::testing::HasSubstr(" 400 ")) << "two of them";
}

TEST_F(LoopbackServerTest, WhoeverFillsADoorKeepsNobodyFromAnother) {
  const uint16_t full = *server_->open(0);
  const uint16_t other = *server_->open(0);
  std::vector<int> silent;
  for (int i = 0; i < 12; ++i) silent.push_back(connect_to(full));
  EXPECT_THAT(ask_at(other, get("/")), ::testing::HasSubstr("200 OK"));
  for (const int fd : silent) {  // and the silent ones are sent away
    char byte = 0;
    EXPECT_LE(::recv(fd, &byte, 1, 0), 0);
    ::close(fd);
  }
  EXPECT_THAT(ask_at(full, get("/")), ::testing::HasSubstr("200 OK"));
}

}  // namespace
}  // namespace merlon::net
