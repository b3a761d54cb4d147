// Checking second factors.
#include "identity/second_factor_sign_in.h"

namespace merlon::identity {
namespace {

constexpr std::string_view kRecoveryAction = "Merlon.Identity/recoveryCodes/use/action";

}  // namespace

Result<bool> SecondFactorSignIn::required(const User& user) const {
  return store::read_value<bool>(store_,
                                 [&](store::Reader& reader) { return factors_.required(reader, user.id); });
}

SignIn<std::vector<std::string>> SecondFactorSignIn::check(const net::Request& request, const User& user,
                                                           std::string_view code,
                                                           const std::string& resource) {
  const Duration wait = TRY(guard_.begin_second_factor(user.id, request.peer));
  if (wait > Duration::zero())
    return refuse(50053, "Too many wrong codes for this account or from this address. Wait " +
                             std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()) +
                             " seconds and try again.");
  const auto used = TRY(store::write_value<SecondFactors::Used>(
      store_, [&](store::Transaction& tx) -> Result<SecondFactors::Used> {
        const auto found = TRY(factors_.use(tx, user.id, code));
        if (found != SecondFactors::Used::recovery_code) return found;
        ledger::Entry entry;
        entry.time = clock_.now();
        entry.actor = {.kind = "User",
                       .object_id = user.id.text(),
                       .name = user.user_principal_name,
                       .address = request.peer.text()};
        entry.action = kRecoveryAction;
        entry.resource = resource;
        entry.decision = ledger::Decision::allowed;
        entry.request_id = request.request_id;
        entry.correlation_id = correlation_id(request);
        entry.details = {{"left", TRY(factors_.recovery_codes_left(tx, user.id))}};
        TRY(ledger_.append(tx, entry));
        return found;
      }));
  if (used == SecondFactors::Used::nothing)
    return refuse(500121,
                  "The code is wrong, or was used before. Give the code that your app shows now, or a "
                  "recovery code.");
  TRY(guard_.second_factor_right(user.id, request.peer));
  if (used == SecondFactors::Used::recovery_code) return std::vector<std::string>{std::string(kMfa)};
  return std::vector<std::string>{"otp", std::string(kMfa)};
}

}  // namespace merlon::identity
