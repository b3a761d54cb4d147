// Signed heads: their JSON, the text that is signed, and the key that signs.
#include <limits>

#include "base/time_text.h"
#include "ledger/head_signer.h"

namespace merlon::ledger {
namespace {

constexpr size_t kSignatureBytes = 64;  // RFC 8032 section 5.1.6

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorKind::invalid, "LedgerHeadMalformed",
              "This is not a signed head of a ledger: " + std::string(what) +
                  ". Use a head as Merlon wrote it, unchanged.",
              "head");
}

std::optional<uint64_t> size_at(const JsonObject& json, std::string_view key) {
  const auto value = int_at(json, key);
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

}  // namespace

std::optional<Hash> hash_of_text(std::string_view hex) {
  const auto bytes = from_hex(hex);
  Hash hash{};
  // One spelling per hash: lower case.
  if (!bytes || bytes->size() != hash.size() || to_hex(*bytes) != hex) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

std::string signed_text(const SignedHead& head) {
  JsonObject json = head.to_json();
  json.erase("signature");
  return to_canonical_text(Json(json));
}

JsonObject SignedHead::to_json() const {
  MERLON_CHECK(size <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  return JsonObject{{"keyId", key_id},
                    {"root", to_hex(root)},
                    {"signature", to_base64url(signature)},
                    {"size", static_cast<int64_t>(size)},
                    {"tenantId", tenant.text()},
                    {"time", to_rfc3339(time)}};
}

Result<SignedHead> SignedHead::from_json(const JsonObject& json) {
  SignedHead head;
  const auto size = size_at(json, "size");
  if (!size) return malformed("'size' is not a count of entries");
  const auto root = hash_of_text(string_at(json, "root").value_or(""));
  if (!root) return malformed("'root' is not a SHA-256 hash in lower-case hex");
  const auto key_id = string_at(json, "keyId").value_or("");
  if (!hash_of_text(key_id)) return malformed("'keyId' is not a SHA-256 hash in lower-case hex");
  const std::string time_text = string_at(json, "time").value_or("");
  const auto time = from_rfc3339(time_text);
  if (!time || to_rfc3339(*time) != time_text) return malformed("'time' is not a time in UTC");
  const std::string tenant_text = string_at(json, "tenantId").value_or("");
  const auto tenant = Uuid::parse(tenant_text);
  if (!tenant || tenant->text() != tenant_text) return malformed("'tenantId' is not a UUID in lower case");
  auto signature = from_base64url(string_at(json, "signature").value_or(""));
  if (!signature || signature->size() != kSignatureBytes)
    return malformed("'signature' is not an Ed25519 signature");
  head.size = *size;
  head.root = *root;
  head.time = *time;
  head.key_id = key_id;
  head.signature = *std::move(signature);
  head.tenant = TenantId{*tenant};
  return head;
}

bool head_verifies(const SignedHead& head, const crypto::PublicKey& key) {
  if (key.kind() != crypto::KeyKind::ed25519 || crypto::spki_hash_hex(key) != head.key_id) return false;
  return key.verify(crypto::SignatureAlgorithm::eddsa, as_bytes(signed_text(head)), head.signature);
}

bool head_signature_valid(const SignedHead& head, std::string_view public_key_pem) {
  const auto key = crypto::PublicKey::from_pem(public_key_pem);
  return key && head_verifies(head, *key);
}

HeadSigner::HeadSigner(crypto::PrivateKey key)
    : key_(std::move(key)),
      public_key_(key_.public_key()),
      key_id_(crypto::spki_hash_hex(public_key_)),
      pem_(public_key_.pem()) {}

Result<SignedHead> HeadSigner::sign(const TenantId& tenant, const Frontier& frontier, Timestamp time) const {
  SignedHead head;
  head.size = frontier.size;
  head.root = frontier.root();
  head.time = time;
  head.key_id = key_id_;
  head.tenant = tenant;
  head.signature = TRY(key_.sign(crypto::SignatureAlgorithm::eddsa, as_bytes(signed_text(head))));
  return head;
}

}  // namespace merlon::ledger
