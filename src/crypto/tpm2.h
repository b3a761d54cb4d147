// A TPM 2.0 that keeps a few bytes, Merlon's root key, for this machine in this state: they open only on the
// chip that sealed them, and only while the chosen platform registers (PCRs) have the values that they had
// then (TPM 2.0 Library, part 1, "Sealed data objects" and "PolicyPCR"). What is sealed lies with the caller;
// the chip stores nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::crypto {

struct TpmPlace {
  std::vector<unsigned> registers{7};  // of the SHA-256 bank; 7 is what Secure Boot trusts
  std::string interface;  // tpm2-tss's name of it ("device:/dev/tpmrm0"); empty: the machine's own
};

// "pcrs=0,2,7&interface=device:/dev/tpmrm0", both parts optional. The interface names a library that is
// loaded: take the text from the operator, never from a record.
Result<TpmPlace> parse_tpm_place(std::string_view text);

struct TpmSealed {
  Bytes public_part;   // TPM2B_PUBLIC as the TPM encodes it
  Bytes private_part;  // TPM2B_PRIVATE, encrypted by the chip
};

// `secret` has at most 128 bytes. On the way to and from the chip it is encrypted (a salted session).
Result<TpmSealed> tpm_seal(const TpmPlace& place, const Secret& secret);
Result<Secret> tpm_unseal(const TpmPlace& place, const TpmSealed& sealed);

}  // namespace merlon::crypto
