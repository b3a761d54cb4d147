// Test only: an authenticator in software. It makes what real ones make, and on request what none would.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/ecdsa_form.h"
#include "crypto/jose.h"
#include "identity/webauthn.h"

namespace merlon::identity {

class TestAuthenticator {
 public:
  explicit TestAuthenticator(crypto::SignatureAlgorithm algorithm = crypto::SignatureAlgorithm::es256)
      : algorithm_(algorithm), key_(make_key(algorithm)) {}

  // May be changed before anything is made.
  std::string origin = "https://merlon.localhost:8443";
  std::string rp_id = "merlon.localhost";
  std::string credential = "credential-0001";
  uint8_t flags = 0x05;  // present and verified
  uint32_t count = 0;
  JsonObject more_client_data;
  Bytes user_handle;

  Bytes client_data(const std::string& type, ByteView challenge) const {
    JsonObject data{
        {"type", type}, {"challenge", to_base64url(challenge)}, {"origin", origin}, {"crossOrigin", false}};
    for (const auto& member : more_client_data) data[member.key()] = member.value();
    return bytes_of(to_text(data));
  }
  Bytes authenticator_data(bool with_key) const {
    const auto hash = crypto::sha256(as_bytes(rp_id));
    Bytes data(hash.begin(), hash.end());
    data.push_back(static_cast<uint8_t>(flags | (with_key ? 0x40 : 0)));
    for (int shift = 24; shift >= 0; shift -= 8) data.push_back(static_cast<uint8_t>(count >> shift));
    if (!with_key) return data;
    data.insert(data.end(), 16, 0);
    data.push_back(static_cast<uint8_t>(credential.size() >> 8U));
    data.push_back(static_cast<uint8_t>(credential.size()));
    append(data, as_bytes(credential));
    append(data, cose_key());
    return data;
  }
  Bytes attestation() const {
    Bytes object = {0xa3};
    append(object, cbor_text("fmt"));
    append(object, cbor_text("none"));
    append(object, cbor_text("attStmt"));
    object.push_back(0xa0);
    append(object, cbor_text("authData"));
    append(object, cbor_bytes(authenticator_data(true)));
    return object;
  }
  Bytes sign(ByteView authenticator, ByteView client) const {
    Bytes message(authenticator.begin(), authenticator.end());
    append(message, crypto::sha256(client));
    const auto signature = key_.sign(algorithm_, message);
    EXPECT_TRUE(signature);
    if (algorithm_ != crypto::SignatureAlgorithm::es256) return *signature;
    return *crypto::ecdsa_der_of_raw(*signature, 32);
  }

  static Bytes cbor_bytes(ByteView data) { return with_head(0x40, data); }
  static Bytes cbor_text(std::string_view text) { return with_head(0x60, as_bytes(text)); }

 private:
  static crypto::PrivateKey make_key(crypto::SignatureAlgorithm algorithm) {
    const crypto::KeyKind kind = algorithm == crypto::SignatureAlgorithm::es256   ? crypto::KeyKind::ec_p256
                                 : algorithm == crypto::SignatureAlgorithm::eddsa ? crypto::KeyKind::ed25519
                                                                                  : crypto::KeyKind::rsa;
    auto key = crypto::PrivateKey::generate(kind);
    EXPECT_TRUE(key);
    return *std::move(key);
  }
  static Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }
  static void append(Bytes& to, ByteView more) { to.insert(to.end(), more.begin(), more.end()); }
  static Bytes with_head(uint8_t major, ByteView data) {
    Bytes out;
    if (data.size() < 24) {
      out.push_back(static_cast<uint8_t>(major | data.size()));
    } else {
      out.push_back(static_cast<uint8_t>(major | 25));
      out.push_back(static_cast<uint8_t>(data.size() >> 8U));
      out.push_back(static_cast<uint8_t>(data.size()));
    }
    append(out, data);
    return out;
  }
  Bytes cose_key() const {
    const JsonObject jwk = crypto::to_jwk(key_.public_key());
    const auto member = [&](const char* name) { return *from_base64url(*string_at(jwk, name)); };
    Bytes cose;
    switch (algorithm_) {
      case crypto::SignatureAlgorithm::es256:
        cose = {0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21};
        append(cose, cbor_bytes(member("x")));
        cose.push_back(0x22);
        append(cose, cbor_bytes(member("y")));
        break;
      case crypto::SignatureAlgorithm::eddsa:
        cose = {0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21};
        append(cose, cbor_bytes(member("x")));
        break;
      default:
        cose = {0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20};
        append(cose, cbor_bytes(member("n")));
        cose.push_back(0x21);
        append(cose, cbor_bytes(member("e")));
    }
    return cose;
  }

  crypto::SignatureAlgorithm algorithm_;
  crypto::PrivateKey key_;
};

}  // namespace merlon::identity
