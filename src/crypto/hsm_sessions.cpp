// Sessions that are kept, and taken anew when the token went away.
#include "crypto/hsm_sessions.h"

#include <array>
#include <utility>

namespace merlon::crypto {
namespace {

constexpr size_t kFoundMax = 8;

// The session or the token is gone: a new session may find it again.
bool is_gone(CK_RV code) {
  return code == CKR_SESSION_HANDLE_INVALID || code == CKR_SESSION_CLOSED || code == CKR_USER_NOT_LOGGED_IN ||
         code == CKR_DEVICE_REMOVED || code == CKR_DEVICE_ERROR || code == CKR_TOKEN_NOT_PRESENT ||
         code == CKR_CRYPTOKI_NOT_INITIALIZED;
}
bool is_lost_handle(CK_RV code) {
  return code == CKR_KEY_HANDLE_INVALID || code == CKR_OBJECT_HANDLE_INVALID ||
         code == CKR_WRAPPING_KEY_HANDLE_INVALID || code == CKR_UNWRAPPING_KEY_HANDLE_INVALID;
}

std::string key_of(CK_OBJECT_CLASS kind, ByteView id) {
  return std::to_string(kind) + "/" + std::string(as_text(id));
}

}  // namespace

CK_RV find_objects(const TokenSession& session, std::optional<CK_OBJECT_CLASS> kind, ByteView id,
                   std::vector<CK_OBJECT_HANDLE>& found) {
  Bytes copy(id.begin(), id.end());
  CK_OBJECT_CLASS wanted_kind = kind.value_or(0);
  std::array<CK_ATTRIBUTE, 2> wanted{
      {{CKA_ID, copy.data(), copy.size()}, {CKA_CLASS, &wanted_kind, sizeof wanted_kind}}};
  if (const CK_RV code = session.functions.C_FindObjectsInit(session.handle, wanted.data(), kind ? 2 : 1);
      code != CKR_OK)
    return code;
  found.resize(kFoundMax);
  CK_ULONG count = 0;
  const CK_RV code = session.functions.C_FindObjects(session.handle, found.data(), found.size(), &count);
  session.functions.C_FindObjectsFinal(session.handle);
  found.resize(code == CKR_OK ? count : 0);
  return code;
}

bool HsmSessions::is_pin_unchanged() const {
  const auto pin = read_pin(uri_.get());
  return !pin || *pin == refused_pin_;
}

Result<HsmSessions::Taken> HsmSessions::take() {
  const std::lock_guard lock(mutex_);
  if (pin_refused_ && is_pin_unchanged()) return std::unexpected(*pin_refused_);
  pin_refused_.reset();
  if (!connection_) {
    OpenToken token = TRY(OpenToken::open(uri_.get()));
    connection_ = std::make_shared<Connection>(Connection{std::move(token), {}, {}, false});
  }
  if (!connection_->idle.empty()) {
    const CK_SESSION_HANDLE handle = connection_->idle.back();
    connection_->idle.pop_back();
    return Taken{connection_, handle};
  }
  // The first one is used for nothing: the token logs us out with the end of the last session, and with that
  // every handle ends.
  auto pin = read_pin(uri_.get());
  auto handle = connection_->token.open_session();
  if (handle && !std::exchange(connection_->anchored, true)) handle = connection_->token.open_session();
  if (handle) return Taken{connection_, *handle};
  connection_.reset();
  if (handle.error().cause == "PIN") {
    pin_refused_ = handle.error();
    refused_pin_ = pin ? *std::move(pin) : Secret();
  }
  return std::unexpected(handle.error());
}

void HsmSessions::give_back(const Taken& taken, CK_RV code) {
  const std::lock_guard lock(mutex_);
  if (code == CKR_OK) {
    taken.connection->idle.push_back(taken.handle);
    return;
  }
  taken.connection->token.functions().C_CloseSession(taken.handle);
  if (is_lost_handle(code)) taken.connection->keys.clear();
  if (is_gone(code) && connection_ == taken.connection) connection_.reset();
}

Result<CK_RV> HsmSessions::run(const std::function<CK_RV(const TokenSession&)>& work) {
  for (bool again = true;; again = false) {
    const Taken taken = TRY(take());
    const CK_RV code = work({taken.connection->token.functions(), taken.handle});
    give_back(taken, code);
    if (!again || !is_gone(code)) return code;
  }
}

Result<CK_RV> HsmSessions::run_with(CK_OBJECT_CLASS kind, ByteView id,
                                    const std::function<CK_RV(const TokenSession&, CK_OBJECT_HANDLE)>& work) {
  for (bool again = true;; again = false) {
    const Taken taken = TRY(take());
    const TokenSession session{taken.connection->token.functions(), taken.handle};
    const auto key = find(taken, kind, id);
    if (!key) {
      give_back(taken, CKR_DEVICE_ERROR);
      if (again) continue;
      return std::unexpected(key.error());
    }
    if (!*key) {
      give_back(taken, CKR_OK);
      return token_refused(
          "has no key of this id. Is it the token that the key was made in, or a copy of it? Whatever was "
          "destroyed there is gone.");
    }
    const CK_RV code = work(session, **key);
    give_back(taken, code);
    if (!again || !(is_gone(code) || is_lost_handle(code))) return code;
  }
}

Result<std::optional<CK_OBJECT_HANDLE>> HsmSessions::find(const Taken& taken, CK_OBJECT_CLASS kind,
                                                          ByteView id) {
  const std::string name = key_of(kind, id);
  {
    const std::lock_guard lock(mutex_);
    const auto known = taken.connection->keys.find(name);
    if (known != taken.connection->keys.end()) return std::optional(known->second);
  }
  std::vector<CK_OBJECT_HANDLE> found;
  const CK_RV code = find_objects({taken.connection->token.functions(), taken.handle}, kind, id, found);
  if (code != CKR_OK) return token_refused("search for a key", code);
  if (found.empty()) return std::optional<CK_OBJECT_HANDLE>();
  if (found.size() > 1) return token_refused("holds more than one key of this id.");
  const std::lock_guard lock(mutex_);
  taken.connection->keys[name] = found.front();
  return std::optional(found.front());
}

void HsmSessions::forget(ByteView id) {
  const std::lock_guard lock(mutex_);
  if (!connection_) return;
  for (const CK_OBJECT_CLASS kind : {CKO_PRIVATE_KEY, CKO_SECRET_KEY})
    connection_->keys.erase(key_of(kind, id));
}

}  // namespace merlon::crypto
