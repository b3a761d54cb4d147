// Whatever the parameter "claims" holds is read or refused; what we write ourselves is read as it was meant.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "identity/claims_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const std::string text(data, data + size);
  const auto asked = identity::parse_claims_request(&text);
  if (!asked) return 0;
  if (asked->mfa && asked->satisfied_by({"pwd"}, Timestamp::max())) std::abort();
  if (asked->signed_in_since) {
    const std::string again = identity::step_up_claims(*asked->signed_in_since);
    const auto read = identity::parse_claims_request(&again);
    if (!read || !read->mfa || read->signed_in_since != asked->signed_in_since) std::abort();
  }
  return 0;
}
