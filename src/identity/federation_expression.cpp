// Parsing and evaluating claims matching expressions.
#include "identity/federation_expression.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::identity {
namespace {

constexpr size_t kExpressionMax = 4096;
constexpr size_t kConditionsMax = 16;
constexpr size_t kClaimNameMax = 128;
constexpr size_t kValueMax = 600;  // as a subject that is compared exactly
constexpr size_t kTextMax = 2048;

std::unexpected<Error> not_understood(std::string_view rest, const std::string& why) {
  const std::string where = rest.empty() ? "at its end" : "at \"" + std::string(rest.substr(0, 40)) + "\"";
  return fail(ErrorKind::invalid, "Request_BadRequest",
              "The claims matching expression is not understood " + where + ": " + why +
                  " Its form is: claims['sub'] matches 'repo:shop/*' and claims['NAME'] eq 'VALUE'.",
              "claimsMatchingExpression");
}

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : rest_(text) {}

  Result<std::vector<ClaimCondition>> parse() {
    std::vector<ClaimCondition> conditions;
    do {
      if (conditions.size() == kConditionsMax)
        return not_understood(rest_, "there are more than 16 conditions.");
      conditions.push_back(TRY(condition()));
    } while (take_word("and"));
    skip_spaces();
    if (!rest_.empty()) return not_understood(rest_, "only 'and' may follow a condition.");
    return conditions;
  }

 private:
  bool skip_spaces() {
    const size_t before = rest_.size();
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    return rest_.size() != before;
  }
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  // A word stands between spaces, so that 'a'and or eq'a' are no forms of their own.
  bool take_word(std::string_view word) {
    const std::string_view before = rest_;
    if (skip_spaces() && take(word) && skip_spaces()) return true;
    rest_ = before;
    return false;
  }
  // The language has no way to write a quote, and gives the backslash no meaning that we know of: neither is
  // taken, rather than taken for what it may not be.
  Result<std::string> quoted(size_t bytes_max, const std::string& what) {
    if (!take("'")) return not_understood(rest_, what + " must be in single quotes.");
    const size_t end = rest_.find('\'');
    if (end == std::string_view::npos) return not_understood(rest_, "a closing quote is missing.");
    const std::string_view value = rest_.substr(0, end);
    if (value.empty() || value.size() > bytes_max)
      return not_understood(rest_, what + " must have 1 to " + std::to_string(bytes_max) + " bytes.");
    if (value.find('\\') != std::string_view::npos)
      return not_understood(rest_, what + " has a backslash, which means nothing here.");
    rest_.remove_prefix(end + 1);
    return std::string(value);
  }
  Result<ClaimCondition> condition() {
    ClaimCondition condition;
    skip_spaces();
    if (!take("claims[")) return not_understood(rest_, "a condition begins with claims['NAME'].");
    condition.claim = TRY(quoted(kClaimNameMax, "the claim's name"));
    if (!take("]")) return not_understood(rest_, "the bracket is not closed.");
    if (take_word("matches"))
      condition.wildcards = true;
    else if (!take_word("eq"))
      return not_understood(rest_, "the operators are 'eq' and 'matches', with spaces around them.");
    condition.value = TRY(quoted(kValueMax, "the value"));
    return condition;
  }

  std::string_view rest_;
};

// The length of the UTF-8 character at the front; texts are UTF-8 already.
size_t character_length(std::string_view text) {
  size_t length = 1;
  while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) ++length;
  return length;
}

}  // namespace

bool fits_pattern(std::string_view text, std::string_view pattern) {
  if (text.size() > kTextMax) return false;
  size_t at = 0;
  size_t want = 0;
  // After the last * that was passed: where the pattern goes on, and how far that * reaches by now. An
  // earlier
  // * never needs to be tried again: what the last one can take, it could too.
  size_t star = std::string_view::npos;
  size_t star_end = 0;
  while (at < text.size()) {
    if (want < pattern.size() && pattern[want] == '*') {
      star = ++want;
      star_end = at;
    } else if (want < pattern.size() && pattern[want] == '?') {
      at += character_length(text.substr(at));
      ++want;
    } else if (want < pattern.size() && pattern[want] == text[at]) {
      ++at;
      ++want;
    } else if (star != std::string_view::npos) {
      star_end += character_length(text.substr(star_end));
      at = star_end;
      want = star;
    } else {
      return false;
    }
  }
  return std::ranges::all_of(pattern.substr(want), [](char c) { return c == '*'; });
}

Result<ClaimsExpression> ClaimsExpression::parse(std::string_view text) {
  if (text.size() > kExpressionMax) return not_understood({}, "it is longer than 4096 bytes.");
  if (!is_utf8(text) || std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }))
    return not_understood({}, "it holds control characters or is not UTF-8.");
  ClaimsExpression expression;
  expression.conditions_ = TRY(ExpressionParser(text).parse());
  return expression;
}

bool ClaimsExpression::admits(const JsonObject& claims) const {
  return !conditions_.empty() && std::ranges::all_of(conditions_, [&](const ClaimCondition& condition) {
    // By its name as it is: a claim's name may hold dots, and is no path.
    const Json* value = claims.if_contains(condition.claim);
    if (value == nullptr || !value->is_string()) return false;
    const std::string_view text(value->get_string());
    return condition.wildcards ? fits_pattern(text, condition.value) : text == condition.value;
  });
}

}  // namespace merlon::identity
