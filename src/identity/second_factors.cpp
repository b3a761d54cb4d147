// Rows of second factors, and using them.
#include "identity/second_factors.h"

#include <algorithm>

#include "base/time_text.h"
#include "crypto/digest.h"
#include "identity/record_fields.h"
#include "identity/totp.h"

namespace merlon::identity {
namespace {

constexpr Duration kEnrolmentLifetime = std::chrono::minutes(15);
constexpr size_t kMethodsMax = 5;  // as in Entra
constexpr size_t kRecoveryCodes = 10;
constexpr size_t kRecoveryLetters = 16;  // of 32: 80 bits, so that a digest tells nothing of the code
constexpr size_t kTypedMax = 64;
// Crockford's: nothing that is taken for something else.
constexpr std::string_view kLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

std::string context_of(const Uuid& id) { return "identity_totp_methods/" + id.text() + "/secret/1"; }

std::string digest_of(const Uuid& user, std::string_view code) {
  return to_hex(crypto::sha256(as_bytes("merlon recovery code|" + user.text() + "|" + std::string(code))));
}

std::optional<std::string> parse_recovery_code(std::string_view typed) {
  if (typed.size() > kTypedMax) return std::nullopt;
  std::string code;
  for (const char c : typed) {
    if (c == ' ' || c == '-' || c == '\t') continue;
    char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (upper == 'O') upper = '0';
    if (upper == 'I' || upper == 'L') upper = '1';
    if (kLetters.find(upper) == std::string_view::npos) return std::nullopt;
    code += upper;
  }
  if (code.size() != kRecoveryLetters) return std::nullopt;
  return code;
}

std::string shown_recovery_code(std::string_view code) {
  std::string shown;
  for (size_t at = 0; at < code.size(); at += 4)
    shown += (at == 0 ? "" : "-") + std::string(code.substr(at, 4));
  return shown;
}

template <store::Record T>
Result<void> erase_of(store::Transaction& tx, const TenantId& tenant, const Uuid& user) {
  for (const store::Row& row : TRY(tx.find(T::table(), tenant, "user", user.text())))
    TRY(tx.erase(T::table(), tenant, row.key));
  return {};
}

}  // namespace

Result<void> erase_second_factors(store::Transaction& tx, const TenantId& tenant, const Uuid& user) {
  TRY(erase_of<TotpMethod>(tx, tenant, user));
  TRY(erase_passkeys(tx, tenant, user));
  return erase_of<RecoveryCode>(tx, tenant, user);
}

Result<std::vector<TotpMethod>> SecondFactors::confirmed(store::Reader& reader, const Uuid& user) const {
  auto methods = TRY(store::find<TotpMethod>(reader, tenant_, "user", user.text()));
  std::erase_if(methods, [](const TotpMethod& method) { return !method.confirmed; });
  return methods;
}

Result<bool> SecondFactors::required(store::Reader& reader, const Uuid& user) const {
  return !TRY(confirmed(reader, user)).empty() || !TRY(passkeys_.of(reader, user)).empty();
}

Result<SecondFactors::Enrolment> SecondFactors::enrol(store::Transaction& tx, const Uuid& user,
                                                      std::string name) const {
  size_t kept = 0;
  for (const TotpMethod& method : TRY(store::find<TotpMethod>(tx, tenant_, "user", user.text()))) {
    if (method.confirmed)
      ++kept;
    else
      TRY(store::erase<TotpMethod>(tx, tenant_, method.id.text()));
  }
  if (kept >= kMethodsMax)
    return fail(ErrorKind::conflict, "TooManyMethods",
                "There are " + std::to_string(kMethodsMax) +
                    " authenticator apps already. Remove one of them with 'merlon mfa remove' first.");
  Enrolment made{.method = {}, .secret = Secret(random_.bytes(kTotpSecretBytes))};
  made.method.id = Uuid::generate(random_);
  made.method.user = user;
  made.method.name = std::move(name);
  made.method.sealed = seal_.seal(context_of(made.method.id), made.secret);
  made.method.created = clock_.now();
  TRY(store::put(tx, tenant_, made.method));
  return made;
}

Result<Secret> SecondFactors::secret_of(const TotpMethod& method) const {
  return seal_.open(context_of(method.id), method.sealed);
}

Result<TotpMethod> SecondFactors::confirm(store::Transaction& tx, const Uuid& user, const Uuid& id,
                                          std::string_view code) const {
  auto method = TRY(store::get<TotpMethod>(tx, tenant_, id.text()));
  const Timestamp now = clock_.now();
  if (!method || method->user != user || method->confirmed || now >= method->created + kEnrolmentLifetime)
    return fail(ErrorKind::not_found, "EnrolmentNotFound",
                "There is no enrolment '" + id.text() +
                    "' that waits for its first code. Begin again with 'merlon mfa enrol'.");
  const auto step = totp_match(TRY(secret_of(*method)), code, now, method->last_step);
  if (!step)
    return fail(ErrorKind::invalid, "WrongCode",
                "The code is wrong. Give the six digits that the app shows now, and see that the clock of "
                "the phone is right.");
  method->confirmed = true;
  method->last_step = *step;
  method->last_used = now;
  TRY(store::put(tx, tenant_, *method));
  return *std::move(method);
}

Result<size_t> SecondFactors::recovery_codes_left(store::Reader& reader, const Uuid& user) const {
  return TRY(reader.find(RecoveryCode::table(), tenant_, "user", user.text())).size();
}

Result<std::vector<std::string>> SecondFactors::make_recovery_codes(store::Transaction& tx,
                                                                    const Uuid& user) const {
  TRY(erase_of<RecoveryCode>(tx, tenant_, user));
  std::vector<std::string> shown;
  while (shown.size() < kRecoveryCodes) {
    std::string code;
    for (const uint8_t byte : random_.bytes(kRecoveryLetters)) code += kLetters[byte % kLetters.size()];
    TRY(store::put(tx, tenant_,
                   RecoveryCode{.digest = digest_of(user, code), .user = user, .created = clock_.now()}));
    shown.push_back(shown_recovery_code(code));
  }
  return shown;
}

Result<bool> SecondFactors::remove(store::Transaction& tx, const Uuid& user, const Uuid& id) const {
  const auto method = TRY(store::get<TotpMethod>(tx, tenant_, id.text()));
  if (method && method->user == user)
    TRY(store::erase<TotpMethod>(tx, tenant_, id.text()));
  else if (!TRY(passkeys_.remove(tx, user, id)))
    return false;
  if (!TRY(required(tx, user))) TRY(erase_of<RecoveryCode>(tx, tenant_, user));
  return true;
}

Result<void> SecondFactors::remove_all(store::Transaction& tx, const Uuid& user) const {
  return erase_second_factors(tx, tenant_, user);
}

Result<SecondFactors::Used> SecondFactors::use(store::Transaction& tx, const Uuid& user,
                                               std::string_view typed) const {
  const Timestamp now = clock_.now();
  for (TotpMethod& method : TRY(confirmed(tx, user))) {
    const auto step = totp_match(TRY(secret_of(method)), typed, now, method.last_step);
    if (!step) continue;
    method.last_step = *step;
    method.last_used = now;
    TRY(store::put(tx, tenant_, method));
    return Used::totp;
  }
  const auto code = parse_recovery_code(typed);
  if (!code) return Used::nothing;
  const std::string digest = digest_of(user, *code);
  if (!TRY(store::get<RecoveryCode>(tx, tenant_, digest))) return Used::nothing;
  TRY(store::erase<RecoveryCode>(tx, tenant_, digest));
  return Used::recovery_code;
}

const store::TableSpec& TotpMethod::table() {
  static const store::TableSpec spec{"identity_totp_methods", {{"user"}}};
  return spec;
}
std::string TotpMethod::key() const { return id.text(); }
std::vector<std::optional<std::string>> TotpMethod::index_values() const { return {user.text()}; }
JsonObject TotpMethod::to_json() const {
  JsonObject json{{"id", id.text()},
                  {"user", user.text()},
                  {"name", name},
                  {"sealed", sealed},
                  {"confirmed", confirmed},
                  {"lastStep", last_step},
                  {"created", to_rfc3339(created)}};
  if (last_used) json["lastUsed"] = to_rfc3339(*last_used);
  return json;
}
Result<TotpMethod> TotpMethod::from_json(const JsonObject& json) {
  const auto step = int_at(json, "lastStep");
  if (!step) return internal_error("a stored authenticator app has no last step");
  TotpMethod method{.id = TRY(require_uuid(json, "id")),
                    .user = TRY(require_uuid(json, "user")),
                    .name = TRY(require_string(json, "name")),
                    .sealed = TRY(require_string(json, "sealed")),
                    .confirmed = TRY(require_bool(json, "confirmed")),
                    .last_step = *step,
                    .created = TRY(require_time(json, "created")),
                    .last_used = {}};
  if (json.contains("lastUsed")) method.last_used = TRY(require_time(json, "lastUsed"));
  return method;
}

const store::TableSpec& RecoveryCode::table() {
  static const store::TableSpec spec{"identity_recovery_codes", {{"user"}}};
  return spec;
}
std::string RecoveryCode::key() const { return digest; }
std::vector<std::optional<std::string>> RecoveryCode::index_values() const { return {user.text()}; }
JsonObject RecoveryCode::to_json() const {
  return {{"digest", digest}, {"user", user.text()}, {"created", to_rfc3339(created)}};
}
Result<RecoveryCode> RecoveryCode::from_json(const JsonObject& json) {
  return RecoveryCode{.digest = TRY(require_string(json, "digest")),
                      .user = TRY(require_uuid(json, "user")),
                      .created = TRY(require_time(json, "created"))};
}

}  // namespace merlon::identity
