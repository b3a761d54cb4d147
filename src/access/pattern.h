// Action patterns of role definitions, prepared once: a check compares hundreds of them with one action.
// "*" matches any run of characters, "/" included, and case does not count (Azure docs, role-definitions.md,
// "Actions").
#pragma once

#include <string>
#include <string_view>

namespace merlon::access {

class Pattern {
 public:
  explicit Pattern(std::string text);
  bool matches(std::string_view lower_action) const;  // the action in lower case
  const std::string& text() const { return text_; }   // as it was written
  // What comes before the first star, in lower case; all of it when there is none.
  std::string_view stem() const { return std::string_view(lower_).substr(0, first_star_); }
  // What matches is exactly the stem; or whatever begins with it. Anything else has to be looked at.
  bool is_its_stem() const { return stars_ == 0; }
  bool is_whatever_begins_so() const { return stars_ == 1 && first_star_ + 1 == lower_.size(); }

 private:
  std::string text_;
  std::string lower_;
  size_t stars_ = 0;
  size_t first_star_ = std::string::npos;
};

// The Like operators of conditions: "*" is any run, "?" one character, "\*", "\?" and "\\" are themselves
// (conditions-format.md, "Special characters").
bool like_matches(std::string_view pattern, std::string_view text, bool ignore_case);

}  // namespace merlon::access
