// A vault's rules for subnets. In Azure the fabric says which subnet a request comes from; here an address
// does, and which addresses a subnet has is for whoever may write the network to say. They do not say who may
// come to a vault: what counts is what the subnet had when the rule was written into the vault, as long as
// the subnet still has it (decision 0072).
#pragma once

#include "machine/platform.h"
#include "services/vault/records.h"

namespace merlon::vault {

// In the write that puts `properties` in force. The ranges of rules that the vault had before stay as they
// were noted; those of rules that are gone go. Errors: BadRequest, for a subnet with a range that is not
// private.
Result<void> note_subnet_ranges(Platform& platform, store::Reader& reader, Vault& vault);

// Whether a rule for a subnet lets `peer` in; and else, when a named subnet has its address by now, which.
struct SubnetAnswer {
  bool admits = false;
  std::string only_now{};
};
Result<SubnetAnswer> ask_subnet_rules(Platform& platform, store::Reader& reader, const Vault& vault,
                                      const IpAddress& peer);

}  // namespace merlon::vault
