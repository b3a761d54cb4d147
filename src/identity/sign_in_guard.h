// Slows down who guesses: after some failures for an account or from a source, that account or source waits,
// twice as long each time. The counts are stored: they hold on every server and outlive a restart. An attempt
// is counted before it is made and taken off again when it succeeds, so that many at once are no way around.
//
// A source that has signed in to an account before has a count of its own for it, so that a stranger who
// fails on purpose does not lock the owner out (Entra's "familiar location" rule). Client secrets need no
// brake: they are 204 random bits. Attempts that must wait are not counted and write nothing; the others are
// bounded by how many password hashes run at once, so the table cannot grow faster than that.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "store/table.h"

namespace merlon::identity {

struct AttemptCount {
  std::string id;  // what is counted, hashed: names that strangers type are not kept
  uint32_t failures = 0;
  bool familiar = false;
  Timestamp last;
  Timestamp blocked_until;
  Timestamp expires;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<AttemptCount> from_json(const JsonObject& json);
};

class SignInGuard {
 public:
  SignInGuard(store::Store& store, TenantId tenant, const Clock& clock)
      : store_(store), tenant_(std::move(tenant)), clock_(clock) {}

  // How long a password for the account must wait; zero = it was counted and may be checked.
  Result<Duration> begin(std::string_view account, const IpAddress& peer);
  Result<Duration> wait_of(std::string_view account, const IpAddress& peer) const;  // counts nothing
  Result<void> succeeded(std::string_view account, const IpAddress& peer);
  // The same for the codes that a signed-in person types, and for device codes that anybody asks for.
  Result<Duration> begin_user_code(const Uuid& user, const IpAddress& peer);
  Result<void> user_code_found(const Uuid& user, const IpAddress& peer);
  // The same for second factors: whoever is counted here has given the right password.
  Result<Duration> begin_second_factor(const Uuid& user, const IpAddress& peer);
  Result<void> second_factor_right(const Uuid& user, const IpAddress& peer);
  Result<Duration> begin_device_code(const IpAddress& peer);

 private:
  struct Limit {
    std::string id;
    uint32_t free;
    Duration wait_max;
  };
  using Limits = std::vector<Limit>;
  Result<Duration> take(const std::function<Result<Limits>(store::Reader&)>& limits);
  Result<Duration> wait(store::Reader& reader, const Limits& limits) const;
  Result<void> add(store::Transaction& tx, const Limit& limit) const;
  Result<void> take_off(store::Transaction& tx, const std::string& id) const;
  Result<AttemptCount> count(store::Reader& reader, const std::string& id) const;
  Result<Limits> password_limits(store::Reader& reader, std::string_view account,
                                 const IpAddress& peer) const;

  store::Store& store_;
  const TenantId tenant_;
  const Clock& clock_;
};

}  // namespace merlon::identity
