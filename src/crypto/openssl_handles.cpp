// Error queue, fetched digests and BIO ends for the room.
#include "crypto/openssl_handles.h"

#include <openssl/err.h>

#include <array>
#include <climits>

namespace merlon::crypto {

ErrorQueue::ErrorQueue() { ERR_clear_error(); }
ErrorQueue::~ErrorQueue() { ERR_clear_error(); }

std::string ErrorQueue::take() const {
  std::string out;
  std::array<char, 256> line{};
  while (const unsigned long code = ERR_get_error()) {
    ERR_error_string_n(code, line.data(), line.size());
    if (!out.empty()) out += "; ";
    out += line.data();
  }
  return out.empty() ? "no reason given by OpenSSL" : out;
}

std::unexpected<Error> ErrorQueue::failure(std::string_view what) const {
  return internal_error(std::string(what) + ": " + take());
}

const EVP_MD* digest_algorithm(DigestAlgorithm algorithm) {
  // Fetching searches the providers under a lock each time (crypto(7), "Performance"): once is enough.
  static const std::array<DigestHandle, 4> fetched = {DigestHandle(EVP_MD_fetch(nullptr, "SHA1", nullptr)),
                                                      DigestHandle(EVP_MD_fetch(nullptr, "SHA256", nullptr)),
                                                      DigestHandle(EVP_MD_fetch(nullptr, "SHA384", nullptr)),
                                                      DigestHandle(EVP_MD_fetch(nullptr, "SHA512", nullptr))};
  const EVP_MD* digest = fetched[static_cast<size_t>(algorithm)].get();
  MERLON_CHECK(digest != nullptr);
  return digest;
}

BioHandle reader_of(std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max || text.size() > INT_MAX) return nullptr;
  // A null pointer would be read as "no buffer" and an empty view may hold one.
  return BioHandle(BIO_new_mem_buf(text.empty() ? "" : text.data(), static_cast<int>(text.size())));
}

Bytes take_bytes(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  if (size <= 0) return {};
  return {data, data + size};
}

int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace merlon::crypto
