// An edge with its real processes between OpenSSH's client and OpenSSH's server, and a desk in the test's
// hand.
#pragma once

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <atomic>

#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>

#include "base/time_text.h"
#include "crypto/system_random.h"
#include "ssh/certificate.h"
#include "ssh/connect.h"
#include "ssh/edge.h"
#include "ssh/test_programs.h"

namespace merlon::ssh::test {

struct Recorded {
  std::mutex mutex;
  std::string output, input;
  std::vector<std::pair<std::string, JsonObject>> facts;
  std::vector<std::string> ended;  // reasons
  JsonObject end_facts;
  bool has(std::string_view kind, std::string_view text) {
    const std::lock_guard lock(mutex);
    for (const auto& [name, fact] : facts)
      if (name == kind && to_text(fact).find(text) != std::string::npos) return true;
    return false;
  }
  std::string all() {
    const std::lock_guard lock(mutex);
    std::string text = output + "\n";
    for (const auto& [name, fact] : facts) text += name + " " + to_text(fact) + "\n";
    for (const std::string& reason : ended) text += "ended " + reason + "\n";
    return text;
  }
};

class Ada final : public Person {
 public:
  std::string name() const override { return "ada"; }
};

// What a test may set before it connects.
struct Wishes {
  Allowed allowed;
  std::string machine = "web-1";
  std::string machine_host_key;  // a line
  uint16_t sshd_port = 0;
  bool recording_fails = false;
  std::function<Duration()> pace;  // how long nothing more may be read
  std::optional<crypto::PrivateKey> machine_authority;
  std::string refusal;  // with which everybody is turned away
  // In place of a certificate; asked once the machine is recognised.
  std::optional<MachineSecret> secret;
  std::atomic<int> secrets_asked = 0;
  // Kept by what gives the secret: whoever waits for the machine is counted by that.
  std::shared_ptr<int> waits = std::make_shared<int>();
  std::atomic<long> waiting_as_asked = 0, waiting_as_signed_in = -1;
};

class FakePassage final : public Passage {
 public:
  FakePassage(Wishes& wishes, Recorded& recorded, std::string login)
      : wishes_(wishes), recorded_(recorded), login_(std::move(login)), allowed_(wishes.allowed) {}
  const Allowed& allowed() const override { return allowed_; }
  Result<Connected> connect() override {
    Connected connected;
    SystemClock clock;
    connected.socket = TRY(connect_to(*IpAddress::parse("127.0.0.1"), wishes_.sshd_port, wishes_.machine,
                                      std::chrono::seconds(20), clock));
    connected.host_keys = {wishes_.machine_host_key};
    if (wishes_.secret) {
      connected.secret = [this, waits = wishes_.waits]() -> Result<MachineSecret> {
        wishes_.waiting_as_asked = waits.use_count() - 1;
        ++wishes_.secrets_asked;
        return *wishes_.secret;
      };
      return connected;
    }
    const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
    crypto::SystemRandom random;
    const auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
    const CertificateRequest request{.key = PublicKey::of(key.public_key()),
                                     .serial = 1,
                                     .type = CertificateType::user,
                                     .key_id = "ada",
                                     .principals = {login_ + "@machine"},
                                     .valid_after = now - std::chrono::minutes(1),
                                     .valid_before = now + std::chrono::minutes(2),
                                     .critical_options = {},
                                     .extensions = {{"permit-port-forwarding", ""}, {"permit-pty", ""}}};
    const Bytes blob = TRY(issue_certificate(request, *wishes_.machine_authority, random));
    connected.private_key = TRY(openssh_private_key(key, "x"));
    connected.certificate = TRY(certificate_line(blob, "x"));
    return connected;
  }
  void watch(std::function<void(const Notice&)> tell) override {
    const std::lock_guard lock(recorded_.mutex);
    tell_ = std::move(tell);
    tells().push_back(tell_);
  }
  static std::vector<std::function<void(const Notice&)>>& tells() {
    static std::vector<std::function<void(const Notice&)>> all;
    return all;
  }
  Duration wait() const override { return wishes_.pace ? wishes_.pace() : Duration(0); }
  Result<void> output(std::string_view bytes) override {
    if (wishes_.recording_fails) return fail(ErrorKind::unavailable, "StorageFull", "The disk is full.");
    const std::lock_guard lock(recorded_.mutex);
    recorded_.output += bytes;
    return {};
  }
  Result<void> input(std::string_view bytes) override {
    if (wishes_.recording_fails) return fail(ErrorKind::unavailable, "StorageFull", "The disk is full.");
    const std::lock_guard lock(recorded_.mutex);
    recorded_.input += bytes;
    return {};
  }
  Result<void> resize(int64_t columns, int64_t rows) override {
    return fact("resize", {{"columns", columns}, {"rows", rows}});
  }
  Result<void> fact(std::string_view kind, JsonObject facts) override {
    wishes_.waiting_as_signed_in = wishes_.waits.use_count() - 1;
    const std::lock_guard lock(recorded_.mutex);
    recorded_.facts.emplace_back(kind, std::move(facts));
    return {};
  }
  void end(std::string_view reason, std::string_view, const JsonObject& facts) override {
    const std::lock_guard lock(recorded_.mutex);
    recorded_.ended.emplace_back(reason);
    recorded_.end_facts = facts;
  }

 private:
  Wishes& wishes_;
  Recorded& recorded_;
  const std::string login_;
  const Allowed allowed_;
  std::function<void(const Notice&)> tell_;
};

class FakeDesk final : public Desk {
 public:
  FakeDesk(Wishes& wishes, Recorded& recorded) : wishes_(wishes), recorded_(recorded) {}
  Result<std::unique_ptr<Person>> by_key(ByteView key, const Source&) override {
    if (key.size() == known_key.size() && std::equal(key.begin(), key.end(), known_key.begin()))
      return std::make_unique<Ada>();
    const Judge judge{.authorities = {PublicKey::of(people.public_key())},
                      .type = CertificateType::user,
                      .now = std::chrono::floor<Duration>(std::chrono::system_clock::now()),
                      .source = IpAddress::parse("127.0.0.1")};
    if (const auto good = judge_certificate(key, judge); !good) {
      ++refused;
      return std::unexpected(good.error());
    }
    return std::make_unique<Ada>();
  }
  Result<DeviceCode> start_device(const Source&) override {
    return DeviceCode{"https://merlon/devicelogin", "ABCD-1234", Secret(std::string_view("s"))};
  }
  Result<std::unique_ptr<Person>> poll_device(const DeviceCode&, const Source&) override {
    if (++polls < 2) return std::unique_ptr<Person>();
    return std::make_unique<Ada>();
  }
  Result<std::unique_ptr<Passage>> admit(const Person&, const Destination& to, const Source&) override {
    if (to.machine != wishes_.machine)
      return fail(ErrorKind::forbidden, "NotAllowed", "You may not reach '" + to.machine + "'.");
    if (!wishes_.refusal.empty()) return fail(ErrorKind::forbidden, "NotAllowed", wishes_.refusal);
    return std::make_unique<FakePassage>(wishes_, recorded_, to.login);
  }
  Secret host_key() override { return *openssh_private_key(host, "host"); }

  Bytes known_key;
  std::atomic<int> refused = 0;  // keys
  crypto::PrivateKey people = *crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
  crypto::PrivateKey host = *crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
  int polls = 0;

 private:
  Wishes& wishes_;
  Recorded& recorded_;
};

class EdgeFixture : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = (std::filesystem::temp_directory_path() / "merlon-edge-XXXXXX").string();
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    user_ = ::getenv("USER") != nullptr && ::geteuid() != 0 ? ::getenv("USER") : "root";
    wishes_.machine_authority = *crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
    start_sshd();
    EdgeParameters parameters{
        .listen = {"127.0.0.1:0"},
        .program = Program({"/proc/self/exe", "--gtest_filter=SessionProcess.DISABLED_OfTheTests",
                            "--gtest_also_run_disabled_tests", "--gtest_brief=1"}),
        .limits = limits_};
    auto edge = Edge::start(std::move(parameters), desk_, clock_);
    ASSERT_TRUE(edge) << edge.error().message;
    edge_ = *std::move(edge);
    port_ = edge_->addresses().front().substr(edge_->addresses().front().rfind(':') + 1);
    run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory_ + "/id"});
    desk_.known_key = PublicKey::from_line(read("id.pub"))->blob();
    write("known_hosts", "* " + PublicKey::of(desk_.host.public_key()).line() + "\n");
  }
  void TearDown() override {
    edge_.reset();
    if (sshd_ > 0) {
      ::kill(sshd_, SIGTERM);
      ::waitpid(sshd_, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
    ::chmod((directory_ + "/" + name).c_str(), 0600);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(directory_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void start_sshd() {
    ::mkdir("/run/sshd", 0755);
    run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory_ + "/host"});
    wishes_.machine_host_key = PublicKey::from_line(read("host.pub"))->line();
    write("authority", PublicKey::of(wishes_.machine_authority->public_key()).line() + "\n");
    write("principals", std::string(user_) + "@machine\n");
    // A port that is free now; the test's own, so that nobody else takes it meanwhile.
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(probe);
    wishes_.sshd_port = ntohs(address.sin_port);
    write("sshd_config",
          "ListenAddress 127.0.0.1:" + std::to_string(wishes_.sshd_port) + "\nHostKey " + directory_ +
              "/host\nTrustedUserCAKeys " + directory_ + "/authority\nAuthorizedPrincipalsFile " +
              directory_ + "/principals\nAuthorizedKeysFile " + directory_ +
              "/authorized_keys\nStrictModes no\nPidFile none\nUsePAM no\n"
              "PermitRootLogin prohibit-password\nPasswordAuthentication no\nAcceptEnv LANG LC_*\n"
              "Subsystem sftp internal-sftp\nLogLevel ERROR\n");
    const int log = ::open((directory_ + "/sshd.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    sshd_ = start({"/usr/sbin/sshd", "-D", "-e", "-f", directory_ + "/sshd_config"}, log);
    ::close(log);
  }

  std::vector<std::string> ssh_options() const {
    return {"-F", "none",
            "-o", "UserKnownHostsFile=" + directory_ + "/known_hosts",
            "-o", "StrictHostKeyChecking=yes",
            "-o", "IdentitiesOnly=yes",
            "-i", directory_ + "/id",
            "-o", "BatchMode=yes",
            "-o", "LogLevel=ERROR"};
  }
  // A client may be gone before the end of its session is told.
  void wait_until_ended() {
    for (int i = 0; i < 400 && edge_->connections() != 0; ++i) ::usleep(25'000);
    edge_->stop();
  }
  // ssh to web-1 as ourselves through the bastion, with `more` behind.
  Ran ssh(const std::vector<std::string>& before, const std::vector<std::string>& more,
          const std::string& machine = "web-1") {
    std::vector<std::string> words{"ssh", "-p", port_};
    for (const auto& list : {ssh_options(), before}) words.insert(words.end(), list.begin(), list.end());
    words.push_back(std::string(user_) + "+" + machine + "@127.0.0.1");
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }

  EdgeLimits limits_;
  std::string directory_, port_;
  const char* user_ = "root";
  Wishes wishes_;
  Recorded recorded_;
  FakeDesk desk_{wishes_, recorded_};
  SystemClock clock_;
  std::unique_ptr<Edge> edge_;
  pid_t sshd_ = -1;
};

}  // namespace merlon::ssh::test
