// Arbitrary bytes as a claims matching expression: parsed or refused, evaluated without harm. A condition
// never admits a claim that is not there or no text; a warning's example is admitted indeed; and what is
// compared to the last character admits nothing else.
#include <cstdlib>

#include "identity/federation_expression.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const auto expression = identity::ClaimsExpression::parse({reinterpret_cast<const char*>(data), size});
  if (!expression) return 0;
  if (expression->admits({})) std::abort();
  JsonObject same;
  JsonObject numbers;
  for (const identity::ClaimCondition& condition : expression->conditions()) {
    same[condition.claim] = condition.value;
    numbers[condition.claim] = 7;
    if (condition.wildcards && !identity::fits_pattern(condition.value, condition.value)) std::abort();
  }
  if (expression->admits(numbers)) std::abort();
  if (expression->conditions().size() == 1) {
    if (!expression->admits(same)) std::abort();  // a pattern fits itself
    const identity::ClaimCondition& only = expression->conditions().front();
    if (!only.wildcards && expression->admits({{only.claim, only.value + "x"}})) std::abort();
  }
  for (const identity::ExpressionWarning& warning : identity::warnings_of(*expression)) {
    if (warning.example.empty()) continue;
    JsonObject token = same;
    token["sub"] = warning.example;
    for (const identity::ClaimCondition& condition : expression->conditions())
      if (condition.claim == "sub" && condition.wildcards &&
          !identity::fits_pattern(warning.example, condition.value))
        std::abort();
  }
  return 0;
}
