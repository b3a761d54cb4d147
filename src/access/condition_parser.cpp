// Reads a condition: a lexer and a recursive descent whose depth and length are bounded. Precedence between
// AND and OR is refused rather than guessed: "If you have three or more expressions … you must add
// parentheses to define the order" (conditions-format.md, "Grouping and precedence").
#include <algorithm>
#include <array>
#include <optional>

#include "access/condition.h"
#include "base/text.h"

namespace merlon::access {
namespace {

struct Token {
  enum class Kind {
    end,
    open,
    close,
    open_set,
    close_set,
    comma,
    logical_not,
    logical_and,
    logical_or,
    word,
    text,
    attribute
  };
  Kind kind = Kind::end;
  std::string value;
  size_t at = 0;
};

std::unexpected<Error> malformed(size_t at, const std::string& what) {
  return fail(ErrorKind::invalid, "InvalidConditionFormat",
              "The condition is not valid at character " + std::to_string(at + 1) + ": " + what +
                  " Correct it and send the request again.",
              "condition");
}

// Of literals compared with literals. An attribute, which is what a condition is about, has few values.
constexpr size_t kPairsMax = 10'000;

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '+' || c == '.' || c == ':';
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<Token> next() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
    Token token{.kind = Token::Kind::end, .value = {}, .at = at_};
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (c == '\'') return quoted();
    if (c == '@') return attribute();
    if (is_word_character(c)) return word();
    return symbol();
  }

 private:
  Result<Token> symbol() {
    using Kind = Token::Kind;
    Token token{.kind = Kind::end, .value = {}, .at = at_};
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("&&") || rest.starts_with("||")) {
      token.kind = rest.front() == '&' ? Kind::logical_and : Kind::logical_or;
      at_ += 2;
      return token;
    }
    constexpr std::string_view kSymbols = "(){},!";
    constexpr std::array kKinds = {Kind::open,      Kind::close, Kind::open_set,
                                   Kind::close_set, Kind::comma, Kind::logical_not};
    const size_t index = kSymbols.find(rest.front());
    if (index == std::string_view::npos) return malformed(at_, "this character has no meaning here.");
    token.kind = kKinds[index];
    ++at_;
    return token;
  }

  // "\'" is a quote inside the text; every other backslash stays, since Like gives it a meaning.
  Result<Token> quoted() {
    Token token{.kind = Token::Kind::text, .value = {}, .at = at_};
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\'') {
        ++at_;
        return token;
      }
      if (text_[at_] == '\\' && at_ + 1 < text_.size() &&
          (text_[at_ + 1] == '\'' || text_[at_ + 1] == '\\')) {
        if (text_[at_ + 1] == '\\') token.value += '\\';
        ++at_;
      }
      token.value += text_[at_];
    }
    return malformed(token.at, "the quoted text that begins here has no closing quote.");
  }

  Result<Token> attribute() {
    Token token{.kind = Token::Kind::attribute, .value = {}, .at = at_};
    const size_t bracket = text_.find('[', at_);
    const std::string source = bracket == std::string_view::npos
                                   ? std::string()
                                   : ascii_lower(trim(text_.substr(at_, bracket - at_)));
    if (source != "@request" && source != "@resource" && source != "@principal" && source != "@environment")
      return malformed(at_, "an attribute begins with @Request[, @Resource[, @Principal[ or @Environment[.");
    const size_t end = text_.find(']', bracket);
    const std::string_view name = end == std::string_view::npos
                                      ? std::string_view()
                                      : trim(text_.substr(bracket + 1, end - bracket - 1));
    if (name.empty())
      return malformed(at_, "the attribute that begins here has no name or no closing bracket.");
    token.value = attribute_key(source + "[" + std::string(name) + "]");
    at_ = end + 1;
    return token;
  }

  Result<Token> word() {
    Token token{.kind = Token::Kind::word, .value = {}, .at = at_};
    while (at_ < text_.size() && is_word_character(text_[at_])) token.value += text_[at_++];
    if (ascii_iequal(token.value, "and")) token.kind = Token::Kind::logical_and;
    if (ascii_iequal(token.value, "or")) token.kind = Token::Kind::logical_or;
    if (ascii_iequal(token.value, "not")) token.kind = Token::Kind::logical_not;
    return token;
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct Family {
  std::string_view name;
  Comparison::Family family;
};

struct Relation {
  std::string_view name;
  Comparison::Relation relation;
};

// Reads "ForAnyOfAnyValues:StringNotEqualsIgnoreCase" and the like; nothing when there is no such operator.
std::optional<Comparison> operator_named(std::string_view word) {
  using F = Comparison::Family;
  using Q = Comparison::Quantifier;
  using R = Comparison::Relation;
  static constexpr std::array<std::pair<std::string_view, Q>, 4> kQuantifiers = {
      {{"foranyofanyvalues:", Q::any_any},
       {"forallofanyvalues:", Q::all_any},
       {"foranyofallvalues:", Q::any_all},
       {"forallofallvalues:", Q::all_all}}};
  static constexpr std::array<Family, 5> kFamilies = {{{"string", F::text},
                                                       {"numeric", F::number},
                                                       {"datetime", F::time},
                                                       {"guid", F::guid},
                                                       {"bool", F::boolean}}};
  static constexpr std::array<Relation, 7> kRelations = {{{"equals", R::equals},
                                                          {"startswith", R::starts_with},
                                                          {"like", R::like},
                                                          {"lessthan", R::less},
                                                          {"lessthanequals", R::less_equals},
                                                          {"greaterthan", R::greater},
                                                          {"greaterthanequals", R::greater_equals}}};
  const std::string lower = ascii_lower(word);
  std::string_view rest = lower;
  Comparison comparison;
  for (const auto& [name, quantifier] : kQuantifiers) {
    if (!rest.starts_with(name)) continue;
    comparison.quantifier = quantifier;
    rest.remove_prefix(name.size());
    break;
  }
  const auto family = std::find_if(kFamilies.begin(), kFamilies.end(),
                                   [&](const Family& f) { return rest.starts_with(f.name); });
  if (family == kFamilies.end()) return std::nullopt;
  comparison.family = family->family;
  rest.remove_prefix(family->name.size());
  if (rest.starts_with("not")) {
    comparison.negated = true;
    rest.remove_prefix(3);
  }
  if (comparison.family == F::text && rest.ends_with("ignorecase")) {
    comparison.ignore_case = true;
    rest.remove_suffix(std::string_view("ignorecase").size());
  }
  const auto relation =
      std::find_if(kRelations.begin(), kRelations.end(), [&](const Relation& r) { return rest == r.name; });
  if (relation == kRelations.end()) return std::nullopt;
  comparison.relation = relation->relation;
  const bool of_text = comparison.relation == R::starts_with || comparison.relation == R::like;
  const bool of_order = comparison.relation >= R::less;
  const bool ordered = comparison.family == F::number || comparison.family == F::time;
  if (of_text && comparison.family != F::text) return std::nullopt;
  if (of_order && (!ordered || comparison.negated)) return std::nullopt;
  return comparison;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Result<uint32_t> whole() {
    TRY(advance());
    const uint32_t root = TRY(expression(0));
    if (token_.kind != Token::Kind::end) return malformed(token_.at, "the condition should end here.");
    return root;
  }
  std::vector<ConditionNode> take_nodes() { return std::move(nodes_); }

 private:
  using Kind = Token::Kind;
  using NodeKind = ConditionNode::Kind;

  Result<void> advance() {
    token_ = TRY(lexer_.next());
    return {};
  }

  uint32_t add(ConditionNode node) {
    nodes_.push_back(std::move(node));
    return static_cast<uint32_t>(nodes_.size() - 1);
  }

  // unary (AND unary)* or unary (OR unary)*, never both without parentheses.
  Result<uint32_t> expression(unsigned depth) {
    const uint32_t first = TRY(unary(depth));
    const Kind connective = token_.kind;
    if (connective != Kind::logical_and && connective != Kind::logical_or) return first;
    ConditionNode node;
    node.kind = connective == Kind::logical_and ? NodeKind::all_of : NodeKind::any_of;
    node.children.push_back(first);
    while (token_.kind == connective) {
      TRY(advance());
      node.children.push_back(TRY(unary(depth)));
    }
    if (token_.kind == Kind::logical_and || token_.kind == Kind::logical_or)
      return malformed(token_.at, "AND and OR stand side by side; add parentheses to say which comes first.");
    return add(std::move(node));
  }

  Result<uint32_t> unary(unsigned depth) {
    if (depth >= kConditionDepthMax) return malformed(token_.at, "the condition is nested too deeply.");
    if (token_.kind == Kind::logical_not) {
      TRY(advance());
      ConditionNode node;
      node.kind = NodeKind::negation;
      node.children.push_back(TRY(unary(depth + 1)));
      return add(std::move(node));
    }
    if (token_.kind == Kind::open) {
      TRY(advance());
      const uint32_t inner = TRY(expression(depth + 1));
      if (token_.kind != Kind::close) return malformed(token_.at, "a closing parenthesis is missing.");
      TRY(advance());
      return inner;
    }
    if (token_.kind == Kind::word) {
      const std::string word = ascii_lower(token_.value);
      if (word == "actionmatches") return action_matches_node();
      if (word == "suboperationmatches") return sub_operation_node();
      if (word == "exists") return exists_node();
    }
    return comparison_node();
  }

  Result<uint32_t> action_matches_node() {
    ConditionNode node;
    node.kind = NodeKind::action_matches;
    TRY(advance());
    const size_t at = token_.at;
    for (std::string& text : TRY(set())) {
      if (text.empty())
        return malformed(at, "ActionMatches needs an action, such as {'Microsoft.Compute/*/read'}.");
      node.actions.emplace_back(std::move(text));
    }
    return add(std::move(node));
  }

  Result<uint32_t> sub_operation_node() {
    ConditionNode node;
    node.kind = NodeKind::sub_operation_matches;
    TRY(advance());
    node.sub_operations = TRY(set());
    return add(std::move(node));
  }

  Result<uint32_t> exists_node() {
    ConditionNode node;
    node.kind = NodeKind::exists;
    TRY(advance());
    if (token_.kind != Kind::attribute) return malformed(token_.at, "Exists asks about an attribute.");
    node.left.attribute = token_.value;
    TRY(advance());
    return add(std::move(node));
  }

  Result<uint32_t> comparison_node() {
    ConditionNode node;
    const size_t left_at = token_.at;
    node.left = TRY(operand());
    const size_t operator_at = token_.at;
    const auto comparison = token_.kind == Kind::word ? operator_named(token_.value) : std::nullopt;
    if (!comparison) return malformed(operator_at, "an operator such as StringEquals should stand here.");
    node.comparison = *comparison;
    TRY(advance());
    const size_t right_at = token_.at;
    node.right = TRY(operand());
    TRY(fits(node.left, node.comparison, left_at));
    TRY(fits(node.right, node.comparison, right_at));
    if (node.left.values.size() * node.right.values.size() > kPairsMax)
      return malformed(operator_at,
                       "two sets of values as long as these cannot be compared with each other.");
    return add(std::move(node));
  }

  static Result<void> fits(const Operand& operand, const Comparison& comparison, size_t at) {
    if (comparison.quantifier == Comparison::Quantifier::single && operand.values.size() > 1)
      return malformed(at, "several values need an operator such as ForAnyOfAnyValues:StringEquals.");
    for (const std::string& value : operand.values)
      if (!is_of_family(comparison.family, value))
        return malformed(at, "'" + value.substr(0, 64) + "' is not a value that this operator can compare.");
    return {};
  }

  Result<Operand> operand() {
    Operand result;
    if (token_.kind == Kind::open_set) {
      result.values = TRY(set());
      return result;
    }
    if (token_.kind == Kind::attribute) {
      result.attribute = token_.value;
    } else if (token_.kind == Kind::text || token_.kind == Kind::word) {
      result.values.push_back(token_.value);
    } else {
      return malformed(token_.at, "an attribute or a value should stand here.");
    }
    TRY(advance());
    return result;
  }

  Result<std::vector<std::string>> set() {
    std::vector<std::string> values;
    if (token_.kind != Kind::open_set)
      return malformed(token_.at, "a value in braces should stand here: {'…'}.");
    do {
      TRY(advance());
      if (token_.kind != Kind::text && token_.kind != Kind::word)
        return malformed(token_.at, "a value should stand here.");
      values.push_back(token_.value);
      TRY(advance());
    } while (token_.kind == Kind::comma);
    if (token_.kind != Kind::close_set)
      return malformed(token_.at, "a comma or a closing brace should stand here.");
    TRY(advance());
    return values;
  }

  Lexer lexer_;
  Token token_;
  std::vector<ConditionNode> nodes_;
};

}  // namespace

Result<Condition> Condition::parse(std::string_view text) {
  if (text.size() > kConditionBytesMax)
    return malformed(kConditionBytesMax,
                     "a condition has at most " + std::to_string(kConditionBytesMax) + " bytes.");
  if (!is_utf8(text)) return malformed(0, "the text is not UTF-8.");
  Parser parser(text);
  const uint32_t root = TRY(parser.whole());
  return Condition(parser.take_nodes(), root);
}

}  // namespace merlon::access
