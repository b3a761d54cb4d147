// Compact JWS (RFC 7515 section 3.1).
#include "crypto/jose.h"

#include "base/text.h"

namespace merlon::crypto {
namespace {

constexpr size_t kTokenBytesMax = 16 * 1024;
constexpr JsonLimits kTokenLimits = {.bytes_max = kTokenBytesMax, .depth_max = 16};

std::unexpected<Error> bad_token(std::string_view why) {
  return fail(ErrorKind::invalid, "InvalidToken",
              "The token is not acceptable: " + std::string(why) + ". Ask for a new one.");
}

std::optional<JsonObject> decode_object(std::string_view part) {
  const auto bytes = from_base64url(part);
  if (!bytes) return std::nullopt;
  auto object = parse_json_object(as_text(*bytes), kTokenLimits);
  if (!object) return std::nullopt;
  return *std::move(object);
}

// What a header may not say. No extension is understood, so every `crit` names an unknown one (RFC 7515
// section 4.1.11); keys and addresses of keys in a token are the sender's word about itself (RFC 8725
// section 3.10). An x5c is let through unread: Azure's clients send it beside x5t when asked to, and no key
// is ever taken from it.
std::optional<std::string_view> header_fault(const JsonObject& header) {
  const auto algorithm = string_at(header, "alg");
  if (!algorithm) return "its header names no algorithm";
  if (ascii_iequal(*algorithm, "none")) return "it is not signed";
  for (const std::string_view refused : {"crit", "b64", "jwk", "jku", "x5u"})
    if (header.contains(refused)) return "its header has a member that is refused (crit, b64, jwk, jku, x5u)";
  return std::nullopt;
}

}  // namespace

Result<JwsParts> parse_jws(std::string_view compact) {
  if (compact.size() > kTokenBytesMax) return bad_token("it is longer than 16 KiB");
  const std::vector<std::string_view> parts = split(compact, '.');
  if (parts.size() != 3) return bad_token("it is not made of three parts");
  auto header = decode_object(parts[0]);
  if (!header) return bad_token("its header is not a JSON object in base64url");
  if (const auto fault = header_fault(*header)) return bad_token(*fault);
  auto payload = decode_object(parts[1]);
  if (!payload) return bad_token("its payload is not a JSON object in base64url");
  auto signature = from_base64url(parts[2]);
  if (!signature || signature->empty()) return bad_token("its signature is missing or not base64url");
  return JwsParts{.header = *std::move(header),
                  .payload = *std::move(payload),
                  .signature = *std::move(signature),
                  .signing_input = std::string(compact.substr(0, parts[0].size() + 1 + parts[1].size()))};
}

bool verify_jws(const JwsParts& parts, SignatureAlgorithm algorithm, const PublicKey& key) {
  const auto named = string_at(parts.header, "alg");
  return named == jose_name(algorithm) &&
         key.verify(algorithm, as_bytes(parts.signing_input), parts.signature);
}

Result<std::string> sign_jws(JsonObject header, const JsonObject& payload, SignatureAlgorithm algorithm,
                             const PrivateKey& key) {
  header["alg"] = jose_name(algorithm);
  if (header_fault(header)) return internal_error("sign_jws was given a header that parse_jws would refuse");
  std::string token =
      to_base64url(as_bytes(to_text(header))) + "." + to_base64url(as_bytes(to_text(payload)));
  const Bytes signature = TRY(key.sign(algorithm, as_bytes(token)));
  token += "." + to_base64url(signature);
  if (token.size() > kTokenBytesMax)
    return internal_error("sign_jws was given more than a token of 16 KiB holds");
  return token;
}

}  // namespace merlon::crypto
