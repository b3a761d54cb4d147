// Reading CBOR (RFC 8949) one item after the other, with Debian's libcbor: what WebAuthn's attestation
// objects and keys are made of. Only what CTAP2's canonical form has (FIDO CTAP 2.1 section 8): definite
// lengths, no tags, no floats. Nothing is allocated for what the bytes merely claim to hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace merlon::identity {

class CborReader {
 public:
  explicit CborReader(ByteView data) : data_(data) {}

  // Each reads the next item when it is of that kind, or gives nothing and the reader is of no use any more.
  std::optional<size_t> map();    // how many pairs follow
  std::optional<size_t> array();  // how many items
  std::optional<int64_t> integer();
  std::optional<ByteView> bytes();
  std::optional<std::string_view> text();
  // Passes over the next item, whatever it is and holds.
  bool skip();

  bool at_end() const { return data_.empty(); }
  ByteView rest() const { return data_; }

 private:
  bool skip_at(int depth);
  ByteView data_;
};

}  // namespace merlon::identity
