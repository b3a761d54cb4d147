// Counting attempts.
#include "identity/sign_in_guard.h"

#include <algorithm>
#include <functional>

#include "base/text.h"
#include "base/time_text.h"
#include "crypto/digest.h"
#include "identity/record_fields.h"
#include "identity/sessions.h"

namespace merlon::identity {
namespace {

constexpr uint32_t kFreePerAccount = 10;
constexpr uint32_t kFreePerSource = 30;  // an office behind one address has many people
constexpr uint32_t kFreeUserCodes = 10;
constexpr uint32_t kFreeSecondFactors = 6;  // of a million, three are right
constexpr uint32_t kFreeDeviceCodes = 60;
constexpr Duration kFirstWait = std::chrono::seconds(1);
constexpr Duration kWaitMax = std::chrono::minutes(15);
constexpr Duration kDeviceWaitMax = std::chrono::seconds(10);
constexpr Duration kForgetAfter = std::chrono::hours(1);  // without a failure
constexpr Duration kFamiliarFor = std::chrono::hours(24) * 30;
constexpr Duration kFamiliarAnew = std::chrono::hours(24);
constexpr size_t kSweepRows = 16;

// IPv6 by /64: one customer has 2^64 addresses.
std::string source_of(const IpAddress& peer) { return IpPrefix::make(peer, peer.is_v4() ? 32 : 64)->text(); }

std::string id_of(std::string_view kind, std::string_view what) {
  return std::string(kind) + "|" + to_hex(crypto::sha256(as_bytes(what)));
}

std::string account_id(std::string_view account) { return id_of("account", ascii_lower(account)); }
std::string source_id(const IpAddress& peer) { return id_of("source", source_of(peer)); }
std::string familiar_id(std::string_view account, const IpAddress& peer) {
  return id_of("familiar", ascii_lower(account) + "|" + source_of(peer));
}

}  // namespace

const store::TableSpec& AttemptCount::table() {
  static const store::TableSpec spec{"identity_sign_in_attempts", {{"expires"}}};
  return spec;
}
std::string AttemptCount::key() const { return id; }
std::vector<std::optional<std::string>> AttemptCount::index_values() const { return {sortable(expires)}; }
JsonObject AttemptCount::to_json() const {
  return {{"id", id},
          {"failures", failures},
          {"familiar", familiar},
          {"last", to_rfc3339(last)},
          {"blockedUntil", to_rfc3339(blocked_until)},
          {"expires", to_rfc3339(expires)}};
}
Result<AttemptCount> AttemptCount::from_json(const JsonObject& json) {
  const auto failures = int_at(json, "failures");
  if (!failures || *failures < 0 || *failures > UINT32_MAX)
    return internal_error("a stored count of sign-in attempts has no number");
  return AttemptCount{.id = TRY(require_string(json, "id")),
                      .failures = static_cast<uint32_t>(*failures),
                      .familiar = TRY(require_bool(json, "familiar")),
                      .last = TRY(require_time(json, "last")),
                      .blocked_until = TRY(require_time(json, "blockedUntil")),
                      .expires = TRY(require_time(json, "expires"))};
}

Result<AttemptCount> SignInGuard::count(store::Reader& reader, const std::string& id) const {
  const auto stored = TRY(store::get<AttemptCount>(reader, tenant_, id));
  const Timestamp now = clock_.now();
  if (!stored || now >= stored->expires) {
    AttemptCount fresh;
    fresh.id = id;
    return fresh;
  }
  AttemptCount known = *stored;
  if (now - known.last > kForgetAfter) known.failures = 0;
  return known;
}

Result<Duration> SignInGuard::wait(store::Reader& reader, const Limits& limits) const {
  Duration longest{0};
  for (const Limit& limit : limits) {
    const AttemptCount known = TRY(count(reader, limit.id));
    // A clock that was set back makes nobody wait longer than the rule says.
    longest = std::max(longest, std::min(known.blocked_until - clock_.now(), limit.wait_max));
  }
  return longest;
}

Result<void> SignInGuard::add(store::Transaction& tx, const Limit& limit) const {
  AttemptCount known = TRY(count(tx, limit.id));
  const Timestamp now = clock_.now();
  known.last = now;
  known.expires = std::max(known.expires, now + kForgetAfter + kWaitMax);
  if (++known.failures >= limit.free) {
    const uint32_t doublings = std::min<uint32_t>(known.failures - limit.free, 20);
    known.blocked_until = now + std::min(limit.wait_max, kFirstWait * (int64_t{1} << doublings));
  }
  return store::put(tx, tenant_, known);
}

Result<void> SignInGuard::take_off(store::Transaction& tx, const std::string& id) const {
  AttemptCount known = TRY(count(tx, id));
  if (known.failures == 0) return {};
  if (--known.failures == 0 && !known.familiar) return store::erase<AttemptCount>(tx, tenant_, id);
  return store::put(tx, tenant_, known);
}

Result<Duration> SignInGuard::take(const std::function<Result<Limits>(store::Reader&)>& limits) {
  // In a snapshot first: who must wait does not make the writer work.
  const auto waits = TRY(store::read_value<Duration>(
      store_, [&](store::Reader& reader) -> Result<Duration> { return wait(reader, TRY(limits(reader))); }));
  if (waits > Duration::zero()) return waits;
  return store::write_value<Duration>(store_, [&](store::Transaction& tx) -> Result<Duration> {
    const Limits all = TRY(limits(tx));
    const Duration still = TRY(wait(tx, all));
    if (still > Duration::zero()) return still;
    for (const Limit& limit : all) TRY(add(tx, limit));
    const store::Range oldest{.prefix = {}, .after = {}, .after_key = {}, .limit = kSweepRows};
    for (const store::IndexedRow& indexed :
         TRY(tx.scan_index(AttemptCount::table(), tenant_, "expires", oldest))) {
      if (indexed.value > sortable(clock_.now())) break;
      TRY(tx.erase(AttemptCount::table(), tenant_, indexed.row.key));
    }
    return Duration::zero();
  });
}

Result<SignInGuard::Limits> SignInGuard::password_limits(store::Reader& reader, std::string_view account,
                                                         const IpAddress& peer) const {
  const std::string own = familiar_id(account, peer);
  const bool familiar = TRY(count(reader, own)).familiar;
  return Limits{{familiar ? own : account_id(account), kFreePerAccount, kWaitMax},
                {source_id(peer), kFreePerSource, kWaitMax}};
}

Result<Duration> SignInGuard::begin(std::string_view account, const IpAddress& peer) {
  return take([&](store::Reader& reader) { return password_limits(reader, account, peer); });
}

Result<Duration> SignInGuard::wait_of(std::string_view account, const IpAddress& peer) const {
  return store::read_value<Duration>(store_, [&](store::Reader& reader) -> Result<Duration> {
    return wait(reader, TRY(password_limits(reader, account, peer)));
  });
}

Result<void> SignInGuard::succeeded(std::string_view account, const IpAddress& peer) {
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    const std::string own = familiar_id(account, peer);
    AttemptCount known = TRY(count(tx, own));
    // The source's other failures stay, or one account of one's own would be a way to guess at all the
    // others. So do strangers' failures for the account, when the owner was not counted with them.
    if (!known.familiar) TRY(store::erase<AttemptCount>(tx, tenant_, account_id(account)));
    TRY(take_off(tx, source_id(peer)));
    const Timestamp now = clock_.now();
    if (known.familiar && known.failures == 0 && known.expires - now > kFamiliarFor - kFamiliarAnew)
      return {};
    known.familiar = true;
    known.failures = 0;
    known.blocked_until = {};
    known.last = now;
    known.expires = now + kFamiliarFor;
    return store::put(tx, tenant_, known);
  });
}

Result<Duration> SignInGuard::begin_user_code(const Uuid& user, const IpAddress& peer) {
  return take([&](store::Reader&) -> Result<Limits> {
    return Limits{{id_of("user-code", user.text()), kFreeUserCodes, kWaitMax},
                  {id_of("user-code", source_of(peer)), kFreePerSource, kWaitMax}};
  });
}

Result<void> SignInGuard::user_code_found(const Uuid& user, const IpAddress& peer) {
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    TRY(take_off(tx, id_of("user-code", user.text())));
    return take_off(tx, id_of("user-code", source_of(peer)));
  });
}

Result<Duration> SignInGuard::begin_second_factor(const Uuid& user, const IpAddress& peer) {
  return take([&](store::Reader&) -> Result<Limits> {
    return Limits{{id_of("second-factor", user.text()), kFreeSecondFactors, kWaitMax},
                  {id_of("second-factor", source_of(peer)), kFreePerSource, kWaitMax}};
  });
}

Result<void> SignInGuard::second_factor_right(const Uuid& user, const IpAddress& peer) {
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    TRY(take_off(tx, id_of("second-factor", user.text())));
    return take_off(tx, id_of("second-factor", source_of(peer)));
  });
}

Result<Duration> SignInGuard::begin_device_code(const IpAddress& peer) {
  return take([&](store::Reader&) -> Result<Limits> {
    return Limits{{id_of("device-code", source_of(peer)), kFreeDeviceCodes, kDeviceWaitMax}};
  });
}

}  // namespace merlon::identity
