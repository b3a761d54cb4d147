// Names of resources.
#include "identity/audience.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace merlon::identity {
namespace {

// The public cloud's and the sovereign clouds' names: what tools ask for when nobody told them another.
constexpr std::array<std::string_view, 7> kManagement = {
    "https://management.azure.com",         "https://management.core.windows.net",
    "https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",  "https://management.core.chinacloudapi.cn",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013"};
constexpr std::array<std::string_view, 2> kGraph = {"https://graph.microsoft.com",
                                                    "00000003-0000-0000-c000-000000000000"};

// Azure Key Vault, in each cloud, and its application id.
constexpr std::array<std::string_view, 4> kVault = {
    "https://vault.azure.net", "https://vault.usgovcloudapi.net", "https://vault.azure.cn",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"};

bool is_one_of(std::string_view audience, auto const& names) {
  const std::string_view bare = without_slashes(audience);
  return std::ranges::any_of(names, [&](std::string_view name) { return ascii_iequal(bare, name); });
}

}  // namespace

std::string_view without_slashes(std::string_view audience) {
  while (!audience.empty() && audience.back() == '/') audience.remove_suffix(1);
  return audience;
}

bool is_azure_management_audience(std::string_view audience) { return is_one_of(audience, kManagement); }
bool is_graph_audience(std::string_view audience) { return is_one_of(audience, kGraph); }
bool is_azure_vault_audience(std::string_view audience) { return is_one_of(audience, kVault); }

std::optional<HttpsUrl> parse_audience_url(std::string_view url) {
  if (!ascii_istarts_with(url, "https://")) return std::nullopt;
  url.remove_prefix(8);
  const size_t slash = url.find('/');
  std::string_view authority = url.substr(0, slash);
  HttpsUrl parsed;
  if (slash != std::string_view::npos) parsed.path = url.substr(slash);
  if (parsed.path.find_first_of("?#") != std::string::npos) return std::nullopt;
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), parsed.port);
    if (error != std::errc() || end != port.data() + port.size() || parsed.port == 0 || parsed.port > 65535)
      return std::nullopt;
    authority = authority.substr(0, colon);
  }
  const auto allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || (bracket != std::string_view::npos && (c == '[' || c == ']' || c == ':'));
  };
  if (authority.empty() || !std::ranges::all_of(authority, allowed)) return std::nullopt;
  parsed.host = ascii_lower(authority);
  return parsed;
}

}  // namespace merlon::identity
