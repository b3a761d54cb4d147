// ctnetlink's attributes (linux/netfilter/nfnetlink_conntrack.h).
#include "agent/firewall_tuples.h"

#include <linux/netfilter/nfnetlink_conntrack.h>

#include <array>
#include <cstring>

namespace merlon::agent {

ByteView bytes_of(const nlattr& attribute) {
  return {static_cast<const uint8_t*>(mnl_attr_get_payload(&attribute)),
          mnl_attr_get_payload_len(&attribute)};
}

namespace {

std::optional<IpAddress> address_of(const nlattr& attribute) {
  const ByteView bytes = bytes_of(attribute);
  if (bytes.size() == 4)
    return IpAddress::from_v4((uint32_t{bytes[0]} << 24) | (uint32_t{bytes[1]} << 16) |
                              (uint32_t{bytes[2]} << 8) | bytes[3]);
  if (bytes.size() != 16) return std::nullopt;
  std::array<uint8_t, 16> address{};
  std::memcpy(address.data(), bytes.data(), address.size());
  return IpAddress::from_v6(address);
}

uint16_t port_of(const nlattr& attribute) {
  const ByteView bytes = bytes_of(attribute);
  return bytes.size() == 2 ? static_cast<uint16_t>((bytes[0] << 8) | bytes[1]) : uint16_t{0};
}

}  // namespace

std::optional<FlowKey> tuple_of(const nlattr& nest) {
  FlowKey key;
  bool has_source = false;
  bool has_destination = false;
  each_nested(nest, [&](const nlattr& part) {
    if (mnl_attr_get_type(&part) == CTA_TUPLE_IP)
      each_nested(part, [&](const nlattr& field) {
        const auto type = mnl_attr_get_type(&field);
        const auto address = address_of(field);
        if (!address) return;
        if (type == CTA_IP_V4_SRC || type == CTA_IP_V6_SRC) {
          key.source = *address;
          has_source = true;
        } else if (type == CTA_IP_V4_DST || type == CTA_IP_V6_DST) {
          key.destination = *address;
          has_destination = true;
        }
      });
    if (mnl_attr_get_type(&part) == CTA_TUPLE_PROTO)
      each_nested(part, [&](const nlattr& field) {
        const auto type = mnl_attr_get_type(&field);
        if (type == CTA_PROTO_NUM && mnl_attr_get_payload_len(&field) == 1) key.protocol = bytes_of(field)[0];
        if (type == CTA_PROTO_SRC_PORT) key.source_port = port_of(field);
        if (type == CTA_PROTO_DST_PORT) key.destination_port = port_of(field);
      });
  });
  if (!has_source || !has_destination) return std::nullopt;
  return key;
}

}  // namespace merlon::agent
