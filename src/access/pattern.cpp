// Wildcard matching without recursion and without going back over more than one star: the worst case is the
// product of the two lengths, and no pattern can make it exponential.
#include "access/pattern.h"

#include <algorithm>
#include <vector>

#include "access/access.h"
#include "base/text.h"

namespace merlon::access {
namespace {

// One UTF-8 character onward, so that "?" takes a whole letter.
size_t next_character(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) ++at;
  return at;
}

// Each piece between two stars is taken where it is found first: a later place never makes more room for the
// pieces after it. The text is walked once, whatever the pattern.
bool star_matches(std::string_view pattern, std::string_view text) {
  size_t star = pattern.find('*');
  if (!text.starts_with(pattern.substr(0, star))) return false;
  text.remove_prefix(star);
  for (;;) {
    pattern.remove_prefix(star + 1);
    star = pattern.find('*');
    if (star == std::string_view::npos) return text.ends_with(pattern);
    const size_t found = text.find(pattern.substr(0, star));
    if (found == std::string_view::npos) return false;
    text.remove_prefix(found + star);
  }
}

struct LikeElement {
  enum class Kind { character, one, run } kind;
  char value;
};

std::vector<LikeElement> like_elements(std::string_view pattern) {
  using Kind = LikeElement::Kind;
  std::vector<LikeElement> elements;
  elements.reserve(pattern.size());
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\' && (next == '*' || next == '?' || next == '\\')) {
      elements.push_back({Kind::character, next});
      ++i;
    } else if (c == '*') {
      elements.push_back({Kind::run, c});
    } else {
      elements.push_back({c == '?' ? Kind::one : Kind::character, c});
    }
  }
  return elements;
}

}  // namespace

Pattern::Pattern(std::string text) : text_(std::move(text)), lower_(ascii_lower(text_)) {
  stars_ = static_cast<size_t>(std::count(lower_.begin(), lower_.end(), '*'));
  first_star_ = lower_.find('*');
}

bool Pattern::matches(std::string_view lower_action) const {
  if (stars_ == 0) return lower_ == lower_action;
  if (stars_ > 1) return star_matches(lower_, lower_action);
  const std::string_view before = std::string_view(lower_).substr(0, first_star_);
  const std::string_view after = std::string_view(lower_).substr(first_star_ + 1);
  return lower_action.size() >= before.size() + after.size() && lower_action.starts_with(before) &&
         lower_action.ends_with(after);
}

bool like_matches(std::string_view pattern, std::string_view text, bool ignore_case) {
  using Kind = LikeElement::Kind;
  const std::vector<LikeElement> elements = like_elements(pattern);
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t resume = 0;
  const auto same = [ignore_case](char a, char b) {
    return ignore_case ? ascii_lower(a) == ascii_lower(b) : a == b;
  };
  while (t < text.size()) {
    if (p < elements.size() && elements[p].kind == Kind::run) {
      star = p++;
      resume = t;
    } else if (p < elements.size() && elements[p].kind == Kind::one) {
      ++p;
      t = next_character(text, t);
    } else if (p < elements.size() && same(elements[p].value, text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      resume = next_character(text, resume);
      t = resume;
    } else {
      return false;
    }
  }
  while (p < elements.size() && elements[p].kind == Kind::run) ++p;
  return p == elements.size();
}

bool action_matches(std::string_view pattern, std::string_view action) {
  return Pattern(std::string(pattern)).matches(ascii_lower(action));
}

}  // namespace merlon::access
