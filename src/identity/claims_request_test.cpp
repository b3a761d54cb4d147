// What clients send as "claims", and what we make of it.
#include "identity/claims_request.h"

#include <gtest/gtest.h>

namespace merlon::identity {
namespace {

using std::chrono::seconds;

SignIn<ClaimsRequest> read(const std::string& text) { return parse_claims_request(&text); }

TEST(ClaimsRequest, NothingIsAskedFor) {
  for (const char* text : {"", "{}", R"({"id_token":{"amr":{"essential":true,"value":"mfa"}}})",
                           R"({"access_token":null})", R"({"access_token":{"amr":null}})",
                           R"({"access_token":{"amr":{"value":"mfa"},"auth_time":{"value":5}}})",
                           R"({"access_token":{"acrs":{"essential":true,"value":"c1"}}})"}) {
    const auto asked = read(text);
    ASSERT_TRUE(asked) << text;
    EXPECT_TRUE(asked->satisfied_by({"pwd"}, Timestamp())) << text;
    EXPECT_FALSE(asked->understands_challenge);
  }
  EXPECT_TRUE(parse_claims_request(nullptr));
}

TEST(ClaimsRequest, AsAzureCliAndTheSdksSendIt) {
  const auto plain = read(R"({"access_token":{"xms_cc":{"values":["CP1"]}}})");
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->understands_challenge);
  // MSAL merges a challenge with what it can do itself.
  const auto merged =
      read(R"({"access_token":{"amr":{"essential":true,"values":["mfa"]},)"
           R"("auth_time":{"essential":true,"value":"1790000000"},"xms_cc":{"values":["CP1"]}}})");
  ASSERT_TRUE(merged);
  EXPECT_TRUE(merged->understands_challenge);
  EXPECT_TRUE(merged->mfa);
  EXPECT_EQ(merged->signed_in_since, Timestamp(seconds(1790000000)));
  EXPECT_FALSE(merged->satisfied_by({"pwd"}, Timestamp(seconds(1790000000))));
  EXPECT_FALSE(merged->satisfied_by({"pwd", "mfa"}, Timestamp(seconds(1789999999))));
  EXPECT_TRUE(merged->satisfied_by({"pwd", "mfa"}, Timestamp(seconds(1790000000))));
}

TEST(ClaimsRequest, OursIsReadAsItWasMeant) {
  const auto asked = read(step_up_claims(Timestamp(seconds(1234567890))));
  ASSERT_TRUE(asked);
  EXPECT_TRUE(asked->mfa);
  EXPECT_EQ(asked->signed_in_since, Timestamp(seconds(1234567890)));
}

TEST(ClaimsRequest, WhatIsMalformedIsRefused) {
  for (const std::string& text :
       {std::string("x"), std::string("[]"), std::string("{"), std::string(R"({"access_token":[]})"),
        std::string(R"({"access_token":{"auth_time":{"essential":true,"value":"soon"}}})"),
        std::string(R"({"access_token":{"auth_time":{"essential":true,"value":-1}}})"),
        std::string(R"({"access_token":{"auth_time":{"essential":true,"value":1e300}}})"),
        std::string(R"({"access_token":{"auth_time":{"essential":true,"value":"99999999999999999999"}}})"),
        std::string(9000, ' ')}) {
    const auto asked = read(text);
    ASSERT_FALSE(asked) << text;
    EXPECT_EQ(asked.error().number, 9002313);
  }
}

}  // namespace
}  // namespace merlon::identity
