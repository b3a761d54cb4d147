// Evaluates a condition in Kleene's three-valued logic.
#include "access/condition.h"

#include <charconv>
#include <compare>
#include <optional>

#include "base/text.h"
#include "base/time_text.h"
#include "base/uuid.h"

namespace merlon::access {
namespace {

Truth truth(bool value) { return value ? Truth::yes : Truth::no; }

// Feeds truths into "all" or "any", neither of which is decided by an unknown unless something else decides
// it.
class Fold {
 public:
  explicit Fold(bool all) : all_(all), value_(truth(all)) {}
  void add(Truth next) {
    const Truth deciding = truth(!all_);
    if (value_ == deciding) return;
    if (next == deciding || next == Truth::unknown) value_ = next;
  }
  Truth value() const { return value_; }

 private:
  bool all_;
  Truth value_;
};

// Built-in roles write ids in braces both with and without dashes.
std::optional<Uuid> guid_of(std::string_view text) {
  if (text.size() != 32) return Uuid::parse(text);
  std::string dashed(text);
  for (const size_t at : {8U, 13U, 18U, 23U}) dashed.insert(at, 1, '-');
  return Uuid::parse(dashed);
}

std::optional<int64_t> integer_of(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> bool_of(std::string_view text) {
  if (ascii_iequal(text, "true")) return true;
  if (ascii_iequal(text, "false")) return false;
  return std::nullopt;
}

template <class T>
Truth relate(Comparison::Relation relation, const std::optional<T>& left, const std::optional<T>& right) {
  if (!left || !right) return Truth::unknown;
  switch (relation) {
    case Comparison::Relation::equals:
      return truth(*left == *right);
    case Comparison::Relation::less:
      return truth(*left < *right);
    case Comparison::Relation::less_equals:
      return truth(*left <= *right);
    case Comparison::Relation::greater:
      return truth(*left > *right);
    case Comparison::Relation::greater_equals:
      return truth(*left >= *right);
    case Comparison::Relation::starts_with:
    case Comparison::Relation::like:
      return Truth::unknown;
  }
  return Truth::unknown;
}

Truth relate_text(const Comparison& comparison, std::string_view left, std::string_view right) {
  switch (comparison.relation) {
    case Comparison::Relation::equals:
      return truth(comparison.ignore_case ? ascii_iequal(left, right) : left == right);
    case Comparison::Relation::starts_with:
      return truth(comparison.ignore_case ? ascii_istarts_with(left, right) : left.starts_with(right));
    case Comparison::Relation::like:
      return truth(like_matches(right, left, comparison.ignore_case));
    default:
      return Truth::unknown;
  }
}

// The values of an operand; nothing when they are unknown or absent, with which no comparison is decided.
std::optional<std::vector<std::string>> values_of(const Operand& operand, const ConditionContext& context) {
  if (operand.attribute.empty()) return operand.values;
  if (operand.attribute == "@environment[utcnow]") return std::vector<std::string>{to_rfc3339(context.now)};
  const std::vector<std::string>* values = context.attributes.find(operand.attribute);
  if (values == nullptr || values->empty()) return std::nullopt;
  return *values;
}

Truth evaluate_comparison(const ConditionNode& node, const ConditionContext& context) {
  using Quantifier = Comparison::Quantifier;
  const auto left = values_of(node.left, context);
  const auto right = values_of(node.right, context);
  if (!left || !right) return Truth::unknown;
  const Quantifier quantifier = node.comparison.quantifier;
  if (quantifier == Quantifier::single) {
    if (left->size() != 1 || right->size() != 1) return Truth::unknown;
    return compare_values(node.comparison, left->front(), right->front());
  }
  Fold over_left(quantifier == Quantifier::all_any || quantifier == Quantifier::all_all);
  for (const std::string& one : *left) {
    Fold over_right(quantifier == Quantifier::any_all || quantifier == Quantifier::all_all);
    for (const std::string& other : *right) over_right.add(compare_values(node.comparison, one, other));
    over_left.add(over_right.value());
  }
  return over_left.value();
}

Truth evaluate_sub_operation(const ConditionNode& node, const ConditionContext& context) {
  const std::vector<std::string>* asked = context.attributes.find("@request[suboperation]");
  if (asked == nullptr) return Truth::unknown;
  for (const std::string& one : *asked)
    for (const std::string& other : node.sub_operations)
      if (ascii_iequal(one, other)) return Truth::yes;
  return Truth::no;
}

Truth evaluate_exists(const ConditionNode& node, const ConditionContext& context) {
  if (node.left.attribute == "@environment[utcnow]") return Truth::yes;
  const std::vector<std::string>* values = context.attributes.find(node.left.attribute);
  return values == nullptr ? Truth::unknown : truth(!values->empty());
}

}  // namespace

Truth negate(Truth value) {
  if (value == Truth::unknown) return value;
  return truth(value == Truth::no);
}

bool is_of_family(Comparison::Family family, std::string_view text) {
  switch (family) {
    case Comparison::Family::text:
      return true;
    case Comparison::Family::number:
      return integer_of(text).has_value();
    case Comparison::Family::time:
      return from_rfc3339(text).has_value();
    case Comparison::Family::guid:
      return guid_of(text).has_value();
    case Comparison::Family::boolean:
      return bool_of(text).has_value();
  }
  return false;
}

Truth compare_values(const Comparison& comparison, std::string_view left, std::string_view right) {
  Truth result = Truth::unknown;
  switch (comparison.family) {
    case Comparison::Family::text:
      result = relate_text(comparison, left, right);
      break;
    case Comparison::Family::number:
      result = relate(comparison.relation, integer_of(left), integer_of(right));
      break;
    case Comparison::Family::time:
      result = relate(comparison.relation, from_rfc3339(left), from_rfc3339(right));
      break;
    case Comparison::Family::guid:
      result = relate(comparison.relation, guid_of(left), guid_of(right));
      break;
    case Comparison::Family::boolean:
      result = relate(comparison.relation, bool_of(left), bool_of(right));
      break;
  }
  return comparison.negated ? negate(result) : result;
}

Truth Condition::evaluate(const ConditionContext& context) const { return evaluate_node(root_, context); }

Truth Condition::evaluate_node(uint32_t index, const ConditionContext& context) const {
  using Kind = ConditionNode::Kind;
  const ConditionNode& node = nodes_[index];
  switch (node.kind) {
    case Kind::all_of:
    case Kind::any_of: {
      Fold fold(node.kind == Kind::all_of);
      for (const uint32_t child : node.children) fold.add(evaluate_node(child, context));
      return fold.value();
    }
    case Kind::negation:
      return negate(evaluate_node(node.children.front(), context));
    case Kind::action_matches: {
      Fold fold(false);
      for (const Pattern& pattern : node.actions) fold.add(truth(pattern.matches(context.lower_action)));
      return fold.value();
    }
    case Kind::sub_operation_matches:
      return evaluate_sub_operation(node, context);
    case Kind::exists:
      return evaluate_exists(node, context);
    case Kind::comparison:
      return evaluate_comparison(node, context);
  }
  return Truth::unknown;
}

}  // namespace merlon::access
