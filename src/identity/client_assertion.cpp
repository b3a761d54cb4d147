// Verification of client assertions.
#include "identity/client_assertion.h"

#include <algorithm>
#include <cmath>

#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/x509.h"
#include "identity/audience.h"

namespace merlon::identity {
namespace {

constexpr Duration kSkew = std::chrono::minutes(5);
constexpr Duration kLifetimeMax = std::chrono::hours(24);
constexpr double kSecondsMax = 253402300799.0;

std::unexpected<SignInError> bad_assertion(const std::string& reason) {
  return refuse(700027, "Client assertion failed verification: " + reason);
}

// PyJWT writes fractions: a NumericDate is any JSON number (RFC 7519 section 2).
std::optional<Timestamp> numeric_date(const JsonObject& payload, std::string_view name) {
  const Json* value = find(payload, name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto seconds = value->to_number<double>(error);
  if (error || !(seconds >= 0) || seconds > kSecondsMax) return std::nullopt;
  return Timestamp(Duration(static_cast<int64_t>(std::floor(seconds * 1000))));
}

// MSAL for Python pads its thumbprints, against RFC 7515.
std::string_view unpadded(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  return text;
}

// True when the header names this certificate, or names none (then each is tried).
bool header_names(const JsonObject& header, const CertificateCredential& certificate) {
  const auto der = crypto::certificate_der(certificate.certificate_pem);
  if (!der) return false;
  if (const auto strong = string_at(header, "x5t#S256"))
    return unpadded(*strong) == to_base64url(crypto::sha256(*der));
  if (const auto weak = string_at(header, "x5t")) return unpadded(*weak) == to_base64url(crypto::sha1(*der));
  return true;
}

SignIn<const CertificateCredential*> find_signer(const Application& application,
                                                 const crypto::JwsParts& parts, Timestamp now) {
  const auto algorithm = crypto::signature_algorithm_from_jose(string_at(parts.header, "alg").value_or(""));
  if (algorithm != crypto::SignatureAlgorithm::rs256 && algorithm != crypto::SignatureAlgorithm::ps256)
    return bad_assertion("its algorithm must be RS256 or PS256.");
  bool named = false;
  for (const CertificateCredential& certificate : application.certificates) {
    if (!header_names(parts.header, certificate)) continue;
    named = true;
    const auto key = crypto::certificate_public_key(certificate.certificate_pem);
    if (!key || !crypto::verify_jws(parts, *algorithm, *key)) continue;
    if (now < certificate.start || now >= certificate.end)
      return bad_assertion(
          "the certificate that signed it is outside its period of validity. Register a new one.");
    return &certificate;
  }
  return bad_assertion(named ? "its signature does not verify with the application's certificate."
                             : "no certificate of the application has the thumbprint that its header names. "
                               "Register the certificate with the application.");
}

bool is_our_audience(std::string_view audience, const AssertionContext& context) {
  const auto url = parse_audience_url(audience);
  const auto own = parse_audience_url(context.origin);
  if (!url || !own || !url->same_origin(*own)) return false;
  const std::string_view path = without_slashes(url->path);
  if (path == "/adfs" || path == "/adfs/oauth2/token") return true;
  for (const std::string& tenant :
       {context.tenant.text(), std::string("common"), std::string("organizations"), context.domain})
    for (const std::string_view form : {"", "/v2.0", "/oauth2/token", "/oauth2/v2.0/token", "/b2c_adfs",
                                        "/b2c_adfs/v2.0", "/b2c_adfs/oauth2/v2.0/token"})
      if (path == "/" + tenant + std::string(form)) return true;
  return false;
}

SignIn<void> check_claims(const JsonObject& payload, const Application& application,
                          const AssertionContext& context) {
  const auto is_client = [&](std::string_view claim) {
    const auto id = Uuid::parse(string_at(payload, claim).value_or(""));
    return id == application.app_id;
  };
  if (!is_client("iss") || !is_client("sub"))
    return bad_assertion("its 'iss' and 'sub' must both be the client id '" + application.app_id.text() +
                         "'.");
  std::optional<std::string> audience = string_at(payload, "aud");
  if (const JsonArray* list = array_at(payload, "aud");
      list != nullptr && list->size() == 1 && list->front().is_string())
    audience = std::string(list->front().get_string());
  if (!audience || !is_our_audience(*audience, context))
    return bad_assertion("its 'aud' must be this token endpoint, '" + context.origin + "/" +
                         context.tenant.text() + "/oauth2/v2.0/token'.");
  return {};
}

std::string use_digest(const Application& application, const crypto::JwsParts& parts) {
  // Without a jti the assertion is known by itself.
  const std::string name = string_at(parts.payload, "jti").value_or(parts.signing_input);
  return to_hex(crypto::sha256(as_bytes(application.app_id.text() + "\n" + name)));
}

}  // namespace

SignIn<Timestamp> check_assertion_times(const JsonObject& payload, Timestamp now) {
  const auto expires = numeric_date(payload, "exp");
  if (!expires) return refuse(700024, "Client assertion has no expiry ('exp').");
  if (now >= *expires + kSkew)
    return refuse(700024,
                  "Client assertion is not within its valid time range: it has expired. Make a new one, and "
                  "check the clock of the machine that made it.");
  if (*expires > now + kLifetimeMax + kSkew)
    return refuse(700024,
                  "Client assertion is not within its valid time range: it may live for at most 24 hours.");
  for (const std::string_view start : {"nbf", "iat"}) {
    if (!payload.contains(start)) continue;
    const auto time = numeric_date(payload, start);
    if (!time || *time > now + kSkew)
      return refuse(700024, "Client assertion is not within its valid time range: its '" +
                                std::string(start) +
                                "' lies in the future. Check the clock of the machine that made it.");
  }
  return *expires + kSkew;
}

SignIn<ProvenAssertion> verify_client_assertion(const Application& application, std::string_view assertion,
                                                const AssertionContext& context) {
  const auto parts = crypto::parse_jws(assertion);
  if (!parts) return bad_assertion("it is not a signed JWT.");
  const CertificateCredential* signer = TRY(find_signer(application, *parts, context.now));
  TRY(check_claims(parts->payload, application, context));
  const Timestamp expires = TRY(check_assertion_times(parts->payload, context.now));
  return ProvenAssertion{.credential_id = signer->id,
                         .use = {.digest = use_digest(application, *parts), .peer = {}, .expires = expires}};
}

}  // namespace merlon::identity
