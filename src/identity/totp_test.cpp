// One-time codes: the vectors of RFC 6238, what is taken and what is not.
#include "identity/totp.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace merlon::identity {
namespace {

using std::chrono::seconds;

const Secret& rfc_secret() {
  static const Secret secret(std::string_view("12345678901234567890"));
  return secret;
}

Timestamp at(int64_t time) { return Timestamp(seconds(time)); }

TEST(Totp, VectorsOfRfc6238) {  // appendix B, SHA-1, the last six of its eight digits
  const std::pair<int64_t, const char*> vectors[] = {{59, "287082"},         {1111111109, "081804"},
                                                     {1111111111, "050471"}, {1234567890, "005924"},
                                                     {2000000000, "279037"}, {20000000000, "353130"}};
  for (const auto& [time, code] : vectors) EXPECT_EQ(totp_code(rfc_secret(), totp_step(at(time))), code);
}

TEST(Totp, TheStepBeforeAndTheStepAfterFit) {
  const Timestamp now = at(1111111109);
  const int64_t step = totp_step(now);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now, 0), step);
  EXPECT_EQ(totp_match(rfc_secret(), "081 804", now, 0), step);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now + seconds(30), 0), step);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now - seconds(30), 0), step);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now + seconds(60), 0), std::nullopt);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now - seconds(60), 0), std::nullopt);
}

TEST(Totp, AStepIsGoodOnce) {
  const Timestamp now = at(1111111109);
  const int64_t step = totp_step(now);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now, step), std::nullopt);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now, step + 1), std::nullopt);
  EXPECT_EQ(totp_match(rfc_secret(), "081804", now, step - 1), step);
}

TEST(Totp, WhatIsNoCodeFitsNothing) {
  const Timestamp now = at(1111111109);
  for (const std::string& typed :
       {std::string(), std::string("08180"), std::string("0818041"), std::string("-"), std::string("08180a"),
        std::string("\0", 1) + "081804", std::string(65, ' ') + "081804", std::string("\u0660\u0661\u0660")})
    EXPECT_EQ(totp_match(rfc_secret(), typed, now, 0), std::nullopt) << typed;
}

TEST(Totp, Base32OfRfc4648) {
  const std::pair<std::string_view, const char*> vectors[] = {{"", ""},
                                                              {"f", "MY"},
                                                              {"fo", "MZXQ"},
                                                              {"foo", "MZXW6"},
                                                              {"foob", "MZXW6YQ"},
                                                              {"fooba", "MZXW6YTB"},
                                                              {"foobar", "MZXW6YTBOI"}};
  for (const auto& [text, encoded] : vectors) EXPECT_EQ(base32(as_bytes(text)), encoded);
}

TEST(Totp, TheUriIsWhatAppsRead) {
  EXPECT_EQ(
      otpauth_uri(rfc_secret(), "Merlon", "ada@merlon.localhost"),
      "otpauth://totp/Merlon:ada%40merlon.localhost?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Merlon"
      "&algorithm=SHA1&digits=6&period=30");
}

}  // namespace
}  // namespace merlon::identity
