// See foreign_issuer.h. Discovery is OpenID Connect Discovery 1.0, section 4.
#include "identity/foreign_issuer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "crypto/jose.h"
#include "identity/record_fields.h"
#include "net/client.h"

namespace merlon::identity {
namespace {

constexpr Duration kLifetimeMin = std::chrono::minutes(5);
constexpr Duration kLifetimeMax = std::chrono::hours(1);  // also when the issuer names none
// A token that names an unknown key makes us ask again, but not more often than this.
constexpr Duration kAskAgainAfter = std::chrono::seconds(30);
constexpr Duration kAskAgainAfterFailure = std::chrono::seconds(10);
constexpr auto kPatience = std::chrono::seconds(10);
constexpr int kWaitingMax = 4;  // for one issuer
// Of those that have answered before, and as many of the others:
constexpr int kFetchingMax = 4;
constexpr int kAllWaitingMax = 8;
constexpr size_t kKeysMax = 64;
constexpr size_t kEntriesMax = 1024;
constexpr JsonLimits kDocumentLimits = {.bytes_max = 256 * 1024, .depth_max = 16};

std::unexpected<Error> not_usable(const std::string& issuer, const std::string& why) {
  return fail(ErrorKind::unavailable, "IssuerNotUsable",
              "The keys of the issuer '" + issuer + "' could not be read: " + why);
}

bool is_private(const IssuerAccess& access, const std::string& issuer) {
  return std::ranges::count(access.at_private_addresses, issuer) > 0;
}

bool is_same_server(const std::string& issuer, const std::string& url) {
  const auto one = net::parse_https_url(issuer);
  const auto other = net::parse_https_url(url);
  return one && other && one->host == other->host && one->port == other->port;
}

// The operator has allowed the issuer's own host and port. What its document names elsewhere is chosen by
// the issuer, and must be on the public internet like anybody's.
net::Reach reach_of(const IssuerAccess& access, const std::string& issuer, const std::string& url) {
  return is_private(access, issuer) && is_same_server(issuer, url) ? net::Reach::anywhere
                                                                   : net::Reach::public_internet;
}

std::string discovery_url(std::string_view issuer) {
  if (issuer.ends_with('/')) issuer.remove_suffix(1);
  return std::string(issuer) + "/.well-known/openid-configuration";
}

bool is_for_signatures(const JsonObject& jwk) {
  if (jwk.contains("use") && string_at(jwk, "use") != "sig") return false;
  if (!jwk.contains("key_ops")) return true;
  return std::ranges::count(strings_at(jwk, "key_ops"), "verify") > 0;
}

bool has_key(const std::vector<ForeignKey>& keys, std::string_view key_id) {
  return key_id.empty() || std::ranges::count(keys, key_id, &ForeignKey::id) > 0;
}

}  // namespace

Result<std::vector<ForeignKey>> parse_foreign_keys(std::string_view jwks) {
  const JsonObject document = TRY(parse_json_object(jwks, kDocumentLimits));
  const JsonArray* members = array_at(document, "keys");
  if (members == nullptr)
    return fail(ErrorKind::invalid, "InvalidKeySet", "The JSON Web Key Set has no array 'keys'.");
  std::vector<ForeignKey> keys;
  for (const Json& member : *members) {
    if (!member.is_object() || !is_for_signatures(member.get_object())) continue;
    const JsonObject& jwk = member.get_object();
    auto key = crypto::from_jwk(jwk);
    if (!key) continue;
    if (keys.size() == kKeysMax)
      return fail(ErrorKind::invalid, "InvalidKeySet",
                  "The JSON Web Key Set has more than 64 keys for signatures.");
    keys.push_back({.id = string_at(jwk, "kid").value_or(std::string()),
                    .algorithm = string_at(jwk, "alg").value_or(std::string()),
                    .key = *std::move(key)});
  }
  return keys;
}

Result<ForeignIssuers::Keys> ForeignIssuers::fetch(const std::string& issuer,
                                                   const std::string& authorities_pem,
                                                   Duration& lifetime) const {
  const auto get = [&](const std::string& url) {
    return access_.fetch(
        {.url = url, .authorities_pem = authorities_pem, .reach = reach_of(access_, issuer, url)});
  };
  const auto discovered = get(discovery_url(issuer));
  if (!discovered) return not_usable(issuer, discovered.error().message);
  const auto document = parse_json_object(discovered->body, kDocumentLimits);
  if (!document) return not_usable(issuer, "its openid-configuration is not a JSON object.");
  if (string_at(*document, "issuer") != issuer)
    return not_usable(issuer, "its openid-configuration names another issuer; the two must be equal.");
  const auto jwks_uri = string_at(*document, "jwks_uri");
  if (!jwks_uri || !net::parse_https_url(*jwks_uri))
    return not_usable(issuer, "its openid-configuration has no jwks_uri that is an https URL.");
  const auto jwks = get(*jwks_uri);
  if (!jwks)
    return not_usable(issuer, jwks.error().message +
                                  (is_private(access_, issuer) && !is_same_server(issuer, *jwks_uri)
                                       ? " A private issuer's keys must be at its own host and port to be "
                                         "inside the network."
                                       : ""));
  auto keys = parse_foreign_keys(jwks->body);
  if (!keys) return not_usable(issuer, keys.error().message);
  lifetime = jwks->max_age ? std::clamp(std::chrono::duration_cast<Duration>(*jwks->max_age), kLifetimeMin,
                                        kLifetimeMax)
                           : kLifetimeMax;
  return std::make_shared<const std::vector<ForeignKey>>(*std::move(keys));
}

bool ForeignIssuers::wants_fetch(const Entry& entry, std::string_view key_id, Duration now) const {
  if (!entry.failure.empty() && now - entry.attempted < kAskAgainAfterFailure) return false;
  if (!entry.keys || now >= entry.renew_at) return true;
  return !has_key(*entry.keys, key_id) && now - entry.attempted >= kAskAgainAfter;
}

void ForeignIssuers::forget_old(Duration now) {
  if (entries_.size() < kEntriesMax) return;
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    return !entry.fetching && entry.waiting == 0 && now >= entry.expires;
  });
}

void ForeignIssuers::ask(std::unique_lock<std::mutex>& lock, Entry& entry, const std::string& issuer,
                         const std::string& authorities_pem) {
  Room& room = room_of(entry);
  ++room.fetching;
  entry.fetching = true;
  lock.unlock();
  Duration lifetime{};
  auto fresh = fetch(issuer, authorities_pem, lifetime);
  lock.lock();
  --room.fetching;
  entry.fetching = false;
  entry.attempted = clock_.boottime();
  entry.failure = fresh ? std::string() : fresh.error().message;
  if (fresh) {
    entry.keys = *std::move(fresh);
    entry.expires = entry.attempted + lifetime;
    entry.renew_at = entry.attempted + lifetime / 2;
  } else {
    log(LogLevel::warning, "a foreign token issuer could not be asked for its keys",
        {{"issuer", issuer}, {"reason", entry.failure}});
  }
  fetched_.notify_all();
}

Result<ForeignIssuers::Keys> ForeignIssuers::keys(const std::string& issuer,
                                                  const std::string& authorities_pem,
                                                  std::string_view key_id) {
  std::unique_lock lock(mutex_);
  forget_old(clock_.boottime());
  Entry& entry = entries_[issuer + "\n" + authorities_pem];
  const auto believed = [&]() -> Keys {
    const bool good = entry.keys && clock_.boottime() < entry.expires;
    return good ? entry.keys : nullptr;
  };
  const auto wants_to_ask = [&] { return wants_fetch(entry, key_id, clock_.boottime()); };
  const bool is_answered = believed() && has_key(*entry.keys, key_id);
  // Until it has been asked: by another, or once there is room to ask it. What is known already waits for
  // nothing.
  const auto has_room = [&] { return room_of(entry).fetching < kFetchingMax; };
  const auto is_over = [&] { return !entry.fetching && (!wants_to_ask() || has_room()); };
  if (!is_answered && !is_over()) {
    Room& room = room_of(entry);
    if (entry.waiting == kWaitingMax || room.waiting == kAllWaitingMax)
      return not_usable(issuer, "too many wait for the keys of foreign issuers. Try again in a few seconds.");
    ++entry.waiting;
    ++room.waiting;
    fetched_.wait_for(lock, kPatience, is_over);
    --room.waiting;
    --entry.waiting;
  }
  if (!entry.fetching && wants_to_ask() && has_room()) ask(lock, entry, issuer, authorities_pem);
  if (const Keys keys = believed()) return keys;
  return not_usable(issuer, entry.failure.empty() ? "it has not answered yet. Try again." : entry.failure);
}

}  // namespace merlon::identity
