// What the kernel's tables say: who else may drop, and what audit mode counted.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>

#include "agent/firewall.h"

namespace merlon::agent {
namespace {

constexpr size_t kFlowsMax = 20;  // in one report

bool is_inbound_hook(std::string_view hook) {
  return hook == "prerouting" || hook == "input" || hook == "forward" || hook == "ingress";
}

// A drop or reject anywhere in a rule's expressions, also inside a verdict map.
bool drops(const Json& json) {
  if (const JsonObject* object = json.if_object())
    return object->contains("drop") || object->contains("reject") ||
           std::any_of(object->begin(), object->end(),
                       [](const auto& member) { return drops(member.value()); });
  if (const JsonArray* array = json.if_array())
    return std::any_of(array->begin(), array->end(), [](const Json& element) { return drops(element); });
  return false;
}

struct CountedFlow {
  std::string direction, peer, protocol;
  int64_t port = 0, packets = 0;
};

// An element of a would_ set: {"elem": {"val": {"concat": [peer, protocol, port]}, "counter": {"packets":
// n}}}.
std::optional<CountedFlow> read_flow(const Json& json, std::string_view direction) {
  const JsonObject* object = json.if_object();
  const JsonArray* key = object == nullptr ? nullptr : array_at(*object, "elem.val.concat");
  if (key == nullptr || key->size() != 3 || !(*key)[0].is_string() || !(*key)[2].is_int64())
    return std::nullopt;
  CountedFlow flow;
  flow.direction = direction;
  flow.peer = std::string((*key)[0].get_string());
  flow.protocol = (*key)[1].is_string() ? std::string((*key)[1].get_string()) : to_text((*key)[1]);
  if (flow.protocol == "6") flow.protocol = "tcp";
  if (flow.protocol == "17") flow.protocol = "udp";
  flow.port = (*key)[2].get_int64();
  flow.packets = int_at(*object, "elem.counter.packets").value_or(0);
  return flow;
}

}  // namespace

std::vector<OtherChain> other_chains(const JsonArray& listing) {
  std::vector<OtherChain> chains;
  for (const JsonObject* object : objects_of(listing, "chain")) {
    OtherChain chain;
    chain.family = string_at(*object, "family").value_or("");
    chain.table = string_at(*object, "table").value_or("");
    chain.name = string_at(*object, "name").value_or("");
    chain.hook = string_at(*object, "hook").value_or("");
    chain.policy_drop = string_at(*object, "policy") == "drop";
    if (is_inbound_hook(chain.hook) && string_at(*object, "type") == "filter" &&
        !(chain.family == "inet" && chain.table == "merlon"))
      chains.push_back(std::move(chain));
  }
  return chains;
}

bool has_dropping_rule(const JsonArray& table_listing) {
  const auto rules = objects_of(table_listing, "rule");
  return std::any_of(rules.begin(), rules.end(), [](const JsonObject* rule) {
    const JsonArray* expressions = array_at(*rule, "expr");
    return expressions != nullptr && std::any_of(expressions->begin(), expressions->end(),
                                                 [](const Json& expression) { return drops(expression); });
  });
}

Result<std::vector<std::string>> Firewall::blockers() {
  std::vector<std::string> found;
  std::map<std::string, bool> dropping;  // by table: its chains may jump to each other
  for (const OtherChain& chain : other_chains(TRY(nft_.list("list chains")))) {
    if (chain.policy_drop) {
      found.push_back(chain.text() + " (policy drop)");
      continue;
    }
    const std::string table = chain.family + " " + chain.table;
    if (!dropping.contains(table)) {
      const auto listing = nft_.list("list table " + chain.family + " " + chain.table);
      // A table that went away meanwhile drops nothing; one that cannot be read may.
      dropping[table] = listing ? has_dropping_rule(*listing) : listing.error().kind != ErrorKind::not_found;
    }
    if (dropping[table]) found.push_back(chain.text() + " (rules that drop)");
  }
  return found;
}

Result<WouldDrop> Firewall::would_drop() {
  WouldDrop total;
  const JsonArray counters = TRY(nft_.list("list counters table inet merlon"));
  for (const JsonObject* counter : objects_of(counters, "counter")) {
    const std::string name = string_at(*counter, "name").value_or("");
    const int64_t packets = int_at(*counter, "packets").value_or(0);
    if (name == "would_in") total.inbound = packets;
    if (name == "would_out") total.outbound = packets;
  }
  std::vector<CountedFlow> flows;
  std::map<std::string, int64_t> now;
  for (const std::string_view set : {"would_in4", "would_in6", "would_out4", "would_out6"}) {
    const JsonArray listing = TRY(nft_.list_with_elements(fmt::format("list set inet merlon {}", set)));
    for (const JsonObject* object : objects_of(listing, "set"))
      if (const JsonArray* elements = array_at(*object, "elem"))
        for (const Json& element : *elements) {
          auto flow = read_flow(element, set.starts_with("would_in") ? "inbound" : "outbound");
          if (!flow) continue;
          const std::string key = fmt::format("{} {} {} {}", set, flow->peer, flow->protocol, flow->port);
          now[key] = flow->packets;
          const auto before = counted_flows_.find(key);
          // A smaller count than before is a new element of the same key.
          if (before != counted_flows_.end() && before->second <= flow->packets)
            flow->packets -= before->second;
          if (flow->packets > 0) flows.push_back(*std::move(flow));
        }
  }
  counted_flows_ = std::move(now);
  std::sort(flows.begin(), flows.end(),
            [](const CountedFlow& a, const CountedFlow& b) { return a.packets > b.packets; });
  WouldDrop since;
  since.inbound = std::max<int64_t>(0, total.inbound - counted_.inbound);
  since.outbound = std::max<int64_t>(0, total.outbound - counted_.outbound);
  for (const CountedFlow& flow : flows | std::views::take(kFlowsMax))
    since.flows.push_back(JsonObject{{"direction", flow.direction},
                                     {"peer", flow.peer},
                                     {"protocol", flow.protocol},
                                     {"port", flow.port},
                                     {"packets", flow.packets}});
  counted_ = std::move(total);
  return since;
}

}  // namespace merlon::agent
