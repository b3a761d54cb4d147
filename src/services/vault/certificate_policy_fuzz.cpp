// Certificate policies that somebody sends: what is accepted is accepted again, says the same, and ends.
#include "services/vault/certificate_policy.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto body = parse_json_object(as_text({data, size}));
  if (!body) return 0;
  const auto policy = vault::read_certificate_policy(*body, {});
  if (!policy) {
    MERLON_CHECK(policy.error().kind == ErrorKind::invalid || policy.error().kind == ErrorKind::unsupported);
    return 0;
  }
  const auto again = vault::read_certificate_policy(*policy, {});
  MERLON_CHECK(again && *again == *policy);
  MERLON_CHECK(crypto::check_profile(vault::profile_of(*policy)).has_value());
  const Timestamp now = vault::from_seconds(1'800'000'000);
  const auto times = vault::times_of(*policy, now);
  MERLON_CHECK(times.not_before < times.not_after);
  vault::Facts facts;
  facts.not_before = vault::to_seconds(times.not_before);
  facts.expires = vault::to_seconds(times.not_after);
  const vault::Certificate certificate{.name = {}, .policy = *policy, .noticed = {}, .pending = {}};
  if (const auto step = vault::next_step(certificate, "v", facts)) MERLON_CHECK(step->due < times.not_after);
  return 0;
}
