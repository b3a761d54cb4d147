// Over EVP, as digest.cpp is.
#include "crypto/digest_stream.h"

#include "crypto/openssl_handles.h"

namespace merlon::crypto {

struct Sha256Stream::State {
  DigestContextHandle context{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  static const DigestHandle sha256(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  MERLON_CHECK(sha256 != nullptr && state_->context != nullptr);
  MERLON_CHECK(EVP_DigestInit_ex2(state_->context.get(), sha256.get(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::add(ByteView part) {
  if (part.empty()) return;
  MERLON_CHECK(EVP_DigestUpdate(state_->context.get(), part.data(), part.size()) == 1);
}

Sha256Digest Sha256Stream::finish() {
  Sha256Digest out{};
  unsigned size = 0;
  MERLON_CHECK(EVP_DigestFinal_ex(state_->context.get(), out.data(), &size) == 1 && size == out.size());
  return out;
}

}  // namespace merlon::crypto
