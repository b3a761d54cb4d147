// The clock is the one that never steps: a corrected wall clock must neither refill a bucket nor empty it.
#include "resource/throttle.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace merlon::resource {
namespace {

constexpr std::array<std::string_view, 3> kNames{"reads", "writes", "deletes"};
constexpr std::array<std::string_view, 3> kSingular{"read", "write", "delete"};
constexpr uint32_t kLimitMax = 1'000'000;
constexpr size_t kLevelsMax = 4096;  // a full bucket says nothing: beyond this many they are dropped
constexpr double kMsPerSecond = 1000;

std::unexpected<Error> bad_limits(std::string_view text) {
  return fail(
      ErrorKind::invalid, "InvalidRateLimits",
      "The rate limits '" + std::string(text.substr(0, 200)) +
          "' are not understood. Say off, azure, or for instance "
          "reads=250:25,writes=200:10,deletes=200:10 (requests at once : refilled per second, each from "
          "1 to 1000000).");
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || value == 0 || value > kLimitMax)
    return std::nullopt;
  return value;
}

}  // namespace

RateLimits RateLimits::azure() { return {{{{250, 25}, {200, 10}, {200, 10}}}}; }

Result<std::optional<RateLimits>> parse_rate_limits(std::string_view text) {
  if (text == "off") return std::optional<RateLimits>();
  if (text == "azure") return std::optional(RateLimits::azure());
  RateLimits limits;
  std::array<bool, kNames.size()> seen{};
  for (const std::string_view part : split(text, ',')) {
    const size_t equals = part.find('=');
    const size_t colon = part.find(':');
    if (equals == std::string_view::npos || colon == std::string_view::npos || colon < equals)
      return bad_limits(text);
    const auto name = std::ranges::find(kNames, part.substr(0, equals));
    const auto size = number(part.substr(equals + 1, colon - equals - 1));
    const auto refill = number(part.substr(colon + 1));
    if (name == kNames.end() || !size || !refill) return bad_limits(text);
    const auto at = static_cast<size_t>(name - kNames.begin());
    if (seen[at]) return bad_limits(text);
    seen[at] = true;
    limits.buckets[at] = {*size, *refill};
  }
  if (!std::ranges::all_of(seen, [](bool s) { return s; })) return bad_limits(text);
  return std::optional(limits);
}

double Throttle::refilled(const Level& level, const Bucket& bucket, Duration now) const {
  const double passed = static_cast<double>((now - level.at).count()) / kMsPerSecond;
  return std::min<double>(bucket.size, level.tokens + std::max(passed, 0.0) * bucket.per_second);
}

void Throttle::drop_full(Duration now) {
  std::erase_if(levels_, [&](const auto& entry) {
    const Bucket& bucket = limits_.buckets[static_cast<size_t>(entry.first.second)];
    return refilled(entry.second, bucket, now) >= bucket.size;
  });
}

Throttle::Answer Throttle::admit(const Uuid& principal, RequestKind kind) {
  const Bucket& bucket = limits_.buckets[static_cast<size_t>(kind)];
  const Duration now = clock_.boottime();
  const std::lock_guard lock(mutex_);
  if (levels_.size() >= kLevelsMax) drop_full(now);
  const auto at = levels_.try_emplace({principal, kind}, Level{static_cast<double>(bucket.size), now}).first;
  Level& level = at->second;
  level.tokens = refilled(level, bucket, now);
  level.at = now;
  if (level.tokens < 1) {
    const double wait = std::ceil((1 - level.tokens) / bucket.per_second);
    return {.admitted = false, .remaining = 0, .retry_after_s = std::max(1U, static_cast<uint32_t>(wait))};
  }
  level.tokens -= 1;
  return {.admitted = true, .remaining = static_cast<uint32_t>(level.tokens), .retry_after_s = 0};
}

RequestKind kind_of_method(std::string_view method) {
  if (method == "GET" || method == "HEAD") return RequestKind::read;
  return method == "DELETE" ? RequestKind::remove : RequestKind::write;
}

std::string remaining_header(RequestKind kind, bool in_subscription) {
  return std::string("x-ms-ratelimit-remaining-") + (in_subscription ? "subscription-" : "tenant-") +
         std::string(kNames[static_cast<size_t>(kind)]);
}

Error throttled(const std::string& subscription, const Uuid& principal, RequestKind kind,
                uint32_t retry_after_s) {
  Error error;
  error.kind = ErrorKind::throttled;
  error.code = "SubscriptionRequestsThrottled";
  error.message = "Number of '" + std::string(kSingular[static_cast<size_t>(kind)]) +
                  "' requests for subscription '" + subscription + "' actor '" + principal.text() +
                  "' exceeded. Please try again after '" + std::to_string(retry_after_s) +
                  "' seconds after additional tokens are available. Refer to "
                  "https://aka.ms/arm-throttling for additional information.";
  return error;
}

}  // namespace merlon::resource
