// Secret: bytes that wipe themselves, compare in constant time and cannot be formatted or logged. Reading
// them takes expose(), a word to search for in reviews (after Tink's SecretKeyAccessToken).
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace merlon {

class Secret {
 public:
  Secret() = default;
  explicit Secret(Bytes bytes) : bytes_(std::move(bytes)) {}
  explicit Secret(std::string_view text) : bytes_(text.begin(), text.end()) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      wipe();
      bytes_ = other.bytes_;
    }
    return *this;
  }
  Secret(Secret&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }
  ~Secret() { wipe(); }

  ByteView expose() const { return bytes_; }
  std::string_view expose_text() const { return as_text(bytes_); }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool operator==(const Secret& other) const { return constant_time_equal(bytes_, other.bytes_); }

 private:
  void wipe() noexcept;
  Bytes bytes_;
};

}  // namespace merlon
