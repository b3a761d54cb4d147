// Password hashing behind a gate.
#include "identity/password_gate.h"

#include <chrono>

#include "crypto/password.h"

namespace merlon::identity {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);

std::unexpected<Error> busy() {
  return fail(ErrorKind::unavailable, "ServiceUnavailable",
              "Too many password checks are waiting. Try again in a few seconds.");
}

}  // namespace

class PasswordGate::Slot {
 public:
  explicit Slot(PasswordGate& gate) : gate_(gate), held_(gate.slots_.try_acquire() || wait(gate)) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (held_) gate_.slots_.release();
  }
  bool held() const { return held_; }

 private:
  static bool wait(PasswordGate& gate) {
    const bool may = gate.waiting_.fetch_add(1) < kWaitingMax;
    const bool held = may && gate.slots_.try_acquire_for(kPatience);
    gate.waiting_.fetch_sub(1);
    return held;
  }
  PasswordGate& gate_;
  const bool held_;
};

Result<std::string> PasswordGate::decoy() {
  const std::lock_guard lock(decoy_mutex_);
  if (decoy_.empty()) decoy_ = TRY(crypto::hash_password(Secret(std::string_view("no account has this"))));
  return decoy_;
}

Result<bool> PasswordGate::verify(const Secret& password, const std::string& hash,
                                  const std::function<Result<void>()>& admitted) {
  const Slot slot(*this);
  if (!slot.held()) return busy();
  TRY(admitted());
  // Made by the first check of any kind, so that its cost tells nothing of the account.
  const std::string other = TRY(decoy());
  const bool equal = crypto::verify_password(password, hash.empty() ? other : hash);
  return equal && !hash.empty();
}

Result<std::string> PasswordGate::hash(const Secret& password) {
  const Slot slot(*this);
  if (!slot.held()) return busy();
  return crypto::hash_password(password);
}

}  // namespace merlon::identity
