// Rows of passkeys, and using them.
#include "identity/passkeys.h"

#include "base/time_text.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "identity/record_fields.h"
#include "identity/sessions.h"

namespace merlon::identity {
namespace {

constexpr size_t kPasskeysMax = 10;  // as in Entra
constexpr Duration kQuestionRemembered = std::chrono::minutes(15);

std::unexpected<Error> wrong(std::string_view cause) {
  auto error = fail(ErrorKind::invalid, "PasskeyNotAccepted", "The passkey was not accepted.");
  error.error().cause = cause;
  return error;
}

Result<WebauthnKey> key_of(const Passkey& passkey) {
  const auto algorithm = crypto::signature_algorithm_from_jose(passkey.algorithm);
  if (!algorithm) return internal_error("a stored passkey has an algorithm that is none");
  return WebauthnKey{.key = TRY(crypto::from_jwk(passkey.public_key)), .algorithm = *algorithm};
}

}  // namespace

// Sixteen bytes: the object id, which says nothing about the person (section 14.6.1).
Bytes user_handle_of(const Uuid& user) {
  std::string digits;
  for (const char c : user.text())
    if (c != '-') digits += c;
  return from_hex(digits).value_or(Bytes());
}

Result<std::vector<Passkey>> Passkeys::of(store::Reader& reader, const Uuid& user) const {
  return store::find<Passkey>(reader, tenant_, "user", user.text());
}

Result<Passkey> Passkeys::add(store::Transaction& tx, const Uuid& user, std::string name,
                              const AuthenticatorData& made) const {
  MERLON_CHECK(made.key.has_value() && !made.credential_id.empty());
  const std::string credential = to_base64url(made.credential_id);
  if (!TRY(store::find<Passkey>(tx, tenant_, "credential", credential)).empty())
    return fail(ErrorKind::conflict, "PasskeyExists", "This passkey is registered already.");
  if (TRY(of(tx, user)).size() >= kPasskeysMax)
    return fail(ErrorKind::conflict, "TooManyMethods",
                "There are " + std::to_string(kPasskeysMax) +
                    " passkeys already. Remove one of them with 'merlon mfa remove' first.");
  Passkey passkey{.id = Uuid::generate(random_),
                  .user = user,
                  .name = std::move(name),
                  .credential = credential,
                  .public_key = crypto::to_jwk(made.key->key),
                  .algorithm = std::string(crypto::jose_name(made.key->algorithm)),
                  .sign_count = made.sign_count,
                  .created = clock_.now(),
                  .last_used = {}};
  TRY(store::put(tx, tenant_, passkey));
  return passkey;
}

Result<Passkey> Passkeys::use(store::Transaction& tx, const WebauthnQuestion& question,
                              const PasskeyAnswer& answer) const {
  auto found = TRY(store::find<Passkey>(tx, tenant_, "credential", answer.credential));
  if (found.empty()) return wrong("a passkey that nobody has registered");
  Passkey& passkey = found.front();
  if (!constant_time_equal(answer.user_handle, user_handle_of(passkey.user)))
    return wrong("a passkey that says it is another person's");
  const auto made = TRY(verify_assertion(question, TRY(key_of(passkey)), answer.client_data_json,
                                         answer.authenticator_data, answer.signature));
  // Section 7.2, step 21: a count that does not grow is a copy's.
  if ((made.sign_count != 0 || passkey.sign_count != 0) && made.sign_count <= passkey.sign_count)
    return wrong("its count of signatures did not grow: somebody may have a copy of it");
  const Timestamp now = clock_.now();
  const AssertionUse use{
      .digest = to_hex(crypto::sha256(as_bytes("passkey|" + to_base64url(question.challenge)))),
      .peer = {},
      .expires = now + kQuestionRemembered};
  if (TRY(store::get<AssertionUse>(tx, tenant_, use.digest))) return wrong("an answer that was given before");
  TRY(store::put(tx, tenant_, use));
  passkey.sign_count = made.sign_count;
  passkey.last_used = now;
  TRY(store::put(tx, tenant_, passkey));
  return passkey;
}

Result<bool> Passkeys::remove(store::Transaction& tx, const Uuid& user, const Uuid& id) const {
  const auto passkey = TRY(store::get<Passkey>(tx, tenant_, id.text()));
  if (!passkey || passkey->user != user) return false;
  TRY(store::erase<Passkey>(tx, tenant_, id.text()));
  return true;
}

Result<void> erase_passkeys(store::Transaction& tx, const TenantId& tenant, const Uuid& user) {
  for (const store::Row& row : TRY(tx.find(Passkey::table(), tenant, "user", user.text())))
    TRY(tx.erase(Passkey::table(), tenant, row.key));
  return {};
}

const store::TableSpec& Passkey::table() {
  static const store::TableSpec spec{"identity_passkeys", {{"user"}, {"credential", store::Unique::yes}}};
  return spec;
}
std::string Passkey::key() const { return id.text(); }
std::vector<std::optional<std::string>> Passkey::index_values() const { return {user.text(), credential}; }
JsonObject Passkey::to_json() const {
  JsonObject json{{"id", id.text()},          {"user", user.text()},           {"name", name},
                  {"credential", credential}, {"publicKey", public_key},       {"algorithm", algorithm},
                  {"signCount", sign_count},  {"created", to_rfc3339(created)}};
  if (last_used) json["lastUsed"] = to_rfc3339(*last_used);
  return json;
}
Result<Passkey> Passkey::from_json(const JsonObject& json) {
  const auto count = int_at(json, "signCount");
  const JsonObject* public_key_at = object_at(json, "publicKey");
  if (!count || *count < 0 || *count > UINT32_MAX || public_key_at == nullptr)
    return internal_error("a stored passkey lacks its key or its count");
  Passkey passkey{.id = TRY(require_uuid(json, "id")),
                  .user = TRY(require_uuid(json, "user")),
                  .name = TRY(require_string(json, "name")),
                  .credential = TRY(require_string(json, "credential")),
                  .public_key = *public_key_at,
                  .algorithm = TRY(require_string(json, "algorithm")),
                  .sign_count = static_cast<uint32_t>(*count),
                  .created = TRY(require_time(json, "created")),
                  .last_used = {}};
  if (json.contains("lastUsed")) passkey.last_used = TRY(require_time(json, "lastUsed"));
  return passkey;
}

}  // namespace merlon::identity
