// Conditions come from whoever may write a role assignment. Parsing and evaluating any bytes must end, and no
// condition that asks about what nobody told may flip to certainty when it is wrapped in a double negation.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "access/condition.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto condition = access::Condition::parse(text);
  if (!condition) return 0;
  access::Attributes attributes;
  attributes.set("@Resource[a]", "abc");
  attributes.set("@Request[b]", std::vector<std::string>{"1", "2"});
  const access::ConditionContext context{"microsoft.compute/virtualmachines/read", attributes, Timestamp()};
  const access::Truth truth = condition->evaluate(context);
  const auto negated = access::Condition::parse("!(" + text + ")");
  if (negated && negated->evaluate(context) != access::negate(truth)) std::abort();
  return 0;
}
