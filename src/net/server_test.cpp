// The server and the client against each other over real TLS: planes, certificates, keep-alive, deferred
// answers, stop.
#include "net/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "net/test_peer.h"

namespace merlon::net {
namespace {

using test::Certificates;
using test::kAgents;
using test::kDomain;
using test::RawTls;
using testing::HasSubstr;
using testing::Not;

Response text_response(std::string body) {
  Response response;
  response.headers.set("Content-Type", "text/plain");
  response.body = std::move(body);
  return response;
}

class ServerTest : public testing::Test {
 protected:
  void start(Handler handler, const ServerLimits& limits = {}) {
    auto parameters = test::server_parameters(certificates_, std::move(handler));
    parameters.limits = limits;
    start(std::move(parameters));
  }
  void start(ServerParameters parameters) {
    auto server = Server::start(std::move(parameters));
    ASSERT_TRUE(server) << server.error().message << server.error().cause;
    server_ = *std::move(server);
  }
  std::unique_ptr<Client> client() { return Client::make(test::client_parameters(certificates_, *server_)); }
  std::string port() const { return test::port_of(*server_); }

  Certificates certificates_;
  std::unique_ptr<Server> server_;
};

std::string get(const std::string& host, const std::string& target = "/", const std::string& extra = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + extra + "Connection: close\r\n\r\n";
}

TEST_F(ServerTest, AnswersARequestWithEveryPartOfItAndTheStandardHeaders) {
  start([](Request request, Responder respond) {
    std::string body =
        request.method + " " + request.path + " " + request.host + " " + request.peer.text() + " ";
    for (const std::string& segment : request.segments) body += "[" + segment + "]";
    for (const auto& [name, value] : request.query.items) body += "{" + name + "=" + value + "}";
    body += request.headers.value_or("x-probe", "none");
    body += " " + request.body + (request.plane == Plane::control ? " control" : " agents");
    respond(text_response(body));
  });
  ClientRequest request;
  request.method = "PUT";
  request.target = "/a%20b/c%2Fd/?api%2Dversion=2024-01-01&x=1+2";
  request.headers.set("X-Probe", "seen");
  request.body = "the body";
  const auto response = client()->send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "PUT /a b/c/d merlon.test:" + port() +
                                " 127.0.0.1 [a b][c/d]{api-version=2024-01-01}{x=1 2}seen the body control");
  EXPECT_EQ(response->headers.value_or("X-Content-Type-Options", ""), "nosniff");
  EXPECT_THAT(std::string(response->headers.value_or("Strict-Transport-Security", "")),
              HasSubstr("max-age="));
  EXPECT_EQ(response->headers.value_or("Cache-Control", ""), "no-cache");
  EXPECT_THAT(std::string(response->headers.value_or("Date", "")), HasSubstr(" GMT"));
  EXPECT_EQ(response->headers.value_or("x-ms-request-id", "").size(), 36u);
}

// RFC 9562 section 5.7: in order of time, and not to be guessed.
TEST_F(ServerTest, RequestIdsAreInOrderOfTime) {
  start([](Request, Responder respond) { respond(text_response("")); });
  const auto http = client();
  const auto next_id = [&] { return std::string(http->send({})->headers.value_or("x-ms-request-id", "")); };
  const auto time_of = [](const std::string& id) { return id.substr(0, 13); };
  std::string before;
  for (int i = 0; i < 3; ++i) {
    std::string id = next_id();
    // The kernel's coarse clock moves with its ticks, and a busy hypervisor holds those back: not a number of
    // milliseconds is waited for but that it has moved on.
    for (int waited = 0; time_of(id) == time_of(before) && waited < 500; ++waited) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      id = next_id();
    }
    ASSERT_EQ(id.size(), 36u);
    EXPECT_EQ(id[14], '7');
    EXPECT_NE(std::string_view("89ab").find(id[19]), std::string_view::npos);
    const auto ms = std::stoull(id.substr(0, 8) + id.substr(9, 4), nullptr, 16);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    EXPECT_LE(ms, static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
    EXPECT_GT(time_of(id), time_of(before));
    before = id;
    EXPECT_NE(id.substr(19), next_id().substr(19));
  }
}

TEST_F(ServerTest, KeepsAConnectionAliveAndTheClientReusesIt) {
  std::atomic<int> calls = 0;
  ServerLimits limits;
  limits.connections_max = 1;  // a second connection would be refused
  start([&](Request, Responder respond) { respond(text_response(std::to_string(++calls))); }, limits);
  const auto http = client();
  for (int i = 1; i <= 5; ++i) {
    const auto response = http->send({});
    ASSERT_TRUE(response) << response.error().message;
    EXPECT_EQ(response->body, std::to_string(i));
  }
  EXPECT_EQ(http->remote_address()->text(), "127.0.0.1");
}

TEST_F(ServerTest, AHeadAnswerHasTheLengthAndNoBody) {
  start([](Request, Responder respond) { respond(text_response("12345")); });
  const auto http = client();
  ClientRequest head;
  head.method = "HEAD";
  const auto response = http->send(head);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->headers.value_or("Content-Length", ""), "5");
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(http->send({})->body, "12345") << "the connection is still in step";
  RawTls raw(port(), kDomain);
  EXPECT_TRUE(raw.converse("HEAD / HTTP/1.1\r\nHost: merlon.test\r\nConnection: close\r\n\r\n")
                  .ends_with("\r\n\r\n"));
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  start([](Request request, Responder respond) {
    if (request.path == "/slow") std::this_thread::sleep_for(std::chrono::milliseconds(50));
    respond(text_response("<" + request.path + request.body + ">"));
  });
  RawTls raw(port(), kDomain);
  ASSERT_TRUE(raw.connected());
  raw.write(
      "GET /slow HTTP/1.1\r\nHost: merlon.test\r\n\r\n"
      "POST /b HTTP/1.1\r\nHost: merlon.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
      "GET /c HTTP/1.1\r\nHost: merlon.test\r\n\r\n");
  const std::string all = raw.read_responses(3);
  EXPECT_LT(all.find("</slow>"), all.find("</bxyz>"));
  EXPECT_LT(all.find("</bxyz>"), all.find("</c>"));
  EXPECT_NE(all.find("</c>"), std::string::npos);
}

TEST_F(ServerTest, AnAnswerMayComeLaterFromAnotherThread) {
  std::promise<Responder> promise;
  start([&](Request, Responder respond) { promise.set_value(std::move(respond)); });
  std::thread later([&] {
    const Responder respond = promise.get_future().get();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    respond(text_response("later"));
  });
  const auto response = client()->send({});
  later.join();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "later");
}

TEST_F(ServerTest, WhatIsBegunAtOnceTakesNoWorkerAndWhatIsNotGoesToOne) {
  std::promise<std::pair<std::shared_ptr<const Request>, LateAnswer>> begun;
  std::atomic<int> at_workers = 0;
  auto parameters = test::server_parameters(certificates_, [&](Request request, Responder respond) {
    ++at_workers;
    respond(text_response("worker " + request.path + request.body));
  });
  parameters.begin_at_once = [&](const std::shared_ptr<const Request>& request, const LateAnswer& answer) {
    if (request->path == "/throws") throw std::runtime_error("a fault");
    if (request->path != "/begun") return false;
    begun.set_value({request, answer});
    return true;
  };
  start(std::move(parameters));
  std::thread later([&] {
    const auto [request, answer] = begun.get_future().get();
    answer([said = "begun " + request->body] { return text_response(said); });
  });
  ClientRequest request;
  request.method = "PUT";
  request.target = "/begun";
  request.body = "the body";
  const auto http = client();
  EXPECT_EQ(http->send(request)->body, "begun the body");
  later.join();
  EXPECT_EQ(at_workers, 0);
  request.target = "/other";
  EXPECT_EQ(http->send(request)->body, "worker /otherthe body");
  request.target = "/throws";
  EXPECT_EQ(http->send(request)->body, "worker /throwsthe body");
}

TEST_F(ServerTest, ADroppedResponderAndAThrowingHandlerAnswer500) {
  start([](Request request, Responder) {
    if (request.path == "/throw") throw std::runtime_error("secret detail");
  });
  const auto http = client();
  const auto dropped = http->send({});
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->status, 500);
  EXPECT_THAT(dropped->body, HasSubstr("InternalServerError"));
  ClientRequest request;
  request.target = "/throw";
  const auto thrown = http->send(request);
  ASSERT_TRUE(thrown);
  EXPECT_EQ(thrown->status, 500);
  EXPECT_THAT(thrown->body, Not(HasSubstr("secret detail")));
}

TEST_F(ServerTest, AnswersThatWouldSplitTheMessageBecome500) {
  start([](Request, Responder respond) {
    Response response = text_response("x");
    response.headers.set("Location", "/a\r\nSet-Cookie: stolen=1");
    respond(std::move(response));
  });
  const auto response = client()->send({});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 500);
  EXPECT_EQ(response->headers.find("Set-Cookie"), nullptr);
}

TEST_F(ServerTest, AFullWorkerPoolAnswers503WithRetryAfter) {
  std::promise<void> gate;
  const std::shared_future<void> open = gate.get_future().share();
  std::atomic<int> running = 0;
  ServerLimits limits;
  limits.workers = 1;
  limits.queue_max = 1;
  start(
      [&, open](Request, Responder respond) {
        ++running;
        open.wait();
        respond(text_response("done"));
      },
      limits);
  const auto send = [this] { return client()->send({}); };
  auto first = std::async(std::launch::async, send);
  while (running == 0) std::this_thread::yield();
  RawTls queued(port(), kDomain);
  queued.write(get(kDomain));
  Result<Response> refused = Response();
  for (int i = 0; i < 200 && refused && refused->status != 503;
       ++i) {  // until the second request is in the queue
    ClientRequest request;
    request.timeout = std::chrono::milliseconds(300);
    refused = client()->send(request);
    if (!refused) refused = Response();
  }
  gate.set_value();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->headers.value_or("Retry-After", ""), "1");
  EXPECT_EQ(first.get()->body, "done");
}

TEST_F(ServerTest, HostsOutsideTheServedNamesAreMisdirected) {
  start([](Request request, Responder respond) { respond(text_response("served " + request.host)); });
  const auto answer = [&](const std::string& host) { return RawTls(port(), kDomain).converse(get(host)); };
  for (const std::string host :
       {"merlon.test", "MERLON.test:8443", "my.vault.merlon.test", "127.0.0.1", "localhost:1"}) {
    EXPECT_THAT(answer(host), HasSubstr("HTTP/1.1 200 OK")) << host;
  }
  for (const std::string host :
       {"evil.test", "merlon.test.evil.test", "vault.merlon.test", "a.b.vault.merlon.test",
        ".vault.merlon.test", "127.0.0.2", "[::1]", "merlon.test."}) {
    EXPECT_THAT(answer(host), HasSubstr("HTTP/1.1 421 ")) << host;
    EXPECT_THAT(answer(host), HasSubstr(R"({"error":{"code":"MisdirectedRequest")")) << host;
  }
}

TEST_F(ServerTest, TheTwoPlanesDoNotMix) {
  start([](Request request, Responder respond) {
    respond(text_response(request.plane == Plane::agents ? "agents " + request.client_certificate_pem
                                                         : "control"));
  });
  const auto agent = certificates_.agents_authority.issue("agent-1", "");
  EXPECT_THAT(RawTls(port(), kAgents, &agent).converse(get(kAgents)),
              HasSubstr("agents " + agent.certificate_pem));
  EXPECT_THAT(RawTls(port(), kAgents, &agent).converse(get(kDomain)), HasSubstr("HTTP/1.1 421 "));
  EXPECT_THAT(RawTls(port(), kDomain, &agent).converse(get(kAgents)), HasSubstr("HTTP/1.1 421 "));
  EXPECT_THAT(RawTls(port(), "").converse(get(kAgents)), HasSubstr("HTTP/1.1 421 "));
  EXPECT_THAT(RawTls(port(), "").converse(get(kDomain)), HasSubstr("\r\n\r\ncontrol"));
  EXPECT_THAT(RawTls(port(), "AGENTS.merlon.test", &agent).converse(get(kAgents)),
              HasSubstr("\r\n\r\nagents "));
}

TEST_F(ServerTest, TheAgentsPlaneDemandsACertificateOfItsOwnAuthority) {
  start([](Request, Responder respond) { respond(text_response("in")); });
  const auto good = certificates_.agents_authority.issue("agent-1", "");
  const auto foreign = test::Authority("Somebody Else").issue("agent-1", "");
  const auto of_the_server = certificates_.authority.issue("agent-1", "");
  const auto expired = certificates_.agents_authority.issue("agent-1", "", -7200, -3600);
  const auto future = certificates_.agents_authority.issue("agent-1", "", 3600, 7200);
  const auto foreign_expired = test::Authority("Test Agents").issue("agent-1", "", -7200, -3600);
  const auto admitted = [&](const test::Issued* certificate) {
    // TLS 1.3 tells a client only with its first read that its certificate was refused.
    return RawTls(port(), kAgents, certificate).converse(get(kAgents)).find("200 OK") != std::string::npos;
  };
  EXPECT_TRUE(admitted(&good));
  EXPECT_TRUE(admitted(&expired)) << "an expired certificate may come to renew itself";
  EXPECT_FALSE(admitted(nullptr));
  EXPECT_FALSE(admitted(&foreign));
  EXPECT_FALSE(admitted(&of_the_server));
  EXPECT_FALSE(admitted(&future));
  EXPECT_FALSE(admitted(&foreign_expired));
}

TEST_F(ServerTest, AControlSessionCannotBeResumedIntoTheAgentsPlane) {
  start([](Request, Responder respond) { respond(text_response("in")); });
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawTls first(port(), kDomain, nullptr, nullptr, {}, version);
    ASSERT_TRUE(first.connected());
    first.converse(get(kDomain));
    SSL_SESSION* session = first.take_session();
    RawTls control(port(), kDomain, nullptr, session, {}, version);
    EXPECT_THAT(control.converse(get(kDomain)), HasSubstr("200 OK")) << version;
    EXPECT_EQ(SSL_session_reused(control.ssl()), 1) << "the test itself must be able to resume";
    RawTls agents(port(), kAgents, nullptr, session, {}, version);
    EXPECT_THAT(agents.converse(get(kAgents)), Not(HasSubstr("200 OK"))) << version;
    SSL_SESSION_free(session);
  }
  const auto agent = certificates_.agents_authority.issue("agent-1", "");
  RawTls first(port(), kAgents, &agent);
  EXPECT_THAT(first.converse(get(kAgents)), HasSubstr("200 OK"));
  SSL_SESSION* session = first.take_session();
  RawTls second(port(), kAgents, nullptr, session);
  EXPECT_THAT(second.converse(get(kAgents)), Not(HasSubstr("200 OK")));
  SSL_SESSION_free(session);
}

TEST_F(ServerTest, SpeaksHttp11WhenAskedByAlpnAndNothingElse) {
  start([](Request, Responder respond) { respond(text_response("in")); });
  EXPECT_TRUE(RawTls(port(), kDomain, nullptr, nullptr, "\x02h2\x08http/1.1").connected());
  EXPECT_FALSE(RawTls(port(), kDomain, nullptr, nullptr, "\x02h2").connected());
}

TEST_F(ServerTest, ANewIdentityServesNewConnectionsAndABadOneIsIgnored) {
  start([](Request, Responder respond) { respond(text_response("in")); });
  const auto kept = client();
  ASSERT_TRUE(kept->send({}));
  server_->replace_identity({"not a certificate", Secret(std::string_view("x"))});
  EXPECT_TRUE(client()->send({})) << "the old identity stays";
  const test::Authority other("Other Authority");
  const auto next = other.issue("server", "DNS:merlon.test");
  server_->replace_identity({next.certificate_pem, Secret(std::string_view(next.key_pem))});
  EXPECT_TRUE(kept->send({})) << "connections keep what they began with";
  EXPECT_FALSE(client()->send({}));
  auto parameters = test::client_parameters(certificates_, *server_);
  parameters.authorities_pem = other.certificate_pem();
  EXPECT_TRUE(Client::make(std::move(parameters))->send({}));
}

TEST_F(ServerTest, StopLetsRunningRequestsEndAndClosesIdleConnections) {
  std::promise<void> started;
  start([&](Request request, Responder respond) {
    if (request.path == "/slow") {
      started.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    respond(text_response("done"));
  });
  RawTls idle(port(), kDomain);
  ASSERT_TRUE(idle.connected());
  auto running = std::async(std::launch::async, [this] {
    ClientRequest request;
    request.target = "/slow";
    return client()->send(request);
  });
  started.get_future().wait();
  const std::string old_port = port();
  const auto begin = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  const auto response = running.get();
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "done");
  EXPECT_EQ(response->headers.value_or("Connection", ""), "close");
  EXPECT_EQ(idle.read_some(), "");
  EXPECT_EQ(test::connect_to_port(old_port), -1);
  server_->stop();
}

TEST_F(ServerTest, AnAnswerAfterTheServerIsGoneIsHarmless) {
  std::promise<Responder> promise;
  start([&](Request, Responder respond) { promise.set_value(std::move(respond)); });
  RawTls raw(port(), kDomain);
  raw.write(get(kDomain));
  const Responder respond = promise.get_future().get();
  server_.reset();  // waits out its grace, then closes
  EXPECT_EQ(raw.read_to_end(), "");
  respond(text_response("too late"));
}

TEST_F(ServerTest, ListensOnBothFamiliesApart) {
  auto parameters = test::server_parameters(
      certificates_, [](Request request, Responder respond) { respond(text_response(request.peer.text())); });
  parameters.listen = {"127.0.0.1:0", "[::1]:0"};
  start(std::move(parameters));
  ASSERT_EQ(server_->addresses().size(), 2u);
  EXPECT_TRUE(server_->addresses()[1].starts_with("[::1]:"));
  auto to_v6 = test::client_parameters(certificates_, *server_);
  to_v6.host = "::1";
  to_v6.port = test::port_of(*server_, 1);
  to_v6.server_name = "";
  const auto response = Client::make(std::move(to_v6))->send({});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "::1");
}

TEST_F(ServerTest, RefusesAddressesAndIdentitiesThatCannotWork) {
  const auto attempt = [this](const std::string& listen) {
    auto parameters = test::server_parameters(certificates_, [](Request, Responder) {});
    parameters.listen = {listen};
    return Server::start(std::move(parameters));
  };
  for (const std::string listen : {"localhost:8443", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:8443",
                                   "[127.0.0.1]:1", ":8443", ""}) {
    const auto server = attempt(listen);
    ASSERT_FALSE(server) << listen;
    EXPECT_EQ(server.error().kind, ErrorKind::invalid) << listen;
    EXPECT_THAT(server.error().message, HasSubstr("127.0.0.1:8443")) << listen;
  }
  start([](Request, Responder) {});
  const auto taken = attempt("127.0.0.1:" + port());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, "AddressInUse");
  auto parameters = test::server_parameters(certificates_, [](Request, Responder) {});
  parameters.identity.private_key_pem =
      Secret(std::string_view(certificates_.authority.issue("x", "").key_pem));
  const auto mismatch = Server::start(parameters);
  ASSERT_FALSE(mismatch);
  EXPECT_THAT(mismatch.error().message, HasSubstr("does not belong to the certificate"));
  parameters = test::server_parameters(certificates_, [](Request, Responder) {});
  parameters.agents_authority_pem = "";
  EXPECT_FALSE(Server::start(parameters))
      << "an agents plane that trusts nobody in particular must not start";
}

}  // namespace
}  // namespace merlon::net
