// Its text.
#include "agent/server_range.h"

#include <charconv>

namespace merlon::agent {

std::string ServerRange::text() const {
  const std::string net = network.address().is_v4() ? network.text() : "[" + network.text() + "]";
  return net + ":" + std::to_string(port);
}

std::optional<ServerRange> ServerRange::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view net = text.substr(0, colon);
  const bool bracketed = net.starts_with('[') && net.ends_with(']');
  if (bracketed) net = net.substr(1, net.size() - 2);
  const auto network = IpPrefix::parse(net);
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + colon + 1, end, port);
  if (!network || net.contains(':') != bracketed || read.ec != std::errc() || read.ptr != end || port == 0)
    return std::nullopt;
  return ServerRange{.network = *network, .port = port};
}

}  // namespace merlon::agent
