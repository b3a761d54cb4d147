// local.json: {"capabilities":["firewall"],"longest_grant":"PT24H","widest_source":{"v4":0,"v6":0},
// "internal_interfaces":["docker*", ...],"mark_mask":"0xff00ff00","carried_ports":[22],"servers":[]}. A word
// that we do not know is an error: a cap that is not understood must not be taken for none.
#include "agent/local_cap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "agent/firewall_compile.h"
#include "base/time_text.h"

namespace merlon::agent {
namespace {

constexpr std::array<std::string_view, 7> kFields = {
    "capabilities", "longest_grant", "widest_source", "internal_interfaces",
    "mark_mask",    "carried_ports", "servers"};
constexpr int kMarkBitsLeast = 8;

std::unexpected<Error> wrong(std::string_view field, std::string_view expected) {
  return fail(ErrorKind::invalid, "LocalCap",
              "In local.json '" + std::string(field) + "' must be " + std::string(expected) +
                  ". Correct it, or remove the file and start the agent: it then writes the defaults.",
              std::string(field));
}

Result<std::vector<std::string>> texts(const JsonObject& json, std::string_view field) {
  std::vector<std::string> out;
  const JsonArray* array = array_at(json, field);
  if (array == nullptr || array->size() > 64) return wrong(field, "a list of at most 64 words");
  for (const Json& element : *array) {
    if (!element.is_string()) return wrong(field, "a list of words");
    out.emplace_back(element.get_string());
  }
  return out;
}

Result<unsigned> length(const JsonObject& json, std::string_view family, int64_t longest) {
  const auto value = int_at(json, "widest_source." + std::string(family));
  if (!value || *value < 0 || *value > longest)
    return wrong("widest_source", "prefix lengths, for instance {\"v4\": 0, \"v6\": 0}");
  return static_cast<unsigned>(*value);
}

Result<std::vector<uint16_t>> ports(const JsonObject& json) {
  std::vector<uint16_t> out;
  const JsonArray* array = array_at(json, "carried_ports");
  if (array == nullptr || array->size() > 64) return wrong("carried_ports", "a list of at most 64 ports");
  for (const Json& element : *array) {
    if (!element.is_int64() || element.get_int64() < 1 || element.get_int64() > 65535)
      return wrong("carried_ports", "a list of port numbers, for instance [22, 3389]");
    out.push_back(static_cast<uint16_t>(element.get_int64()));
  }
  return out;
}

Result<std::vector<ServerRange>> servers(const JsonObject& json) {
  std::vector<ServerRange> out;
  for (const std::string& text : TRY(texts(json, "servers"))) {
    const auto range = ServerRange::parse(text);
    if (!range)
      return wrong("servers", "addresses or networks with a port, for instance [\"192.0.2.0/24:8443\"]");
    out.push_back(*range);
  }
  return out;
}

// "0xff00ff00"
Result<uint32_t> mark_mask(const JsonObject& json) {
  const std::string text = string_at(json, "mark_mask").value_or("");
  uint32_t mask = 0;
  const char* end = text.data() + text.size();
  if (text.starts_with("0x")) {
    const auto read = std::from_chars(text.data() + 2, end, mask, 16);
    if (read.ec == std::errc() && read.ptr == end && std::popcount(mask) >= kMarkBitsLeast) return mask;
  }
  return wrong("mark_mask", "a hexadecimal number with at least eight bits set, for instance \"0xff00ff00\"");
}

}  // namespace

bool LocalCap::allows(std::string_view capability) const {
  return std::find(capabilities.begin(), capabilities.end(), capability) != capabilities.end();
}

void LocalCap::allow(const std::string& capability, bool allowed) {
  std::erase(capabilities, capability);
  if (allowed) capabilities.push_back(capability);
}

JsonObject LocalCap::to_json() const {
  JsonArray carried;
  for (const int64_t port : carried_ports) carried.emplace_back(port);
  JsonArray others;
  for (const ServerRange& range : servers) others.emplace_back(range.text());
  return {{"capabilities", JsonArray(capabilities.begin(), capabilities.end())},
          {"longest_grant", to_iso8601_duration(longest_grant)},
          {"widest_source", JsonObject{{"v4", widest_v4}, {"v6", widest_v6}}},
          {"internal_interfaces", JsonArray(internal_interfaces.begin(), internal_interfaces.end())},
          {"mark_mask", fmt::format("{:#010x}", mark_mask)},
          {"carried_ports", std::move(carried)},
          {"servers", std::move(others)}};
}

Result<LocalCap> LocalCap::from_json(const JsonObject& json) {
  for (const auto& member : json)
    if (std::find(kFields.begin(), kFields.end(), std::string_view(member.key())) == kFields.end())
      return wrong(member.key(), "left out: there is no such limit");
  LocalCap cap;
  cap.capabilities = TRY(texts(json, "capabilities"));
  const auto longest = from_iso8601_duration(string_at(json, "longest_grant").value_or(""));
  if (!longest) return wrong("longest_grant", "an ISO 8601 duration, for instance PT24H");
  cap.longest_grant = *longest;
  cap.widest_v4 = TRY(length(json, "v4", 32));
  cap.widest_v6 = TRY(length(json, "v6", 128));
  cap.internal_interfaces = TRY(texts(json, "internal_interfaces"));
  for (const std::string& pattern : cap.internal_interfaces)
    if (!is_interface_pattern(pattern))
      return wrong("internal_interfaces", "names of interfaces, or beginnings of them that end in '*'");
  // A file from before this limit existed has none.
  if (json.contains("mark_mask")) cap.mark_mask = TRY(agent::mark_mask(json));
  if (json.contains("carried_ports")) cap.carried_ports = TRY(ports(json));
  if (json.contains("servers")) cap.servers = TRY(agent::servers(json));
  return cap;
}

}  // namespace merlon::agent
