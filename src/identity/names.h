// The form of names in the directory. Each function says what is wrong ("is empty"), or nothing.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace merlon::identity {

inline constexpr size_t kIdentifierUrisMax = 50;
inline constexpr size_t kRedirectUrisMax = 256;

std::optional<std::string> display_name_problem(std::string_view name);
std::optional<std::string> user_principal_name_problem(std::string_view name);
std::optional<std::string> identifier_uri_problem(std::string_view uri);

}  // namespace merlon::identity
