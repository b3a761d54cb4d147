// See fetch.h.
#include "net/fetch.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "net/client.h"

namespace merlon::net {
namespace {

constexpr std::chrono::milliseconds kConnectTimeout{4'000};
constexpr std::chrono::milliseconds kAnswerTimeout{4'000};

constexpr std::array kReservedV4 = {"0.0.0.0/8",       "10.0.0.0/8",      "100.64.0.0/10",   "127.0.0.0/8",
                                    "169.254.0.0/16",  "172.16.0.0/12",   "192.0.0.0/24",    "192.0.2.0/24",
                                    "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",  "192.168.0.0/16",
                                    "192.175.48.0/24", "198.18.0.0/15",   "198.51.100.0/24", "203.0.113.0/24",
                                    "224.0.0.0/4",     "240.0.0.0/4"};
// Within 2000::/3, the only global unicast space there is: protocol assignments (Teredo is one), 6to4,
// documentation.
constexpr std::array kReservedV6 = {"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"};

bool is_in(const IpAddress& address, const char* prefix) {
  const auto parsed = IpPrefix::parse(prefix);
  MERLON_CHECK(parsed.has_value());
  return parsed->contains(address);
}

std::unexpected<Error> no_document(const FetchRequest& request, const std::string& why) {
  return fail(ErrorKind::unavailable, "DocumentNotFetched", request.url + " " + why);
}

// Only what a cache needs: "max-age=NNN", and "no-store" and "no-cache", which outweigh it.
std::optional<std::chrono::seconds> max_age_of(const Headers& headers) {
  std::optional<std::chrono::seconds> age;
  for (const std::string_view directive : split(headers.value_or("Cache-Control", ""), ',')) {
    const std::string_view text = trim(directive);
    if (ascii_iequal(text, "no-store") || ascii_iequal(text, "no-cache")) return std::chrono::seconds(0);
    if (!ascii_istarts_with(text, "max-age=")) continue;
    uint32_t seconds = 0;
    const char* last = text.data() + text.size();
    const auto read = std::from_chars(text.data() + 8, last, seconds);
    if (read.ec == std::errc() && read.ptr == last) age = std::chrono::seconds(seconds);
  }
  return age;
}

}  // namespace

bool is_public_address(const IpAddress& address) {
  const auto reserved = [&](const char* prefix) { return is_in(address, prefix); };
  if (address.is_v4()) return std::ranges::none_of(kReservedV4, reserved);
  return is_in(address, "2000::/3") && std::ranges::none_of(kReservedV6, reserved);
}

Result<FetchedDocument> fetch(const FetchRequest& request) {
  const Url url = TRY(parse_https_url(request.url));
  ClientParameters parameters;
  parameters.host = url.host;
  parameters.port = url.port;
  parameters.authorities_pem = request.authorities_pem;
  parameters.connect_timeout = kConnectTimeout;
  parameters.request_timeout = kAnswerTimeout;
  parameters.response_bytes_max = request.bytes_max;
  if (request.reach == Reach::public_internet) parameters.may_connect_to = is_public_address;
  ClientRequest get;
  get.target = url.target;
  get.headers.set("Accept", "application/json");
  get.headers.set("Connection", "close");
  const auto response = Client::make(std::move(parameters))->send(get);
  if (!response) return no_document(request, "could not be read: " + response.error().message);
  if (response->status >= 300 && response->status < 400)
    return no_document(request, "answered with a redirect (" + std::to_string(response->status) +
                                    "), which is not followed. Name the final address.");
  if (response->status != 200)
    return no_document(request, "answered with the status " + std::to_string(response->status) +
                                    " instead of 200. Check the address, and that it needs no sign-in.");
  return FetchedDocument{.body = response->body, .max_age = max_age_of(response->headers)};
}

}  // namespace merlon::net
