// What a named subnet lets in.
#include "services/vault/subnet_rules.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::vault {
namespace {

// RFC 1918, RFC 6598 and RFC 4193.
bool is_private(const IpPrefix& prefix) {
  static const std::array<IpPrefix, 5> spaces{
      *IpPrefix::parse("10.0.0.0/8"), *IpPrefix::parse("172.16.0.0/12"), *IpPrefix::parse("192.168.0.0/16"),
      *IpPrefix::parse("100.64.0.0/10"), *IpPrefix::parse("fc00::/7")};
  return std::ranges::any_of(spaces, [&](const IpPrefix& space) { return space.contains(prefix); });
}

Result<std::vector<IpPrefix>> ranges_of(Platform& platform, store::Reader& reader, const std::string& id) {
  std::vector<IpPrefix> ranges;
  const auto parsed = resource::ResourceId::parse(id);
  const auto subnet =
      parsed ? TRY(platform.resources.get(reader, *parsed)) : std::optional<resource::Resource>();
  if (!subnet) return ranges;
  const auto take = [&](std::string_view text) {
    if (const auto prefix = IpPrefix::parse(text)) ranges.push_back(*prefix);
  };
  if (const auto one = string_at(subnet->body, "properties.addressPrefix")) take(*one);
  if (const JsonArray* more = array_at(subnet->body, "properties.addressPrefixes"))
    for (const Json& prefix : *more)
      if (prefix.is_string()) take(prefix.get_string());
  return ranges;
}

std::vector<std::string> named_subnets(const JsonObject& properties) {
  std::vector<std::string> ids;
  if (const JsonArray* rules = array_at(properties, "networkAcls.virtualNetworkRules"))
    for (const Json& rule : *rules) ids.push_back(string_at(rule.as_object(), "id").value_or(""));
  return ids;
}

bool any_contains(const std::vector<IpPrefix>& ranges, const IpAddress& peer) {
  return std::ranges::any_of(ranges, [&](const IpPrefix& range) { return range.contains(peer); });
}

}  // namespace

Result<void> note_subnet_ranges(Platform& platform, store::Reader& reader, Vault& vault) {
  SubnetRanges noted;
  for (const std::string& id : named_subnets(vault.properties)) {
    const std::string key = ascii_lower(id);
    if (const auto known = vault.subnet_ranges.find(key); known != vault.subnet_ranges.end()) {
      noted.insert(*known);
      continue;
    }
    auto ranges = TRY(ranges_of(platform, reader, id));
    for (const IpPrefix& range : ranges)
      if (!is_private(range))
        return fail(ErrorKind::invalid, "BadRequest",
                    "The subnet '" + id + "' has the range " + range.text() +
                        ", which is not private: whoever sends from there need not be in that subnet. Name "
                        "public addresses in networkAcls.ipRules.",
                    "properties.networkAcls.virtualNetworkRules");
    noted.emplace(key, std::move(ranges));
  }
  vault.subnet_ranges = std::move(noted);
  return {};
}

Result<SubnetAnswer> ask_subnet_rules(Platform& platform, store::Reader& reader, const Vault& vault,
                                      const IpAddress& peer) {
  SubnetAnswer answer;
  for (const std::string& id : named_subnets(vault.properties)) {
    if (!any_contains(TRY(ranges_of(platform, reader, id)), peer)) continue;
    const auto noted = vault.subnet_ranges.find(ascii_lower(id));
    if (noted != vault.subnet_ranges.end() && any_contains(noted->second, peer)) return SubnetAnswer{true};
    answer.only_now = id;
  }
  return answer;
}

}  // namespace merlon::vault
