// Sessions that show nothing: what is sent where nothing echoes it, and what a client does not take.
#include "ssh/edge_fixture.h"
#include "ssh/libssh_handles.h"

namespace merlon::ssh {
namespace {

using testing::HasSubstr;
using testing::Not;

class UnseenTest : public test::EdgeFixture {
 protected:
  // A client of libssh's that has signed in.
  SessionHandle sign_in() {
    SessionHandle client(ssh_new());
    const int no = 0;
    const unsigned port = static_cast<unsigned>(std::stoul(port_));
    ssh_options_set(client.get(), SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(client.get(), SSH_OPTIONS_HOST, "127.0.0.1");
    ssh_options_set(client.get(), SSH_OPTIONS_PORT, &port);
    ssh_options_set(client.get(), SSH_OPTIONS_USER, (std::string(user_) + "+web-1").c_str());
    EXPECT_EQ(ssh_connect(client.get()), SSH_OK) << ssh_get_error(client.get());
    ssh_key read_key = nullptr;
    EXPECT_EQ(ssh_pki_import_privkey_file((directory_ + "/id").c_str(), nullptr, nullptr, nullptr, &read_key),
              SSH_OK);
    const KeyHandle key(read_key);
    EXPECT_EQ(ssh_userauth_publickey(client.get(), nullptr, key.get()), SSH_AUTH_SUCCESS);
    return client;
  }
  bool is_recorded(const std::string& text) {
    for (int i = 0; i < 400; ++i) {
      if (recorded_.all().find(text) != std::string::npos) return true;
      ::usleep(25'000);
    }
    return false;
  }
  // Sends `script` to what runs without a terminal.
  void pipe(const std::string& command, const std::string& script) {
    const SessionHandle client = sign_in();
    ssh_channel channel = ssh_channel_new(client.get());
    ASSERT_EQ(ssh_channel_open_session(channel), SSH_OK);
    ASSERT_EQ(command.empty() ? ssh_channel_request_shell(channel)
                              : ssh_channel_request_exec(channel, command.c_str()),
              SSH_OK);
    for (size_t sent = 0; sent < script.size();) {
      const int count =
          ssh_channel_write(channel, script.data() + sent,
                            static_cast<uint32_t>(std::min<size_t>(script.size() - sent, 16'000)));
      ASSERT_GT(count, 0);
      sent += static_cast<size_t>(count);
    }
    ssh_channel_send_eof(channel);
    std::array<char, 256> said{};
    while (ssh_channel_read(channel, said.data(), said.size(), 0) > 0) {
    }
    ssh_disconnect(client.get());
    wait_until_ended();
  }
};

TEST_F(UnseenTest, WhatIsPipedIntoAShellIsOnTheRecord) {
  const std::string script = "echo one > " + directory_ + "/owned\n";
  pipe("", script);
  EXPECT_EQ(read("owned"), "one\n");
  EXPECT_EQ(recorded_.input, script);
}

TEST_F(UnseenTest, WhatIsPipedIntoACommandIsOnTheRecordByteForByte) {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * 7 % 256);
  pipe("cat > " + directory_ + "/owned", bytes);
  EXPECT_TRUE(read("owned") == bytes);
  EXPECT_TRUE(recorded_.input == bytes) << recorded_.input.size();
}

TEST_F(UnseenTest, WhatIsNotRecordedIsNotTold) {
  wishes_.allowed.recorded = false;
  pipe("cat", "typed\n");
  EXPECT_EQ(recorded_.input, "");
}

TEST_F(UnseenTest, AClientThatTakesNothingHidesNothing) {
  const SessionHandle client = sign_in();
  ssh_channel channel = ssh_channel_new(client.get());
  ASSERT_EQ(ssh_channel_open_session(channel), SSH_OK);
  ASSERT_EQ(ssh_channel_request_pty_size(channel, "xterm", 80, 24), SSH_OK);
  ASSERT_EQ(ssh_channel_request_shell(channel), SSH_OK);
  const auto type = [&](const std::string& text) {
    return ssh_channel_write(channel, text.data(), static_cast<uint32_t>(text.size()));
  };
  // More than the edge and the client's window hold, and nothing of it is read here.
  ASSERT_GT(type("stty -echo; echo re''ady\n"), 0);
  EXPECT_TRUE(is_recorded("ready")) << recorded_.all();
  ASSERT_GT(type("head -c 8000000 /dev/zero | tr '\\0' x; echo f''ull\n"), 0);
  EXPECT_TRUE(is_recorded(std::string(150'000, 'x'))) << recorded_.output.size();
  EXPECT_THAT(recorded_.input, Not(HasSubstr("ready")));
  for (int i = 0; i < 400 && recorded_.input.empty(); ++i) {
    ASSERT_GT(type("# hidden\n"), 0);
    ::usleep(25'000);
  }
  EXPECT_THAT(recorded_.input, HasSubstr("hidden"));
  ssh_disconnect(client.get());
}

}  // namespace
}  // namespace merlon::ssh
