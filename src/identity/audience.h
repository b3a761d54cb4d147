// Whom a token is for. Resources are named by URIs that people write with and without a slash, and origins
// that are written with and without the default port: compare them here, once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace merlon::identity {

// "https://Host:443/x" -> host, port 443, path "/x". Nothing for other schemes, user info, or a malformed
// host.
struct HttpsUrl {
  std::string host;  // lower case; IPv6 in brackets
  unsigned port = 443;
  std::string path;  // with its slash, or empty; no query
  bool same_origin(const HttpsUrl& other) const { return host == other.host && port == other.port; }
};
std::optional<HttpsUrl> parse_audience_url(std::string_view url);

// Azure's own names of the Resource Manager and of Microsoft Graph, slashes at the end apart.
bool is_azure_management_audience(std::string_view audience);
bool is_graph_audience(std::string_view audience);
bool is_azure_vault_audience(std::string_view audience);
inline bool is_reserved_audience(std::string_view audience) {
  return is_azure_management_audience(audience) || is_graph_audience(audience) ||
         is_azure_vault_audience(audience);
}

// `audience` without the slashes at its end.
std::string_view without_slashes(std::string_view audience);

}  // namespace merlon::identity
