// Whatever text comes in: no crash, and every accepted term has what its kind promises.
#include <cstdint>

#include "base/bytes.h"
#include "resource/query_filter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto whole = merlon::resource::parse_query_condition(merlon::as_text({data, size}));
  if (whole && whole->kind == merlon::resource::FilterCondition::Kind::term) {
    MERLON_CHECK(!whole->term.name.empty() && whole->children.empty());
  }
  const auto terms = merlon::resource::parse_query_filter(merlon::as_text({data, size}));
  if (!terms) return 0;
  for (const auto& term : *terms) {
    MERLON_CHECK(!term.name.empty() && !term.op.empty());
    MERLON_CHECK(term.op == "call" || term.arguments.empty());
  }
  return 0;
}
