// Azure Resource Manager's throttling (Microsoft Learn, "Understand how Azure Resource Manager throttles
// requests"): for each principal and subscription a token bucket for reads, one for writes and one for
// deletes. Off unless the server is told otherwise: on machines of one's own nobody else needs protection.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "base/uuid.h"

namespace merlon::resource {

enum class RequestKind { read, write, remove };

struct Bucket {
  uint32_t size = 0;        // requests at once
  uint32_t per_second = 0;  // refilled
};

struct RateLimits {
  std::array<Bucket, 3> buckets;  // by RequestKind
  static RateLimits azure();      // of a subscription since 2024
};

// "off", "azure", or "reads=250:25,writes=200:10,deletes=200:10": bucket size and refill per second.
Result<std::optional<RateLimits>> parse_rate_limits(std::string_view text);

class Throttle {
 public:
  Throttle(const RateLimits& limits, const Clock& clock) : limits_(limits), clock_(clock) {}

  struct Answer {
    bool admitted = false;
    uint32_t remaining = 0;
    uint32_t retry_after_s = 0;  // when refused
  };
  Answer admit(const Uuid& principal, RequestKind kind);

 private:
  struct Level {
    double tokens = 0;
    Duration at{};
  };
  void drop_full(Duration now);
  double refilled(const Level& level, const Bucket& bucket, Duration now) const;

  const RateLimits limits_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::pair<Uuid, RequestKind>, Level> levels_;
};

RequestKind kind_of_method(std::string_view method);
// "x-ms-ratelimit-remaining-subscription-reads"; "-tenant-" for what is outside of any subscription.
std::string remaining_header(RequestKind kind, bool in_subscription);
Error throttled(const std::string& subscription, const Uuid& principal, RequestKind kind,
                uint32_t retry_after_s);

}  // namespace merlon::resource
