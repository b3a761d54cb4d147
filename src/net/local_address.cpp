// Connecting a datagram socket makes the kernel choose a route and with it the source, without a packet
// (udp(7)).
#include "net/local_address.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

namespace merlon::net {
namespace asio = boost::asio;
using udp = asio::ip::udp;

std::optional<IpAddress> source_address_for(const IpAddress& target) {
  constexpr uint16_t kAnyPort = 9;
  boost::system::error_code error;
  const auto address = asio::ip::make_address(target.text(), error);
  if (error) return std::nullopt;
  asio::io_context context;
  udp::socket socket(context);
  socket.open(address.is_v4() ? udp::v4() : udp::v6(), error);
  if (!error) socket.connect({address, kAnyPort}, error);
  if (error) return std::nullopt;
  const udp::endpoint local = socket.local_endpoint(error);
  if (error) return std::nullopt;
  if (local.address().is_v4()) return IpAddress::from_v4(local.address().to_v4().to_uint());
  return IpAddress::from_v6(local.address().to_v6().to_bytes());
}

}  // namespace merlon::net
