// One small document from an address that somebody else has chosen, such as the keys of a foreign token
// issuer. The server must not become that somebody's hand inside its own network (server-side request
// forgery): https only, the certificate verified, no redirect followed, a bound on size and time, and no
// address that is not on the public internet, judged after the name was resolved and on the very address that
// is connected to, so that no second look-up can put another one in its place.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/result.h"

namespace merlon::net {

enum class Reach { public_internet, anywhere };

struct FetchRequest {
  std::string url;
  std::string authorities_pem;  // the only trust; empty = the system's store
  Reach reach = Reach::public_internet;
  size_t bytes_max = 256 * 1024;
};

struct FetchedDocument {
  std::string body;
  // RFC 9111 section 5.2.2: 0 also for an answer that may not be stored or not be used unasked; nothing when
  // the answer does not say.
  std::optional<std::chrono::seconds> max_age = std::nullopt;
};

// Blocks, for at most some ten seconds. `unavailable` with what to do about it when there is no such
// document.
Result<FetchedDocument> fetch(const FetchRequest& request);

// What is given to those who fetch, so that they hold no socket themselves.
using Fetch = std::function<Result<FetchedDocument>(const FetchRequest&)>;

// True for unicast addresses that are routed on the internet (the IANA special-purpose address registries,
// RFC 6890), false too for the forms of IPv6 that carry an IPv4 address inside.
bool is_public_address(const IpAddress& address);

}  // namespace merlon::net
