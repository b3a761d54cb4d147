// The logged-in sessions of one token, and the handles of its keys. For this room.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "crypto/hsm.h"
#include "crypto/pkcs11_session.h"

namespace merlon::crypto {

// A token as one call sees it.
struct TokenSession {
  CK_FUNCTION_LIST& functions;
  CK_SESSION_HANDLE handle;
};

class HsmSessions {
 public:
  explicit HsmSessions(UriHandle uri) : uri_(std::move(uri)) {}
  HsmSessions(const HsmSessions&) = delete;
  HsmSessions& operator=(const HsmSessions&) = delete;
  ~HsmSessions() = default;

  // Runs `work` with a session, once more with new ones when the token says that it had gone away. A session
  // in which anything failed is closed: what it had begun ends with it.
  Result<CK_RV> run(const std::function<CK_RV(const TokenSession&)>& work);
  // The same with a key. Errors also: TokenRefused when the token has none of this id.
  Result<CK_RV> run_with(CK_OBJECT_CLASS kind, ByteView id,
                         const std::function<CK_RV(const TokenSession&, CK_OBJECT_HANDLE)>& work);
  void forget(ByteView id);

 private:
  struct Connection {
    OpenToken token;
    std::vector<CK_SESSION_HANDLE> idle;
    std::map<std::string, CK_OBJECT_HANDLE> keys;  // by class and id
    bool anchored = false;
  };
  struct Taken {
    std::shared_ptr<Connection> connection;
    CK_SESSION_HANDLE handle = 0;
  };
  Result<Taken> take();
  bool is_pin_unchanged() const;
  void give_back(const Taken& taken, CK_RV code);
  Result<std::optional<CK_OBJECT_HANDLE>> find(const Taken& taken, CK_OBJECT_CLASS kind, ByteView id);

  const UriHandle uri_;
  std::mutex mutex_;
  std::shared_ptr<Connection> connection_;  // nothing: to be opened
  // A token locks itself after a few wrong PINs: one that it refused is not tried again, another one is.
  std::optional<Error> pin_refused_;
  Secret refused_pin_;
};

// Handles of what has this id; every class, when `kind` is not given.
CK_RV find_objects(const TokenSession& session, std::optional<CK_OBJECT_CLASS> kind, ByteView id,
                   std::vector<CK_OBJECT_HANDLE>& found);

}  // namespace merlon::crypto
