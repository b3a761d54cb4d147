// UUIDs (RFC 9562), lower case as Azure writes them. A Uuid is never malformed: parse, or make one.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace merlon {

class Random;

class Uuid {
 public:
  Uuid() : text_("00000000-0000-0000-0000-000000000000") {}
  static std::optional<Uuid> parse(std::string_view text);  // 8-4-4-4-12, either case
  static Uuid generate(Random& random);                     // version 4
  const std::string& text() const { return text_; }
  bool is_nil() const { return *this == Uuid(); }
  auto operator<=>(const Uuid&) const = default;

 private:
  std::string text_;
};

// The tenant is part of every key and every call: a value of its own type, so that leaving it out does not
// compile.
struct TenantId {
  Uuid id;
  const std::string& text() const { return id.text(); }
  auto operator<=>(const TenantId&) const = default;
};

}  // namespace merlon
