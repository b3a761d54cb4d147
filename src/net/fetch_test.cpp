// What fetch() promises about addresses that somebody else has chosen.
#include "net/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "net/test_peer.h"

namespace merlon::net {
namespace {

using testing::HasSubstr;

class FetchTest : public testing::Test {
 protected:
  FetchTest() {
    auto parameters = test::server_parameters(certificates_, [this](Request request, Responder respond) {
      ++asked_;
      if (request.path == "/silent") {
        unanswered_ = std::move(respond);
        return;
      }
      Response response = answer_;
      if (request.path == "/elsewhere") {
        response.status = 302;
        response.headers.set("Location", url("/ok"));
      }
      if (request.path == "/large") response.body = std::string(100'000, 'x');
      respond(std::move(response));
    });
    auto server = Server::start(std::move(parameters));
    MERLON_CHECK(server.has_value());
    server_ = *std::move(server);
  }
  std::string url(const std::string& path, const std::string& host = "127.0.0.1") const {
    return "https://" + host + ":" + test::port_of(*server_) + path;
  }
  Result<FetchedDocument> get(const std::string& path, Reach reach = Reach::anywhere) {
    return fetch({.url = url(path),
                  .authorities_pem = certificates_.authority.certificate_pem(),
                  .reach = reach,
                  .bytes_max = 1000});
  }
  std::string refusal(const std::string& path, Reach reach = Reach::anywhere) {
    const auto document = get(path, reach);
    return document ? "none" : document.error().message;
  }

  test::Certificates certificates_;
  Response answer_;
  std::optional<Responder> unanswered_;
  std::atomic<int> asked_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(FetchTest, ADocumentAndHowLongItIsGood) {
  answer_.body = "{}";
  answer_.headers.set("Cache-Control", "public, max-age=600");
  const auto document = get("/ok");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->body, "{}");
  EXPECT_EQ(document->max_age, std::chrono::seconds(600));
  for (const std::string odd : {"max-age=-1", "max-age=6x", "max-age=99999999999999", "public", ""}) {
    answer_.headers.set("Cache-Control", odd);
    EXPECT_EQ(get("/ok")->max_age, std::nullopt) << odd;
  }
  for (const std::string none : {"no-store", "No-Cache", "max-age=600, no-store", "max-age=0"}) {
    answer_.headers.set("Cache-Control", none);
    EXPECT_EQ(get("/ok")->max_age, std::chrono::seconds(0)) << none;
  }
}

TEST_F(FetchTest, NothingInsideTheNetworkIsReached) {
  EXPECT_THAT(refusal("/ok", Reach::public_internet), HasSubstr("127.0.0.1: not an address"));
  for (const std::string host : {"localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"}) {
    const auto document = fetch({.url = url("/ok", host),
                                 .authorities_pem = certificates_.authority.certificate_pem(),
                                 .reach = Reach::public_internet});
    EXPECT_FALSE(document) << host;
  }
  EXPECT_EQ(asked_, 0);
}

TEST_F(FetchTest, NoRedirectNoFloodNoWait) {
  EXPECT_THAT(refusal("/elsewhere"), HasSubstr("redirect (302)"));
  EXPECT_EQ(asked_, 1) << "the redirect must not be followed";
  EXPECT_THAT(refusal("/large"), HasSubstr("could not be read"));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal("/silent"), HasSubstr("no answer within the time limit"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(9));
  answer_.status = 401;
  EXPECT_THAT(refusal("/ok"), HasSubstr("status 401"));
}

TEST_F(FetchTest, OnlyHttpsFromWhomWeTrust) {
  EXPECT_FALSE(fetch({.url = "http://127.0.0.1/", .authorities_pem = {}, .reach = Reach::anywhere}));
  EXPECT_FALSE(fetch({.url = "file:///etc/passwd", .authorities_pem = {}, .reach = Reach::anywhere}));
  const auto untrusted = fetch({.url = url("/ok"), .authorities_pem = {}, .reach = Reach::anywhere});
  ASSERT_FALSE(untrusted);
  EXPECT_THAT(untrusted.error().message, HasSubstr("did not prove to be '127.0.0.1'"));
  EXPECT_EQ(asked_, 0);
}

TEST(PublicAddress, SpecialPurposeAddressesAreNot) {
  for (const char* address :
       {"0.0.0.0",      "0.1.2.3",         "10.1.2.3",         "100.64.0.1",      "127.0.0.1",
        "127.9.9.9",    "169.254.169.254", "172.16.0.1",       "172.31.255.255",  "192.168.1.1",
        "192.0.2.1",    "198.18.0.1",      "224.0.0.1",        "255.255.255.255", "::",
        "::1",          "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::7f00:1",        "64:ff9b::7f00:1",
        "64:ff9b:1::1", "fe80::1",         "fec0::1",          "fc00::1",         "fd12::1",
        "ff02::1",      "2001::1",         "2002:7f00:1::",    "2001:db8::1",     "100::1"})
    EXPECT_FALSE(is_public_address(*IpAddress::parse(address))) << address;
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "172.15.255.255", "172.32.0.0",
        "192.167.0.1", "223.255.255.255", "2600::1", "2a00:1450::1", "2001:4860::8888", "::ffff:8.8.8.8"})
    EXPECT_TRUE(is_public_address(*IpAddress::parse(address))) << address;
}

}  // namespace
}  // namespace merlon::net
