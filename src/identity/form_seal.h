// What a page gives a browser to bring back, so that the server keeps nothing: signed (HMAC-SHA-256) for one
// purpose, one browser and a short time. A form that carries one was made by this server for the browser that
// sends it: that is the protection against forged requests (CSRF), also of the sign-in itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/secret.h"

namespace merlon::identity {

class FormSeal {
 public:
  explicit FormSeal(Secret key) : key_(std::move(key)) {}
  // `browser` is the value of its form cookie.
  std::string make(std::string_view purpose, std::string_view browser, std::string_view payload,
                   Timestamp expires) const;
  // The payload; nothing when anything is not as it was made, or the time is over.
  std::optional<std::string> open(std::string_view purpose, std::string_view browser, std::string_view text,
                                  Timestamp now) const;

 private:
  std::string signature(std::string_view purpose, std::string_view browser, std::string_view expires,
                        std::string_view payload) const;
  Secret key_;
};

}  // namespace merlon::identity
