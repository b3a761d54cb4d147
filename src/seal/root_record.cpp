// Each wrapping has the record's id and its purpose as associated data: a wrapped key moved into another
// record, or from one field to the other, does not open.
#include "seal/root_record.h"

#include <cstring>

#include "base/text.h"
#include "base/uuid.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/passphrase_key.h"
#include "crypto/pkcs11.h"
#include "crypto/tpm2.h"

namespace merlon::seal {
namespace {

constexpr std::string_view kKey = "root";
constexpr size_t kRecoveryBytes = 16;
constexpr size_t kGroup = 4;

Bytes context_of(const RootRecord& record, std::string_view purpose) {
  return to_bytes("merlon.seal.root.v1\n" + record.id + "\n" + std::string(purpose));
}

std::unexpected<Error> malformed(const std::string& why) {
  return internal_error("the record of the root key is malformed: " + why);
}

Result<Bytes> require_bytes(const JsonObject& json, std::string_view name) {
  auto bytes = from_base64url(TRY(require_string(json, name)));
  if (!bytes) return malformed(std::string(name) + " is not base64url");
  return *std::move(bytes);
}

Result<JsonObject> keep_by_passphrase(const RootRecord& record, const RootPlace& place, const Secret& root,
                                      Random& random) {
  MERLON_CHECK(place.typed.has_value());
  const crypto::PassphraseParameters parameters = crypto::new_passphrase_parameters(random);
  const Secret key = TRY(crypto::derive_passphrase_key(*place.typed, parameters));
  return JsonObject{{"salt", to_base64url(parameters.salt)},
                    {"passes", parameters.passes},
                    {"memory", parameters.memory_bytes},
                    {"wrapped", to_base64url(crypto::aead_seal(key, root.expose(),
                                                               context_of(record, "passphrase"), random))}};
}

Result<Secret> open_by_passphrase(const RootRecord& record, const Secret& typed) {
  const crypto::PassphraseParameters parameters{TRY(require_bytes(record.kept, "salt")),
                                                TRY(require_int(record.kept, "passes")),
                                                TRY(require_int(record.kept, "memory"))};
  const Secret key = TRY(crypto::derive_passphrase_key(typed, parameters));
  return crypto::aead_open(key, TRY(require_bytes(record.kept, "wrapped")), context_of(record, "passphrase"));
}

// Full entropy needs no slow hash.
Secret recovery_wrap_key(ByteView recovery_bytes) {
  return Secret(crypto::hmac_sha256(recovery_bytes, to_bytes("merlon.seal.recovery.v1")));
}

// Groups, spaces and letter case are for people. Nothing when it has not the form of a recovery key.
std::optional<Secret> recovery_bytes_of(const Secret& typed) {
  Bytes bytes;
  int high = -1;
  for (const char c : typed.expose_text()) {
    if (c == '-' || c == ' ') continue;
    const char lower = ascii_lower(c);
    const int digit = lower >= '0' && lower <= '9'   ? lower - '0'
                      : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                     : -1;
    if (digit < 0 || bytes.size() == kRecoveryBytes) return std::nullopt;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<uint8_t>(high * 16 + digit));
      high = -1;
    }
  }
  Secret secret(std::move(bytes));
  if (high >= 0 || secret.size() != kRecoveryBytes) return std::nullopt;
  return secret;
}

std::optional<Secret> open_by_recovery_key(const RootRecord& record, const Secret& typed) {
  if (record.recovery.empty()) return std::nullopt;
  const auto bytes = recovery_bytes_of(typed);
  const auto wrapped = from_base64url(record.recovery);
  if (!bytes || !wrapped) return std::nullopt;
  auto root = crypto::aead_open(recovery_wrap_key(bytes->expose()), *wrapped, context_of(record, "recovery"));
  if (!root) return std::nullopt;
  return *std::move(root);
}

Result<Secret> open_by_keeper(const RootRecord& record, const RootPlace& place) {
  if (record.kind == RootKind::token)
    return crypto::token_unwrap({place.detail}, TRY(require_bytes(record.kept, "wrapped")),
                                context_of(record, "token"));
  return crypto::tpm_unseal(
      TRY(crypto::parse_tpm_place(place.detail)),
      {TRY(require_bytes(record.kept, "public")), TRY(require_bytes(record.kept, "private"))});
}

}  // namespace

const store::TableSpec& root_table() {
  static const store::TableSpec table{"seal_root", {}};
  return table;
}

store::Row RootRecord::to_row() const {
  JsonObject json{{"id", id}, {"kind", kind_text(kind)}, {"kept", kept}};
  if (!recovery.empty()) json["recovery"] = recovery;
  return {std::string(kKey), to_text(json), {}};
}

Result<RootRecord> read_root_record(store::Reader& reader) {
  const auto row = TRY(reader.get(root_table(), TenantId(), kKey));
  RootRecord record;
  if (!row) return record;
  const JsonObject json = TRY(parse_json_object(row->body));
  record.id = TRY(require_string(json, "id"));
  const std::string kind = TRY(require_string(json, "kind"));
  const auto known = parse_kind(kind);
  if (!known || !Uuid::parse(record.id)) return malformed(row->body.substr(0, 100));
  record.kind = *known;
  const auto* const kept = json.if_contains("kept");
  if (kept == nullptr || !kept->is_object()) return malformed("it has no object 'kept'");
  record.kept = kept->get_object();
  if (json.contains("recovery")) record.recovery = TRY(require_string(json, "recovery"));
  return record;
}

Result<RootRecord> keep_root(const RootPlace& place, const Secret& root, Random& random) {
  RootRecord record{.id = Uuid::generate(random).text(), .kind = place.kind, .kept = {}, .recovery = {}};
  switch (place.kind) {
    case RootKind::file:
      break;
    case RootKind::passphrase:
      record.kept = TRY(keep_by_passphrase(record, place, root, random));
      break;
    case RootKind::token:
      record.kept = {{"wrapped", to_base64url(TRY(crypto::token_wrap({place.detail}, root,
                                                                     context_of(record, "token"), random)))}};
      break;
    case RootKind::tpm: {
      const auto sealed = TRY(crypto::tpm_seal(TRY(crypto::parse_tpm_place(place.detail)), root));
      record.kept = {{"public", to_base64url(sealed.public_part)},
                     {"private", to_base64url(sealed.private_part)}};
      break;
    }
  }
  return record;
}

Result<Secret> open_root(const RootRecord& record, const RootPlace& place) {
  MERLON_CHECK(record.kind == place.kind && record.kind != RootKind::file);
  if (place.typed) {
    if (auto root = open_by_recovery_key(record, *place.typed)) return *std::move(root);
    if (record.kind == RootKind::passphrase) {
      auto root = open_by_passphrase(record, *place.typed);
      if (root || root.error().kind == ErrorKind::unavailable) return root;
    }
    return fail(ErrorKind::forbidden, "RootPassphraseWrong",
                record.kind == RootKind::passphrase
                    ? "That is neither the passphrase nor the recovery key of this Merlon. Try again."
                    : "That is not the recovery key of this Merlon. Try again.");
  }
  if (record.kind == RootKind::passphrase) return passphrase_needed();
  return open_by_keeper(record, place);
}

std::unexpected<Error> passphrase_needed() {
  return fail(ErrorKind::unavailable, "RootPassphraseNeeded",
              "The root key is kept by a passphrase, and none was given. Type it into 'merlon unseal', or "
              "name a file "
              "that holds it with --passphrase-file.");
}

Secret new_recovery_key(Random& random) {
  const Secret bytes(random.bytes(kRecoveryBytes));
  std::string text;
  for (size_t i = 0; i < kRecoveryBytes; ++i) {
    if (i > 0 && i % (kGroup / 2) == 0) text += '-';
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[bytes.expose()[i] >> 4];
    text += kDigits[bytes.expose()[i] & 15];
  }
  Secret key{std::string_view(text)};
  ::explicit_bzero(text.data(), text.size());
  return key;
}

std::string wrap_for_recovery(const RootRecord& record, const Secret& root, const Secret& recovery_key,
                              Random& random) {
  const auto bytes = recovery_bytes_of(recovery_key);
  MERLON_CHECK(bytes.has_value());
  return to_base64url(crypto::aead_seal(recovery_wrap_key(bytes->expose()), root.expose(),
                                        context_of(record, "recovery"), random));
}

}  // namespace merlon::seal
