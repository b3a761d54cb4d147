// Conditions of role assignments: Azure's attribute-based access control, version 2.0 (Azure docs,
// conditions-format.md). Three-valued: what is asked about a thing that the caller did not tell is unknown,
// "not unknown" is unknown, and only a condition that is certainly true lets an assignment grant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "access/attributes.h"
#include "access/pattern.h"
#include "base/clock.h"
#include "base/result.h"

namespace merlon::access {

enum class Truth { no, yes, unknown };
Truth negate(Truth value);

inline constexpr size_t kConditionBytesMax = 8192;
inline constexpr unsigned kConditionDepthMax = 64;

struct ConditionContext {
  std::string_view lower_action;
  const Attributes& attributes;
  Timestamp now;  // @Environment[UtcNow]
};

struct Comparison {
  enum class Family { text, number, time, guid, boolean };
  enum class Relation { equals, starts_with, like, less, less_equals, greater, greater_equals };
  // "ForAllOfAnyValues": every value on the left compares so with at least one on the right.
  enum class Quantifier { single, any_any, all_any, any_all, all_all };
  Family family = Family::text;
  Relation relation = Relation::equals;
  Quantifier quantifier = Quantifier::single;
  bool negated = false;
  bool ignore_case = false;
};

struct Operand {
  std::string attribute;            // key, empty for literals
  std::vector<std::string> values;  // literals
};

struct ConditionNode {
  enum class Kind { all_of, any_of, negation, action_matches, sub_operation_matches, exists, comparison };
  Kind kind = Kind::comparison;
  std::vector<uint32_t> children;
  std::vector<Pattern> actions;
  std::vector<std::string> sub_operations;
  Comparison comparison;
  Operand left, right;
};

class Condition {
 public:
  // Errors are 400 InvalidConditionFormat and say at which character.
  static Result<Condition> parse(std::string_view text);
  Truth evaluate(const ConditionContext& context) const;

 private:
  Condition(std::vector<ConditionNode> nodes, uint32_t root) : nodes_(std::move(nodes)), root_(root) {}
  Truth evaluate_node(uint32_t index, const ConditionContext& context) const;
  std::vector<ConditionNode> nodes_;
  uint32_t root_;
};

// One value with one value. Unknown when a text is not of the operator's family.
Truth compare_values(const Comparison& comparison, std::string_view left, std::string_view right);
// Whether a literal may stand beside the operator.
bool is_of_family(Comparison::Family family, std::string_view text);

}  // namespace merlon::access
