// Codes on their way to become a session: authorization codes (RFC 6749 section 4.1) and device codes
// (RFC 8628). Stored, so that any server can redeem what another gave; only digests of what a client
// presents.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "identity/claims_request.h"
#include "identity/scope.h"
#include "store/table.h"

namespace merlon::identity {

struct AuthorizationCode {
  std::string digest;  // SHA-256 of the code, hex
  Uuid client;
  std::string redirect_uri;  // as it was asked; the token request must repeat it
  std::string challenge;     // PKCE S256 (RFC 7636); empty when a client with a credential sent none
  RequestedScope scope;
  std::string nonce;
  Uuid user;
  Uuid session;  // the browser's
  std::string stamp;
  std::vector<std::string> amr;
  Timestamp auth_time;
  Timestamp redeemable_until;
  Timestamp expires;         // kept longer than it can be redeemed, so that a second use is recognised
  std::optional<Uuid> gave;  // the session that it became
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<AuthorizationCode> from_json(const JsonObject& json);
};

enum class DeviceState { pending, approved, declined };

struct DeviceCode {
  std::string digest;     // SHA-256 of the device code, hex
  std::string user_code;  // without the dash; nothing can be had for it but the question whether to allow
  Uuid client;
  RequestedScope scope;
  std::string address;  // who asks
  std::string user_agent;
  ClaimsRequest claims{};  // what the sign-in must be like
  DeviceState state = DeviceState::pending;
  Timestamp last_poll;
  Timestamp created;
  Timestamp redeemable_until;
  Timestamp expires;
  // Who allowed it, once somebody has.
  std::optional<Uuid> user;
  std::optional<Uuid> session;
  std::string stamp;
  std::vector<std::string> amr;
  Timestamp auth_time;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<DeviceCode> from_json(const JsonObject& json);
};

// 256 random bits, for codes, tokens and cookies.
std::string make_code(Random& random);
std::string code_digest(std::string_view code);

// RFC 8628 section 6.1: consonants alone, so that no word arises and none is misread; 34 bits, and guesses
// are counted.
std::string make_user_code(Random& random);
// What a person typed, with or without the dash, in any case; nothing when it cannot be one.
std::optional<std::string> parse_user_code(std::string_view text);
std::string shown_user_code(std::string_view code);  // "BCDF-GHJK"

}  // namespace merlon::identity
