// What authenticators make, and everything about it that must not be taken.
#include "identity/webauthn.h"

#include "identity/cbor.h"
#include "identity/test_authenticator.h"

namespace merlon::identity {
namespace {

using crypto::SignatureAlgorithm;

const WebauthnQuestion& question() {
  static const WebauthnQuestion asked{
      .challenge = Bytes(32, 7), .origin = "https://merlon.localhost:8443", .rp_id = "merlon.localhost"};
  return asked;
}

Result<AuthenticatorData> registered(const TestAuthenticator& device) {
  return verify_registration(question(), device.client_data("webauthn.create", question().challenge),
                             device.attestation());
}

Result<AuthenticatorData> asserted(const TestAuthenticator& device, const WebauthnKey& key) {
  const Bytes client = device.client_data("webauthn.get", question().challenge);
  const Bytes data = device.authenticator_data(false);
  return verify_assertion(question(), key, client, data, device.sign(data, client));
}

std::string cause_of(const Result<AuthenticatorData>& result) {
  return result ? "accepted" : result.error().cause;
}

class WebauthnAlgorithms : public ::testing::TestWithParam<SignatureAlgorithm> {};

TEST_P(WebauthnAlgorithms, RegistersAndSignsIn) {
  TestAuthenticator device(GetParam());
  device.count = 5;
  const auto made = registered(device);
  ASSERT_TRUE(made) << made.error().cause;
  EXPECT_EQ(as_text(made->credential_id), device.credential);
  EXPECT_EQ(made->key->algorithm, GetParam());
  EXPECT_EQ(made->sign_count, 5U);
  EXPECT_TRUE(made->user_verified);
  const auto used = asserted(device, *made->key);
  EXPECT_TRUE(used) << used.error().cause;
  // Another key's signature.
  TestAuthenticator other(GetParam());
  EXPECT_EQ(cause_of(asserted(other, *made->key)), "a signature that does not verify");
}

INSTANTIATE_TEST_SUITE_P(All, WebauthnAlgorithms,
                         ::testing::Values(SignatureAlgorithm::es256, SignatureAlgorithm::eddsa,
                                           SignatureAlgorithm::rs256));

TEST(Webauthn, WhatWasMadeForSomethingElse) {
  TestAuthenticator device;
  const auto made = registered(device);
  ASSERT_TRUE(made);
  const auto both = [&](const TestAuthenticator& changed, std::string_view cause) {
    EXPECT_EQ(cause_of(registered(changed)), cause);
    EXPECT_EQ(cause_of(asserted(changed, *made->key)), cause);
  };
  TestAuthenticator changed = device;
  changed.origin = "https://merlon.localhost:8444";
  both(changed, "made at another origin: https://merlon.localhost:8444");
  changed = device;
  changed.rp_id = "localhost";
  both(changed, "made for another server");
  changed = device;
  changed.flags = 0x04;
  both(changed, "nobody was there");
  changed = device;
  changed.flags = 0x01;
  both(changed, "the device did not ask who is there");
  changed = device;
  changed.flags = 0x15;
  both(changed, "backed up, but not to be backed up");
  changed = device;
  changed.more_client_data = {{"crossOrigin", true}};
  both(changed, "made in a frame of another origin");
  changed = device;
  changed.more_client_data = {{"challenge", to_base64url(Bytes(32, 8))}};
  both(changed, "an answer to another challenge");
  changed = device;
  changed.more_client_data = {{"type", "payment.get"}};
  both(changed, "client data of another ceremony");
}

TEST(Webauthn, OneCeremonyIsNotTheOther) {
  const TestAuthenticator device;
  const auto made = registered(device);
  ASSERT_TRUE(made);
  const Bytes create = device.client_data("webauthn.create", question().challenge);
  const Bytes data = device.authenticator_data(false);
  EXPECT_EQ(cause_of(verify_assertion(question(), *made->key, create, data, device.sign(data, create))),
            "client data of another ceremony");
  const Bytes get = device.client_data("webauthn.get", question().challenge);
  const Bytes with_key = device.authenticator_data(true);
  EXPECT_EQ(cause_of(verify_assertion(question(), *made->key, get, with_key, device.sign(with_key, get))),
            "authenticator data of another ceremony");
}

TEST(Webauthn, EveryBitIsSigned) {
  TestAuthenticator device;
  const auto made = registered(device);
  ASSERT_TRUE(made);
  const Bytes client = device.client_data("webauthn.get", question().challenge);
  const Bytes data = device.authenticator_data(false);
  const Bytes signature = device.sign(data, client);
  Bytes counted = data;
  counted.back() ^= 1;
  EXPECT_FALSE(verify_assertion(question(), *made->key, client, counted, signature));
  Bytes spaced = client;
  spaced.insert(spaced.begin() + 1, ' ');
  EXPECT_FALSE(verify_assertion(question(), *made->key, spaced, data, signature));
  Bytes longer = signature;
  longer.push_back(0);
  EXPECT_FALSE(verify_assertion(question(), *made->key, client, data, longer));
  EXPECT_FALSE(verify_assertion(question(), *made->key, client, data, {}));
  EXPECT_TRUE(verify_assertion(question(), *made->key, client, data, signature));
}

TEST(Webauthn, AuthenticatorDataOfEveryLength) {
  const TestAuthenticator device;
  const Bytes whole = device.authenticator_data(true);
  ASSERT_TRUE(parse_authenticator_data(whole, Ceremony::registration, "merlon.localhost"));
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(
        parse_authenticator_data(ByteView(whole).first(size), Ceremony::registration, "merlon.localhost"))
        << size;
  Bytes more = whole;
  more.push_back(0);
  EXPECT_FALSE(parse_authenticator_data(more, Ceremony::registration, "merlon.localhost"));
  // Extensions are passed over where the flag says that there are some.
  Bytes extended = whole;
  extended[32] |= 0x80;
  EXPECT_FALSE(parse_authenticator_data(extended, Ceremony::registration, "merlon.localhost"));
  for (const int byte : {0xa1, 0x61, 0x78, 0xf5}) extended.push_back(static_cast<uint8_t>(byte));
  EXPECT_TRUE(parse_authenticator_data(extended, Ceremony::registration, "merlon.localhost"));
}

TEST(Webauthn, AttestationObjectsOfEveryLength) {
  const TestAuthenticator device;
  const Bytes whole = device.attestation();
  ASSERT_TRUE(authenticator_data_of(whole));
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(authenticator_data_of(ByteView(whole).first(size))) << size;
  EXPECT_FALSE(authenticator_data_of(Bytes(20000, 0xa0)));
}

TEST(Cbor, WhatIsNotCanonicalOrTooDeep) {
  for (const Bytes& data : {Bytes{0x9f, 0xff}, Bytes{0xbf, 0xff}, Bytes{0x5f, 0x41, 0x00, 0xff},
                            Bytes{0xc0, 0x00}, Bytes{0xfb, 0, 0, 0, 0, 0, 0, 0, 0}, Bytes{0xff},
                            Bytes{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, Bytes{0x1c}, Bytes{},
                            Bytes{0xba, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00}, Bytes(20, 0x81)})
    EXPECT_FALSE(CborReader(data).skip()) << to_hex(data);
  CborReader number(Bytes{});
  EXPECT_FALSE(number.integer());
  const Bytes negative = {0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  EXPECT_FALSE(CborReader(negative).integer());
  const Bytes lowest = {0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(CborReader(lowest).integer(), std::numeric_limits<int64_t>::min());
}

}  // namespace
}  // namespace merlon::identity
