// ASCII text: comparisons without locale, splitting, lists for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace merlon {

inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string ascii_lower(std::string_view text);
bool ascii_iequal(std::string_view a, std::string_view b);
bool ascii_istarts_with(std::string_view text, std::string_view prefix);
std::vector<std::string_view> split(std::string_view text, char separator);  // keeps empty parts
std::string_view trim(std::string_view text);                                // spaces and tabs
std::string join(const std::vector<std::string>& parts, std::string_view separator);
// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates.
bool is_utf8(std::string_view text);

}  // namespace merlon
