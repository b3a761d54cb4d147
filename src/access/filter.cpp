// Reads a $filter. Strings are OData's: single quotes, doubled inside (OData 4.01 URL conventions,
// section 5.1.1.14.1).
#include "access/filter.h"

#include "base/text.h"

namespace merlon::access {
namespace {

constexpr size_t kFilterBytesMax = 2048;

class FilterReader {
 public:
  FilterReader(std::string_view text, Listed listed) : text_(text), listed_(listed) {}

  Result<ListFilter> whole() {
    skip_space();
    for (;;) {
      TRY(clause());
      skip_space();
      if (at_ == text_.size()) break;
      const size_t before = at_;
      if (!ascii_iequal(word(), "and")) return wrong(before, "clauses are joined by 'and'");
    }
    if (filter_.at_scope && filter_.at_scope_and_below)
      return wrong(0, "atScope() and atScopeAndBelow() exclude each other");
    return filter_;
  }

 private:
  std::unexpected<Error> wrong(size_t at, const std::string& what) const {
    const std::string known = listed_ == Listed::role_definitions
                                  ? "atScopeAndBelow(), atScope(), roleName eq '…', type eq '…'"
                                  : "atScope(), atScopeAndBelow(), principalId eq '…', assignedTo('…')";
    return fail(ErrorKind::invalid, "InvalidFilter",
                "The $filter is not valid at character " + std::to_string(at + 1) + ": " + what + ". Use " +
                    known + ", joined by 'and'.",
                "$filter");
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  std::string_view word() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() && ((ascii_lower(text_[at_]) >= 'a' && ascii_lower(text_[at_]) <= 'z'))) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<std::string> quoted() {
    const size_t begin = at_;
    if (!take('\'')) return wrong(begin, "a text in single quotes should stand here");
    std::string value;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] != '\'') {
        value += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '\'') {
        value += text_[at_++];
      } else {
        ++at_;
        return value;
      }
    }
    return wrong(begin, "the text that begins here has no closing quote");
  }

  Result<Uuid> quoted_id() {
    const size_t begin = at_;
    const auto id = Uuid::parse(TRY(quoted()));
    if (!id) return wrong(begin, "an object id (a GUID) should stand here");
    return *id;
  }

  Result<void> parentheses() {
    if (take('(') && take(')')) return {};
    return wrong(at_, "'()' should stand here");
  }

  Result<void> eq() {
    const size_t begin = at_;
    if (ascii_iequal(word(), "eq")) return {};
    return wrong(begin, "'eq' should stand here");
  }

  template <class T>
  Result<void> once(std::optional<T>& slot, size_t begin, T value) {
    if (slot) return wrong(begin, "this clause is there twice");
    slot = std::move(value);
    return {};
  }

  Result<void> clause() {
    skip_space();
    const size_t begin = at_;
    const std::string name = ascii_lower(word());
    if (name == "atscope" || name == "atscopeandbelow") {
      TRY(parentheses());
      (name == "atscope" ? filter_.at_scope : filter_.at_scope_and_below) = true;
      return {};
    }
    if (listed_ == Listed::role_definitions) return role_clause(name, begin);
    return assignment_clause(name, begin);
  }

  Result<void> role_clause(const std::string& name, size_t begin) {
    if (name == "rolename") {
      TRY(eq());
      return once(filter_.role_name, begin, TRY(quoted()));
    }
    if (name != "type") return wrong(begin, "this clause is not known here");
    TRY(eq());
    const std::string type = TRY(quoted());
    for (const char* known : {"BuiltInRole", "CustomRole"})
      if (ascii_iequal(type, known)) return once(filter_.role_type, begin, std::string(known));
    return wrong(begin, "the type is 'BuiltInRole' or 'CustomRole'");
  }

  Result<void> assignment_clause(const std::string& name, size_t begin) {
    if (name == "principalid") {
      TRY(eq());
      return once(filter_.principal_id, begin, TRY(quoted_id()));
    }
    if (name == "assignedto") {
      if (!take('(')) return wrong(at_, "'(' should stand here");
      const Uuid id = TRY(quoted_id());
      if (!take(')')) return wrong(at_, "')' should stand here");
      return once(filter_.assigned_to, begin, id);
    }
    if (name == "denyassignmentname" && listed_ == Listed::deny_assignments) {
      TRY(eq());
      return once(filter_.denial_name, begin, TRY(quoted()));
    }
    return wrong(begin, "this clause is not known here");
  }

  std::string_view text_;
  Listed listed_;
  size_t at_ = 0;
  ListFilter filter_;
};

}  // namespace

Result<ListFilter> parse_filter(std::string_view text, Listed listed) {
  if (trim(text).empty()) return ListFilter{};
  if (text.size() > kFilterBytesMax)
    return fail(ErrorKind::invalid, "InvalidFilter",
                "The $filter is longer than " + std::to_string(kFilterBytesMax) + " bytes. Shorten it.",
                "$filter");
  return FilterReader(text, listed).whole();
}

}  // namespace merlon::access
