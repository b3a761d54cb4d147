// A machine's SSH server in a test's hand: it asks for a password as the test wants, keeps what it was told,
// and answers a command with "hello".
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "crypto/system_random.h"
#include "ssh/libssh_handles.h"
#include "ssh/public_key.h"

namespace merlon::ssh::test {

class TestMachine {
 public:
  struct Prompt {
    std::string text;
    bool shown = false;
  };
  struct Manners {
    int methods = SSH_AUTH_METHOD_PASSWORD;
    std::string password = "correct horse";
    std::vector<std::vector<Prompt>> rounds{};  // of keyboard-interactive
    bool hangs_up_with_password = false;        // in place of an answer: its last words are what it was told
  };

  explicit TestMachine(Manners manners)
      : manners_(std::move(manners)), key_(*crypto::PrivateKey::generate(crypto::KeyKind::ed25519)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 8);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~TestMachine() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  TestMachine(const TestMachine&) = delete;
  TestMachine& operator=(const TestMachine&) = delete;

  uint16_t port() const { return port_; }
  std::string host_key() const { return PublicKey::of(key_.public_key()).line(); }
  // Everything that was sent as a password or an answer.
  std::vector<std::string> told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  void run() {
    for (;;) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) return;
      serve(socket);
    }
  }
  void serve(int socket) {
    const BindHandle bind(ssh_bind_new());
    const SessionHandle session(ssh_new());
    ssh_key key = nullptr;
    const Secret text = *openssh_private_key(key_, "machine");
    ssh_pki_import_privkey_base64(std::string(text.expose_text()).c_str(), nullptr, nullptr, nullptr, &key);
    const bool no = false;
    ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_IMPORT_KEY, key);
    if (ssh_bind_accept_fd(bind.get(), session.get(), socket) != SSH_OK ||
        ssh_handle_key_exchange(session.get()) != SSH_OK)
      return;
    ssh_set_auth_methods(session.get(), manners_.methods);
    size_t round = 0;
    while (!stopping_) {
      const MessageHandle message(ssh_message_get(session.get()));
      if (!message) return;
      if (!handle(session.get(), message.get(), round)) break;
    }
    ssh_disconnect(session.get());
  }
  bool handle(ssh_session session, ssh_message message, size_t& round) {
    const int what = ssh_message_subtype(message);
    switch (ssh_message_type(message)) {
      case SSH_REQUEST_AUTH:
        if (what == SSH_AUTH_METHOD_PASSWORD) return password(session, message);
        if (what == SSH_AUTH_METHOD_INTERACTIVE) return interactive(session, message, round);
        break;
      case SSH_REQUEST_CHANNEL_OPEN:
        channel_ = ssh_message_channel_request_open_reply_accept(message);
        return true;
      case SSH_REQUEST_CHANNEL:
        if (what != SSH_CHANNEL_REQUEST_EXEC) break;
        ssh_message_channel_request_reply_success(message);
        ssh_channel_write(channel_, "hello\n", 6);
        ssh_channel_request_send_exit_status(channel_, 0);
        ssh_channel_send_eof(channel_);
        ssh_channel_close(channel_);
        return true;
      default:
        break;
    }
    ssh_message_reply_default(message);
    return true;
  }
  void keep(const std::string& text) {
    const std::lock_guard lock(mutex_);
    told_.push_back(text);
  }
  bool password(ssh_session session, ssh_message message) {
    const std::string text = ssh_message_auth_password(message);
    keep(text);
    if (manners_.hangs_up_with_password) {
      ssh_session_set_disconnect_message(session, text.c_str());
      return false;
    }
    if (text == manners_.password)
      ssh_message_auth_reply_success(message, 0);
    else
      ssh_message_reply_default(message);
    return true;
  }
  bool interactive(ssh_session session, ssh_message message, size_t& round) {
    if (ssh_message_auth_kbdint_is_response(message) != 0) {
      for (int i = 0; i < ssh_userauth_kbdint_getnanswers(session); ++i)
        keep(ssh_userauth_kbdint_getanswer(session, static_cast<unsigned>(i)));
      ++round;
    }
    if (round == manners_.rounds.size()) {
      const bool good = std::ranges::find(told_, manners_.password) != told_.end();
      if (good)
        ssh_message_auth_reply_success(message, 0);
      else
        ssh_message_reply_default(message);
      return true;
    }
    std::vector<const char*> texts;
    std::vector<char> shown;
    for (const Prompt& prompt : manners_.rounds[round]) {
      texts.push_back(prompt.text.c_str());
      shown.push_back(prompt.shown ? 1 : 0);
    }
    ssh_message_auth_interactive_request(message, "machine", "", static_cast<unsigned>(texts.size()),
                                         texts.data(), shown.data());
    return true;
  }

  const Manners manners_;
  const crypto::PrivateKey key_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  ssh_channel channel_ = nullptr;
  std::mutex mutex_;
  std::vector<std::string> told_;
  std::thread thread_;
};

}  // namespace merlon::ssh::test
