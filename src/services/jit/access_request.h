// One request for access, read and checked against its policy (contract jit.md, Checks on initiate).
#pragma once

#include <string>
#include <vector>

#include "services/jit/policy.h"

namespace merlon::jit {

struct PortRequest {
  resource::ResourceId vm;
  uint16_t number = 0;
  machine::Protocol protocol = machine::Protocol::tcp;
  std::vector<std::string> sources;  // as they will be shown: "198.51.100.7", "203.0.113.0/24", "*"
  Timestamp end;
  bool fixed_end = false;  // a time was given, not a duration
};

struct AccessRequest {
  std::vector<PortRequest> ports;
  std::string justification;
};

schema::Shape request_shape();
// `peer` is the caller's address: the source when none is given. Nothing is assumed: an unknown machine is
// 404, all else 400.
Result<AccessRequest> read_request(const Policy& policy, const JsonObject& body, const IpAddress& peer,
                                   Timestamp now);

}  // namespace merlon::jit
