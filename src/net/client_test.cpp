// The client's own promises: whom it trusts, when it repeats, how long it waits.
#include "net/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "net/test_peer.h"

namespace merlon::net {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

Response ok(std::string body) {
  Response response;
  response.body = std::move(body);
  return response;
}

class ClientTest : public testing::Test {
 protected:
  void start(Handler handler, const ServerLimits& limits = {}, const std::string& listen = "127.0.0.1:0") {
    auto parameters = test::server_parameters(certificates_, std::move(handler));
    parameters.limits = limits;
    parameters.listen = {listen};
    auto server = Server::start(std::move(parameters));
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  ClientParameters parameters() const { return test::client_parameters(certificates_, *server_); }

  test::Certificates certificates_;
  std::unique_ptr<Server> server_;
};

TEST_F(ClientTest, TrustsOnlyTheGivenAuthoritiesAndTheGivenName) {
  start([](Request, Responder respond) { respond(ok("in")); });
  const auto error_with = [this](const std::string& name, const std::string& authorities) {
    ClientParameters changed = parameters();
    changed.server_name = name;
    changed.authorities_pem = authorities;
    const auto response = Client::make(std::move(changed))->send({});
    return response ? std::string() : response.error().code;
  };
  const std::string ours = certificates_.authority.certificate_pem();
  EXPECT_EQ(error_with("merlon.test", ours), "");
  EXPECT_EQ(error_with("my.vault.merlon.test", ours), "");
  EXPECT_EQ(error_with("", ours), "") << "127.0.0.1 is in the certificate as an address";
  EXPECT_EQ(error_with("other.test", ours), "ServerNotTrusted");
  EXPECT_EQ(error_with("a.b.vault.merlon.test", ours), "ServerNotTrusted");
  EXPECT_EQ(error_with("127.0.0.2", ours), "ServerNotTrusted");
  EXPECT_EQ(error_with("server", ours), "ServerNotTrusted") << "the common name is no name";
  EXPECT_EQ(error_with("merlon.test", test::Authority("Test Authority").certificate_pem()),
            "ServerNotTrusted");
  EXPECT_EQ(error_with("merlon.test", ""), "ServerNotTrusted") << "the system does not trust it";
  EXPECT_EQ(error_with("merlon.test", "no pem"), "InvalidTlsConfiguration");
}

TEST_F(ClientTest, RefusesAnExpiredServer) {
  auto expired =
      test::server_parameters(certificates_, [](Request, Responder respond) { respond(ok("in")); });
  const auto issued = certificates_.authority.issue("server", "DNS:merlon.test", -7200, -3600);
  expired.identity = {issued.certificate_pem, Secret(std::string_view(issued.key_pem))};
  server_ = Server::start(std::move(expired)).value();
  const auto response = Client::make(parameters())->send({});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "ServerNotTrusted");
  EXPECT_THAT(response.error().message, HasSubstr("expired"));
}

TEST_F(ClientTest, ShowsItsCertificateToTheAgentsPlane) {
  start(
      [](Request request, Responder respond) { respond(ok(request.host + request.client_certificate_pem)); });
  const auto agent = certificates_.agents_authority.issue("agent-1", "");
  ClientParameters as_agent = parameters();
  as_agent.server_name = test::kAgents;
  const auto without = Client::make(as_agent)->send({});
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().kind, ErrorKind::unavailable);
  as_agent.certificate_pem = agent.certificate_pem;
  as_agent.private_key_pem = Secret(std::string_view(agent.key_pem));
  const auto response = Client::make(as_agent)->send({});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, test::kAgents + ":" + as_agent.port + agent.certificate_pem);
}

TEST_F(ClientTest, ConnectsAnewWhenTheServerClosedTheKeptConnection) {
  std::atomic<int> calls = 0;
  ServerLimits limits;
  limits.idle_timeout = milliseconds(200);
  start([&](Request, Responder respond) { respond(ok(std::to_string(++calls))); }, limits);
  const auto client = Client::make(parameters());
  ClientRequest post;
  post.method = "POST";
  EXPECT_EQ(client->send(post)->body, "1");
  std::this_thread::sleep_for(milliseconds(500));
  const auto second = client->send(post);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->body, "2");
}

// Accepts TLS, answers the first request of each connection, and closes upon the second without an answer:
// what a server that closes just as a request arrives looks like.
class ClosingServer {
 public:
  explicit ClosingServer(const test::Certificates& certificates)
      : context_(SSL_CTX_new(TLS_server_method())) {
    BIO* certificate = BIO_new_mem_buf(certificates.server.certificate_pem.data(), -1);
    BIO* key = BIO_new_mem_buf(certificates.server.key_pem.data(), -1);
    X509* x509 = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    EVP_PKEY* pkey = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context_, x509);
    SSL_CTX_use_PrivateKey(context_, pkey);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(certificate);
    BIO_free(key);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~ClosingServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }
  ClosingServer(const ClosingServer&) = delete;
  ClosingServer& operator=(const ClosingServer&) = delete;
  std::string port() const { return port_; }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (;;) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) {
        char buffer[4096];
        for (int i = 0; i < 2; ++i) {
          const int count = SSL_read(ssl, buffer, sizeof buffer);
          if (count <= 0) break;
          {
            const std::lock_guard lock(mutex_);
            requests_.emplace_back(buffer, static_cast<size_t>(count));
          }
          static constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
          if (i == 0) SSL_write(ssl, kAnswer.data(), static_cast<int>(kAnswer.size()));
        }
      }
      SSL_free(ssl);
      ::close(fd);
    }
  }
  SSL_CTX* context_;
  int listener_ = -1;
  std::string port_;
  std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

TEST_F(ClientTest, RepeatsOnlyWhatIsSafeToRepeat) {
  ClosingServer closing(certificates_);
  start([](Request, Responder) {});
  for (const std::string method : {"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"}) {
    ClientParameters to_closing = parameters();
    to_closing.port = closing.port();
    const auto client = Client::make(std::move(to_closing));
    ASSERT_TRUE(client->send({}));
    const size_t before = closing.requests().size();
    ClientRequest request;
    request.method = method;
    const auto second = client->send(request);
    const bool safe = method != "POST" && method != "PATCH";
    EXPECT_EQ(second.has_value(), safe) << method;
    EXPECT_EQ(closing.requests().size() - before, safe ? 2u : 1u) << method;
    if (!safe) EXPECT_EQ(second.error().kind, ErrorKind::unavailable);
    client->close();
  }
}

TEST_F(ClientTest, GivesUpInTime) {
  std::vector<Responder> kept;
  std::mutex mutex;
  start([&](Request, Responder respond) {
    const std::lock_guard lock(mutex);
    kept.push_back(std::move(respond));
  });
  ClientRequest request;
  request.timeout = milliseconds(200);
  const auto begin = std::chrono::steady_clock::now();
  const auto response = Client::make(parameters())->send(request);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(3000));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(response.error().message, HasSubstr("time limit"));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(kept.size(), 1u) << "a request that timed out is not repeated";
  for (const Responder& respond : kept) respond({});
}

TEST_F(ClientTest, BoundsTheResponse) {
  start([](Request, Responder respond) { respond(ok(std::string(100'000, 'x'))); });
  ClientParameters small = parameters();
  small.response_bytes_max = 99'999;
  EXPECT_FALSE(Client::make(small)->send({}));
  small.response_bytes_max = 100'000;
  const auto response = Client::make(small)->send({});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body.size(), 100'000u);
}

TEST_F(ClientTest, ServesLargeBodiesBothWays) {
  start([](Request request, Responder respond) { respond(ok(request.body)); });
  ClientRequest request;
  request.method = "POST";
  request.body = std::string(3'000'000, 'a') + "end";
  const auto response = Client::make(parameters())->send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, request.body);
}

TEST_F(ClientTest, ReadsTheRefusalOfABodyThatIsTooLarge) {
  start([](Request, Responder respond) { respond(ok("in")); });
  ClientRequest request;
  request.method = "PUT";
  request.body = std::string(4 * 1024 * 1024 + 1, 'a');
  const auto response = Client::make(parameters())->send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 413);
}

TEST_F(ClientTest, TriesEveryAddressOfAName) {
  for (const std::string listen : {"127.0.0.1:0", "[::1]:0"}) {
    start([](Request request, Responder respond) { respond(ok(request.peer.text())); }, {}, listen);
    ClientParameters by_name = parameters();
    by_name.host = "localhost";
    by_name.server_name = "";
    const auto client = Client::make(std::move(by_name));
    const auto response = client->send({});
    if (!response && listen.starts_with('[')) {
      // A machine whose localhost is IPv4 alone cannot show this half.
      EXPECT_THAT(response.error().message, testing::Not(HasSubstr("::1")));
      continue;
    }
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(client->remote_address()->text(), response->body);
  }
}

TEST_F(ClientTest, SaysWhatDoesNotAnswer) {
  start([](Request, Responder) {});
  ClientParameters nowhere = parameters();
  server_->stop();
  const auto refused = Client::make(nowhere)->send({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("127.0.0.1:" + nowhere.port));
  nowhere.host = "no-such-name.invalid";
  const auto unknown = Client::make(nowhere)->send({});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("no-such-name.invalid"));
}

TEST_F(ClientTest, RefusesToSendWhatCouldBeReadAsTwoRequests) {
  start([](Request, Responder respond) { respond(ok("in")); });
  const auto client = Client::make(parameters());
  ClientRequest request;
  request.target = "/a HTTP/1.1\r\nX: y";
  EXPECT_FALSE(client->send(request));
  request.target = "/";
  request.headers.set("X", "a\r\nY: b");
  EXPECT_FALSE(client->send(request));
  request.headers.set("X", "fine");
  EXPECT_TRUE(client->send(request));
}

TEST(ParseHttpsUrl, TakesUrlsApart) {
  const auto full = parse_https_url("HTTPS://Merlon.Test:8443/a/b?c=d");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->host, "merlon.test");
  EXPECT_EQ(full->port, "8443");
  EXPECT_EQ(full->target, "/a/b?c=d");
  const auto bare = parse_https_url("https://[::1]");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->host, "::1");
  EXPECT_EQ(bare->port, "443");
  EXPECT_EQ(bare->target, "/");
  EXPECT_EQ(parse_https_url("https://a?b=c")->target, "/?b=c");
  for (const std::string_view bad :
       {"http://a/", "a/", "https://", "https:///x", "https://user@a/", "https://a:b/", "https://a/#f",
        "https://a/ b", "https://a\r\n/", "https://a:/", "https://a\\b"}) {
    const auto url = parse_https_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_EQ(url.error().kind, ErrorKind::invalid);
  }
}

}  // namespace
}  // namespace merlon::net
