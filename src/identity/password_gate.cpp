// Password hashing behind a gate.
#include "identity/password_gate.h"

#include <chrono>

#include "crypto/password.h"

namespace merlon::identity {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);

class Slot {
 public:
  explicit Slot(std::counting_semaphore<4>& slots) : slots_(slots), held_(slots.try_acquire_for(kPatience)) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (held_) slots_.release();
  }
  bool held() const { return held_; }

 private:
  std::counting_semaphore<4>& slots_;
  const bool held_;
};

std::unexpected<Error> busy() {
  return fail(ErrorKind::unavailable, "ServiceUnavailable",
              "Too many password checks are waiting. Try again in a few seconds.");
}

}  // namespace

Result<std::string> PasswordGate::decoy() {
  const std::lock_guard lock(decoy_mutex_);
  if (decoy_.empty()) decoy_ = TRY(crypto::hash_password(Secret(std::string_view("no account has this"))));
  return decoy_;
}

Result<bool> PasswordGate::verify(const Secret& password, const std::string& hash,
                                  const std::function<Result<void>()>& admitted) {
  const Slot slot(slots_);
  if (!slot.held()) return busy();
  TRY(admitted());
  // Made by the first check of any kind, so that its cost tells nothing of the account.
  const std::string other = TRY(decoy());
  const bool equal = crypto::verify_password(password, hash.empty() ? other : hash);
  return equal && !hash.empty();
}

Result<std::string> PasswordGate::hash(const Secret& password) {
  const Slot slot(slots_);
  if (!slot.held()) return busy();
  return crypto::hash_password(password);
}

}  // namespace merlon::identity
