// Checking and changing passwords.
#include "identity/password_sign_in.h"

namespace merlon::identity {
namespace {

constexpr size_t kNameMax = 320;
constexpr size_t kPasswordMax = 1024;  // what anybody could have set is shorter

SignInError must_wait(Duration wait) {
  return {50053,
          "Sign-in was blocked because of too many failed attempts for this account or from this address. "
          "Wait " +
              std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()) +
              " seconds and try again."};
}

std::unexpected<SignInError> wrong_password() {
  return refuse(50126, "Error validating credentials due to invalid username or password.");
}

}  // namespace

SignIn<User> PasswordSignIn::check(const net::Request& request, const std::string& name,
                                   const Secret& password, std::string& ledger_resource) {
  if (name.size() > kNameMax || password.size() > kPasswordMax) return wrong_password();
  const auto user = TRY(store::read_value<std::optional<User>>(
      store_, [&](store::Reader& reader) { return directory_.user_by_name(reader, name); }));
  if (user) ledger_resource = user_path(user->id);
  // Who has to wait anyway takes no place from others. It is asked again where the attempt is counted.
  if (const Duration blocked = TRY(guard_.wait_of(name, request.peer)); blocked > Duration::zero())
    return std::unexpected(must_wait(blocked));
  std::optional<Duration> wait;
  const auto equal =
      gate_.verify(password, user ? user->password_hash : std::string(), [&]() -> Result<void> {
        wait = TRY(guard_.begin(name, request.peer));
        if (*wait > Duration::zero()) return fail(ErrorKind::throttled, "TooManyRequests", "It must wait.");
        return {};
      });
  if (wait && *wait > Duration::zero()) return std::unexpected(must_wait(*wait));
  if (!equal) return std::unexpected(SignInError(equal.error()));
  if (!user || !*equal) return wrong_password();
  TRY(guard_.succeeded(name, request.peer));
  // Told only to who knows the password.
  if (!user->enabled) return refuse(50057, "The user account is disabled. Ask a directory administrator.");
  return *user;
}

SignIn<void> PasswordSignIn::change(const net::Request& request, const User& user, const Secret& new_password,
                                    const Secret& confirmed, const Secret& old_password) {
  if (new_password != confirmed || (!old_password.empty() && new_password == old_password) ||
      new_password.size() > kPasswordMax)
    return refuse(120000,
                  "The new password must be confirmed by the same text, and differ from the old one.");
  if (const auto weakness = password_weakness(new_password.expose_text(), user.user_principal_name))
    return refuse(120000, "The new password " + *weakness + ".");
  if (old_password.empty() &&
      TRY(gate_.verify(new_password, user.password_hash, []() -> Result<void> { return {}; })))
    return refuse(120000, "The new password must differ from the old one.");
  std::string hash = TRY(gate_.hash(new_password));
  TRY(store_.write([&](store::Transaction& tx) -> Result<void> {
    const auto now = TRY(store::get<User>(tx, directory_.tenant(), user.id.text()));
    if (!now || !now->enabled || now->password_hash != user.password_hash)
      return fail(ErrorKind::unavailable, "Conflict", "The password was changed by someone else meanwhile.");
    TRY(directory_.set_password(tx, user.id, std::move(hash), false));
    ledger::Entry entry;
    entry.time = clock_.now();
    entry.actor = {.kind = "User",
                   .object_id = user.id.text(),
                   .name = user.user_principal_name,
                   .address = request.peer.text()};
    entry.action = kChangeAction;
    entry.resource = user_path(user.id);
    entry.reason = "self-service";
    entry.request_id = request.request_id;
    entry.correlation_id = correlation_id(request);
    return ledger_.append(tx, entry);
  }));
  return {};
}

}  // namespace merlon::identity
