// The identity endpoint's answers: who gets a token, and every way in which somebody who should not might
// try.
#include "agent/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "crypto/system_random.h"
#include "store/state_directory.h"

namespace merlon::agent {
namespace {

using machine::TokenAnswer;
using machine::TokenRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FakeSource final : public TokenSource {
 public:
  explicit FakeSource(const Clock& clock) : clock_(clock) {}
  Result<TokenAnswer> token(const TokenRequest& request) override {
    asked.push_back(request);
    if (!refuse_with.empty()) return fail(ErrorKind::unavailable, refuse_with, "no");
    TokenAnswer answer;
    answer.token = Secret("token-" + std::to_string(asked.size()));
    answer.server_time = answer.not_before = clock_.now();
    answer.expires = clock_.now() + std::chrono::hours(1);
    return answer;
  }
  std::vector<TokenRequest> asked;
  std::string refuse_with;

 private:
  const Clock& clock_;
};

class MetadataTest : public ::testing::Test {
 protected:
  static constexpr uint16_t kWebPort = 40'400;
  static constexpr uint16_t kJobPort = 40'401;
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "merlon-metadata-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    metadata_ = std::make_unique<Metadata>(source_, clock_, random_, "boot", directory_);
    endpoint_.identities = {
        {.client_id = "own-client", .principal_id = "own-principal", .resource_id = "/vm", .own = true},
        {.client_id = "app-client", .principal_id = "app-principal", .resource_id = "/App", .own = false}};
    metadata_->follow(endpoint_, {});
  }
  void TearDown() override {
    metadata_.reset();
    std::filesystem::remove_all(directory_);
  }
  void use_rules() {
    endpoint_.has_rules = true;
    endpoint_.link_local = true;
    endpoint_.rules = {
        {.name = "web", .users = {"www-data"}, .units = {}, .client_ids = {"app-client"}},
        {.name = "job", .users = {}, .units = {"job.service"}, .client_ids = {"own-client", "app-client"}}};
    metadata_->follow(endpoint_, {{kWebPort, "web"}, {kJobPort, "job"}});
  }

  static net::Door arc(uint16_t port = kArcPort) {
    return {.port = port, .meant = std::pair(*IpAddress::parse("127.0.0.1"), kArcPort)};
  }
  static net::Door link_local(uint16_t port = kArcPort) {
    return {.port = port, .meant = std::pair(*IpAddress::parse("169.254.169.254"), kLinkLocalPort)};
  }
  static net::Request request(const std::string& query = "resource=https://r",
                              const std::string& host = "127.0.0.1:40342") {
    net::Request made;
    made.method = "GET";
    const auto target = net::parse_target("/metadata/identity/oauth2/token?api-version=2019-11-01&" + query);
    EXPECT_TRUE(target);
    made.path = target->path;
    made.query = target->query;
    made.host = host;
    made.headers.set("Metadata", "true");
    return made;
  }
  static net::Request at_link_local(const std::string& query = "resource=https://r") {
    return request(query, "169.254.169.254");
  }
  static JsonObject body(const net::Response& response) { return *parse_json_object(response.body); }
  static std::string error(const net::Response& response) {
    return string_at(body(response), "error").value_or("");
  }
  static std::string path_of(const net::Response& challenge) {
    const std::string text(challenge.headers.value_or("WWW-Authenticate", ""));
    return text.starts_with("Basic realm=") ? text.substr(12) : "";
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  net::Response proven(net::Request asked, const net::Door& door) {
    const auto challenge = metadata_->answer(asked, door);
    EXPECT_EQ(challenge.status, 401) << challenge.body;
    asked.headers.set("Authorization", "Basic " + read(path_of(challenge)));
    return metadata_->answer(asked, door);
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory_), {}));
  }

  ManualClock clock_;
  crypto::SystemRandom random_;
  FakeSource source_{clock_};
  std::string directory_;
  machine::IdentityEndpoint endpoint_;
  std::unique_ptr<Metadata> metadata_;
};

TEST_F(MetadataTest, WhoCanReadTheChallengeFileGetsAToken) {
  const auto challenge = metadata_->answer(request(), arc());
  ASSERT_EQ(challenge.status, 401);
  const std::string path = path_of(challenge);
  EXPECT_TRUE(path.starts_with(directory_ + "/") && path.ends_with(".key")) << path;
  struct stat facts{};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0440U) << "root and the group himds alone";
  EXPECT_THAT(source_.asked, IsEmpty()) << "nothing is asked of the server before";
  net::Request again = request();
  again.headers.set("Authorization", "Basic " + read(path));
  const auto answer = metadata_->answer(again, arc());
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(string_at(body(answer), "access_token"), "token-1");
  EXPECT_EQ(string_at(body(answer), "client_id"), "own-client") << "the machine's own, when none is named";
  EXPECT_EQ(string_at(body(answer), "expires_in"), "3600");
  EXPECT_EQ(string_at(body(answer), "resource"), "https://r");
  EXPECT_EQ(string_at(body(answer), "token_type"), "Bearer");
  ASSERT_THAT(source_.asked, SizeIs(1));
  EXPECT_EQ(source_.asked[0].boot_id, "boot");
  EXPECT_EQ(source_.asked[0].audience, "https://r");
  EXPECT_EQ(source_.asked[0].caller, "");
  EXPECT_EQ(metadata_->answer(again, arc()).status, 403) << "a file is good once";
  EXPECT_EQ(files(), 0U);
}

TEST_F(MetadataTest, AChallengeEndsWithItsMinuteAndGuessesGetNothing) {
  net::Request guess = request();
  const std::string path = path_of(metadata_->answer(guess, arc()));
  for (const std::string wrong : {"Basic ", "Basic x", "Bearer y", "Basic"}) {
    guess.headers.set("Authorization", wrong);
    EXPECT_EQ(metadata_->answer(guess, arc()).status, 403) << wrong;
  }
  guess.headers.set("Authorization", "Basic " + read(path));
  clock_.advance(std::chrono::seconds(61));
  EXPECT_EQ(metadata_->answer(guess, arc()).status, 403);
  EXPECT_THAT(source_.asked, IsEmpty());
  for (int i = 0; i < 200; ++i) {
    metadata_->answer(request(), arc());
    clock_.advance(std::chrono::milliseconds(100));
  }
  EXPECT_LE(files(), 64U) << "nobody fills the disk with them";
}

TEST_F(MetadataTest, WhatIsForgedOrForwardedIsRefused) {
  for (const std::string header :
       {"X-Forwarded-For", "x-forwarded-host", "Forwarded", "Via", "Origin", "X-Real-IP"}) {
    net::Request asked = request();
    asked.headers.set(header, "198.51.100.1");
    EXPECT_EQ(metadata_->answer(asked, arc()).status, 400) << header;
  }
  for (const std::string host :
       {"evil.example.com", "169.254.169.254", "127.0.0.1:80", "[::1]:40342", "127.0.0.1.nip.io"})
    EXPECT_EQ(metadata_->answer(request("resource=r", host), arc()).status, 400) << host;
  net::Request asked = request();
  asked.headers = {};
  EXPECT_EQ(error(metadata_->answer(asked, arc())), "bad_request_102")
      << "what a redirect or an <img> would send";
  asked.headers.set("Metadata", "false");
  EXPECT_EQ(metadata_->answer(asked, arc()).status, 400);
  for (const std::string method : {"POST", "PUT", "HEAD", "OPTIONS"}) {
    asked = request();
    asked.method = method;
    EXPECT_EQ(metadata_->answer(asked, arc()).status, 405) << method;
  }
  EXPECT_EQ(files(), 0U) << "no challenge was given for any of it";
}

TEST_F(MetadataTest, WhatIsMissingIsSaid) {
  net::Request asked = request();
  asked.query.items = {{"resource", "r"}};
  EXPECT_EQ(error(metadata_->answer(asked, arc())), "invalid_request");
  EXPECT_EQ(error(metadata_->answer(request("x=y"), arc())), "invalid_request");
  EXPECT_EQ(error(metadata_->answer(request("resource=" + std::string(600, 'r')), arc())),
            "invalid_resource");
  asked = request();
  asked.path = "/metadata/identity/oauth2/token/";
  EXPECT_EQ(metadata_->answer(asked, arc()).status, 401) << "@azure/identity sends a slash at the end";
  asked.path = "/metadata/other";
  EXPECT_EQ(metadata_->answer(asked, arc()).status, 404);
  metadata_->follow({}, {});
  EXPECT_EQ(error(metadata_->answer(request(), arc())), "invalid_request") << "a machine without identities";
}

TEST_F(MetadataTest, AnIdentityIsNamedInEachOfAzuresWays) {
  const auto client = [&](const std::string& selector) {
    const auto answer = proven(request("resource=r&" + selector), arc());
    return answer.status == 200 ? string_at(body(answer), "client_id").value_or("") : error(answer);
  };
  EXPECT_EQ(client("client_id=app-client"), "app-client");
  EXPECT_EQ(client("client_id=APP-CLIENT"), "app-client");
  EXPECT_EQ(client("object_id=app-principal"), "app-client");
  EXPECT_EQ(client("principal_id=app-principal"), "app-client");
  EXPECT_EQ(client("msi_res_id=/app"), "app-client");
  EXPECT_EQ(client("mi_res_id=/app"), "app-client");
  EXPECT_EQ(client("client_id=unknown"), "invalid_request");
  EXPECT_EQ(client("client_id=app-client&object_id=own-principal"), "invalid_request");
  endpoint_.identities.erase(endpoint_.identities.begin());
  metadata_->follow(endpoint_, {});
  EXPECT_EQ(client("x=y"), "app-client") << "the only one needs no name";
  endpoint_.identities.push_back({.client_id = "c", .principal_id = "p", .resource_id = "/c", .own = false});
  metadata_->follow(endpoint_, {});
  EXPECT_EQ(client("x=y"), "invalid_request") << "which of two?";
}

TEST_F(MetadataTest, TheDoorSaysWhoAsks) {
  use_rules();
  EXPECT_EQ(metadata_->answer(request(), arc()).status, 403) << "nobody in particular";
  const auto web = proven(request(), arc(kWebPort));
  EXPECT_EQ(string_at(body(web), "client_id"), "app-client") << "of those that it may ask for";
  EXPECT_EQ(source_.asked.back().caller, "web");
  EXPECT_EQ(error(proven(request("resource=r&client_id=own-client"), arc(kWebPort))), "invalid_request");
  EXPECT_EQ(string_at(body(proven(request(), arc(kJobPort))), "client_id"), "own-client");
  EXPECT_EQ(source_.asked.back().caller, "job");
  const auto challenge = metadata_->answer(request(), arc(kWebPort));
  struct stat facts{};
  ASSERT_EQ(::stat(path_of(challenge).c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0444U) << "its users are known otherwise";
  net::Request stolen = request();
  stolen.headers.set("Authorization", "Basic " + read(path_of(challenge)));
  EXPECT_EQ(metadata_->answer(stolen, arc(kJobPort)).status, 403) << "made for another";
}

TEST_F(MetadataTest, WhoGoesToADoorByItselfGetsNothing) {
  use_rules();
  const std::vector<net::Door> doors = {
      {.port = kWebPort, .meant = {}},
      {.port = kWebPort, .meant = std::pair(*IpAddress::parse("127.0.0.1"), kWebPort)},
      {.port = kWebPort, .meant = std::pair(*IpAddress::parse("127.0.0.1"), uint16_t{80})},
      {.port = 40'999, .meant = std::pair(*IpAddress::parse("127.0.0.1"), kArcPort)}};
  for (const net::Door& door : doors) {
    EXPECT_EQ(metadata_->answer(request(), door).status, 403);
    EXPECT_EQ(metadata_->answer(at_link_local(), door).status, 403);
  }
  EXPECT_EQ(files(), 0U);
  EXPECT_THAT(source_.asked, IsEmpty());
}

TEST_F(MetadataTest, WhoAsksTooOftenIsToldToWaitAndNobodyElse) {
  use_rules();
  unsigned admitted = 0;
  for (int i = 0; i < 100; ++i)
    if (metadata_->answer(at_link_local(), link_local(kWebPort)).status == 200) ++admitted;
  EXPECT_EQ(admitted, RequestRate::kAtOnce);
  const auto refused = metadata_->answer(at_link_local(), link_local(kWebPort));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(error(refused), "too_many_requests");
  EXPECT_EQ(refused.headers.value_or("Retry-After", ""), "1");
  EXPECT_EQ(metadata_->answer(at_link_local(), link_local(kJobPort)).status, 200) << "another caller";
  clock_.advance(std::chrono::seconds(1));
  admitted = 0;
  for (int i = 0; i < 100; ++i)
    if (metadata_->answer(at_link_local(), link_local(kWebPort)).status == 200) ++admitted;
  EXPECT_EQ(admitted, RequestRate::kPerSecond);
}

// Without rules every user of the machine comes to one door: none takes requests or challenge files from
// another, root included.
TEST_F(MetadataTest, NobodyUsesUpWhatIsAnotherUsers) {
  const auto as = [](std::optional<uint32_t> user) {
    net::Door door = arc();
    door.user = user;
    return door;
  };
  net::Request mine = request();
  const auto challenge = metadata_->answer(mine, as(1000));
  ASSERT_EQ(challenge.status, 401);
  for (int i = 0; i < 200; ++i) metadata_->answer(request(), as(1001));
  EXPECT_EQ(metadata_->answer(request(), as(1001)).status, 429);
  mine.headers.set("Authorization", "Basic " + read(path_of(challenge)));
  EXPECT_EQ(metadata_->answer(mine, as(1001)).status, 429);
  EXPECT_EQ(metadata_->answer(mine, as(0)).status, 403) << "made for another";
  EXPECT_EQ(metadata_->answer(mine, as(1000)).status, 200);
  EXPECT_EQ(metadata_->answer(request(), as(0)).status, 401);
  EXPECT_EQ(metadata_->answer(request(), as(std::nullopt)).status, 401);
}

TEST_F(MetadataTest, WhoHasTheIdsOfManyUsersTakesNobodysPlace) {
  net::Door door = arc();
  door.user = 1000;
  net::Request mine = request();
  const auto challenge = metadata_->answer(mine, door);
  mine.headers.set("Authorization", "Basic " + read(path_of(challenge)));
  unsigned challenged = 0;
  for (uint32_t user = 100'000; user < 110'000; ++user) {
    net::Door other = arc();
    other.user = user;
    if (metadata_->answer(request(), other).status == 401) ++challenged;
  }
  EXPECT_LT(challenged, 1100U) << "the places of one user each, and those that all others share";
  EXPECT_LE(files(), 1024U);
  door.user = 1000;
  EXPECT_NE(metadata_->answer(mine, door).status, 429);
}

TEST_F(MetadataTest, GuessesAreCountedToo) {
  net::Request guess = request();
  guess.headers.set("Authorization", "Basic guess");
  unsigned judged = 0;
  for (int i = 0; i < 100; ++i)
    if (metadata_->answer(guess, arc()).status == 403) ++judged;
  EXPECT_EQ(judged, RequestRate::kAtOnce);
}

TEST_F(MetadataTest, AtADoorThatIsLeavingOneIsToldToTryAgain) {
  use_rules();
  metadata_->follow(endpoint_, {{kJobPort, "job"}}, {kWebPort});
  const auto told = metadata_->answer(at_link_local(), link_local(kWebPort));
  EXPECT_EQ(told.status, 503);
  EXPECT_EQ(told.headers.value_or("Retry-After", ""), "1");
  EXPECT_THAT(source_.asked, IsEmpty());
  EXPECT_EQ(metadata_->answer(at_link_local(), link_local(kJobPort)).status, 200);
}

// On real ports: does a port of this machine take connections?
bool is_open(uint16_t port) {
  const store::FileDescriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool closes(uint16_t port) {  // its acceptor is another thread's
  for (int i = 0; i < 500 && is_open(port); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !is_open(port);
}

TEST_F(MetadataTest, ADoorStaysOpenUntilTheKernelKnowsOfTheOthers) {
  if (is_open(kArcPort)) GTEST_SKIP() << "an agent runs on this machine";
  MetadataServer server(*metadata_, clock_);
  endpoint_.has_rules = true;
  endpoint_.rules = {{.name = "web", .users = {"www-data"}, .units = {}, .client_ids = {"app-client"}}};
  const auto first = server.follow(endpoint_);
  ASSERT_TRUE(first) << first.error().message;
  server.settle();
  const uint16_t old = first->doors.front().port;
  EXPECT_TRUE(is_open(old));
  endpoint_.rules[0].users = {"root"};
  const auto second = server.follow(endpoint_);
  ASSERT_TRUE(second) << second.error().message;
  const uint16_t fresh = second->doors.front().port;
  EXPECT_NE(fresh, old);
  EXPECT_TRUE(is_open(old)) << "the kernel still brings callers there";
  EXPECT_TRUE(is_open(fresh));
  server.settle();
  EXPECT_TRUE(closes(old));
  endpoint_.rules[0].users = {"daemon"};
  ASSERT_TRUE(server.follow(endpoint_));
  endpoint_.rules[0].users = {"nobody"};
  ASSERT_TRUE(server.follow(endpoint_)) << "although the kernel was not told of the one before";
  EXPECT_TRUE(closes(fresh)) << "no more than the last ones stay";
}

TEST_F(MetadataTest, TheLinkLocalAddressNeedsARuleAndNoFile) {
  EXPECT_EQ(metadata_->answer(at_link_local(), link_local()).status, 403)
      << "no file tells callers apart there";
  use_rules();
  EXPECT_EQ(metadata_->answer(at_link_local(), link_local()).status, 403);
  EXPECT_EQ(metadata_->answer(at_link_local(), link_local(kWebPort)).status, 200);
  EXPECT_EQ(metadata_->answer(request(), link_local(kWebPort)).status, 400) << "the Host of the other face";
  net::Request asked = at_link_local();
  asked.headers.set("X-Forwarded-For", "1.2.3.4");
  EXPECT_EQ(metadata_->answer(asked, link_local(kWebPort)).status, 400);
}

TEST_F(MetadataTest, TokensAreKeptForTheirCallerAndForgottenAtEachChange) {
  use_rules();
  const auto ask = [&](uint16_t port) {
    return string_at(
               body(metadata_->answer(at_link_local("resource=r&client_id=app-client"), link_local(port))),
               "access_token")
        .value_or("");
  };
  EXPECT_EQ(ask(kWebPort), "token-1");
  EXPECT_EQ(ask(kWebPort), "token-1");
  EXPECT_EQ(ask(kJobPort), "token-2") << "another caller is another issue";
  clock_.advance(std::chrono::minutes(29));
  EXPECT_EQ(ask(kWebPort), "token-1");
  clock_.advance(std::chrono::minutes(2));
  EXPECT_EQ(ask(kWebPort), "token-3") << "half of its life is over";
  metadata_->follow(endpoint_, {{kWebPort, "web"}, {kJobPort, "job"}});
  EXPECT_EQ(ask(kWebPort), "token-4");
  clock_.advance(std::chrono::minutes(40));
  source_.refuse_with = "ConnectionFailed";
  EXPECT_EQ(ask(kWebPort), "token-4") << "the server is away, the token is good";
  source_.refuse_with = "CallerNotAllowed";
  EXPECT_EQ(ask(kWebPort), "") << "the server says no";
  source_.refuse_with = "ConnectionFailed";
  const auto away = metadata_->answer(at_link_local(), link_local(kWebPort));
  EXPECT_EQ(away.status, 503);
  EXPECT_EQ(away.headers.value_or("Retry-After", ""), "2");
}

TEST_F(MetadataTest, WhatTheServerRefusesIsSaidInAzuresWords) {
  use_rules();
  const auto with = [&](const std::string& code) {
    source_.refuse_with = code;
    const auto answer = metadata_->answer(at_link_local(), link_local(kWebPort));
    return std::to_string(answer.status) + " " + error(answer);
  };
  EXPECT_EQ(with("IdentityNotFound"), "400 invalid_request");
  EXPECT_EQ(with("InvalidResource"), "400 invalid_resource");
  EXPECT_EQ(with("CallerNotAllowed"), "403 access_denied");
  EXPECT_EQ(with("OtherBoot"), "503 server_unreachable");
}

TEST(ChallengeDirectory, IsMadeForTheAgentAndNeverTakenFromAnother) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a directory away needs root";
  std::string pattern = (std::filesystem::temp_directory_path() / "merlon-challenge-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::string path = pattern + "/azcmagent/tokens";
  ASSERT_TRUE(prepare_challenge_directory(path, 65534));
  struct stat facts{};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_uid, 65534U);
  EXPECT_EQ(facts.st_mode & 07777, 02711U) << "nobody else lists it, and files take its group";
  EXPECT_TRUE(prepare_challenge_directory(path, 65534));
  ASSERT_EQ(::chown(path.c_str(), 998, 998), 0);
  EXPECT_EQ(prepare_challenge_directory(path, 65534).error().code, "ForeignChallengeDirectory");
  std::filesystem::remove_all(path);
  std::filesystem::create_directory_symlink("/tmp", path);
  EXPECT_FALSE(prepare_challenge_directory(path, 65534)) << "a link leads elsewhere";
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace merlon::agent
