// Attributes of netlink messages about connections, for the files that read them.
#pragma once

#include <libmnl/libmnl.h>

#include <optional>

#include "agent/logged_packet.h"

namespace merlon::agent {

// libmnl's loop over attributes is a macro for C.
template <class Visit>
void each_attribute(const void* first, const void* end, const Visit& visit) {
  const auto* attribute = static_cast<const nlattr*>(first);
  while (mnl_attr_ok(attribute, static_cast<int>(static_cast<const char*>(end) -
                                                 reinterpret_cast<const char*>(attribute)))) {
    visit(*attribute);
    attribute = mnl_attr_next(attribute);
  }
}

template <class Visit>
void each_nested(const nlattr& nest, const Visit& visit) {
  const auto* first = static_cast<const char*>(mnl_attr_get_payload(&nest));
  each_attribute(first, first + mnl_attr_get_payload_len(&nest), visit);
}

ByteView bytes_of(const nlattr& attribute);
// CTA_TUPLE_ORIG, CTA_TUPLE_REPLY: who to whom.
std::optional<FlowKey> tuple_of(const nlattr& nest);

}  // namespace merlon::agent
