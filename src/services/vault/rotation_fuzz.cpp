// Rotation policies that somebody sends: what is accepted is accepted again, and says when.
#include "services/vault/rotation.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto body = parse_json_object(as_text({data, size}));
  if (!body) return 0;
  const auto policy = vault::read_rotation_policy(*body);
  if (!policy) {
    MERLON_CHECK(policy.error().kind == ErrorKind::invalid);
    return 0;
  }
  vault::Facts facts;
  facts.created = 1'800'000'000;
  facts.expires = vault::expiry_by_policy(*policy, vault::from_seconds(facts.created));
  if (facts.expires) MERLON_CHECK(*facts.expires > facts.created);
  if (const auto due = vault::rotation_due(*policy, facts))
    MERLON_CHECK(*due > vault::from_seconds(facts.created));
  return 0;
}
