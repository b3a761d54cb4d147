// Words to matches.
#include "simulate/kernel_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

#include "base/text.h"

namespace merlon::simulate {
namespace {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr std::array<std::pair<std::string_view, uint8_t>, 6> kProtocols = {
    {{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"ipv6-icmp", 58}, {"esp", 50}, {"ah", 51}}};

constexpr uint8_t kSyn = 2, kAck = 16;  // RFC 9293 section 3.1
constexpr std::array<std::pair<std::string_view, uint8_t>, 4> kFlags = {
    {{"fin", 1}, {"syn", kSyn}, {"rst", 4}, {"ack", kAck}}};

// The simulator sends the first segment of a flow, or one from its middle.
uint8_t flags_of(const Packet& packet) { return packet.begins_flow ? kSyn : kAck; }

// Words and single marks; what stands in quotes loses them.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char c : text) {
    if (c == ' ' || c == '"') {
      end_word();
    } else if (c == '{' || c == '}' || c == ',' || c == '(' || c == ')') {
      end_word();
      words.emplace_back(1, c);
    } else {
      word += c;
    }
  }
  end_word();
  return words;
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool has_ports(const Packet& packet) { return packet.protocol == kTcp || packet.protocol == kUdp; }

bool name_matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

// The address with all bits cleared that `mask` clears.
IpAddress masked(const IpAddress& address, const IpAddress& mask) {
  unsigned length = 0;
  for (const uint8_t byte : mask.bytes()) length += static_cast<unsigned>(std::popcount(byte));
  const auto prefix = IpPrefix::make(address, length);
  return prefix ? prefix->address() : address;
}

}  // namespace

std::string protocol_name(uint8_t protocol) {
  for (const auto& [name, value] : kProtocols)
    if (value == protocol) return std::string(name);
  return std::to_string(protocol);
}

std::string Packet::text() const {
  return fmt::format("{} {} to {} {}/{}", inbound ? "in" : "out", source.text(), destination.text(),
                     protocol_name(protocol), destination_port);
}

class RuleParser {
 public:
  explicit RuleParser(const std::string& text) : text_(text), words_(words_of(text)) {}

  Result<std::shared_ptr<const Rule>> parse() {
    rule_.text_ = text_;
    while (at_ < words_.size()) TRY(statement());
    return std::make_shared<const Rule>(std::move(rule_));
  }

 private:
  using Match = Rule::Match;
  using Field = std::function<std::optional<std::string>(const Packet&)>;  // as text, as in a set's key

  std::unexpected<Error> unknown() const {
    return fail(ErrorKind::internal, "FirewallRefused",
                "The model of the kernel does not know '" + (at_ < words_.size() ? words_[at_] : "") +
                    "' in the rule: " + text_);
  }
  bool is(std::string_view word, size_t ahead = 0) const {
    return at_ + ahead < words_.size() && words_[at_ + ahead] == word;
  }
  bool take(std::string_view word) {
    if (!is(word)) return false;
    ++at_;
    return true;
  }
  std::string next() { return at_ < words_.size() ? words_[at_++] : std::string(); }
  // "a" or "{ a, b }"
  std::vector<std::string> values() {
    if (!take("{")) return {next()};
    std::vector<std::string> all;
    while (at_ < words_.size() && !take("}"))
      if (!take(",")) all.push_back(next());
    return all;
  }
  void add(Match match) { rule_.matches_.push_back(std::move(match)); }

  Result<void> statement();
  Result<void> verdict();
  Result<void> interface();
  Result<void> connection();
  Result<void> connection_mark();
  Result<uint8_t> flag_bits();
  Result<void> flags();
  Result<void> meta();
  Result<void> ports();
  Result<void> address();
  Result<void> lookup(std::vector<Field> fields);
  Result<Field> field();
  Result<void> verdict_map(Field field);

  std::string text_;
  std::vector<std::string> words_;
  size_t at_ = 0;
  Rule rule_;
};

Result<void> RuleParser::statement() {
  if (is("accept") || is("drop") || is("return") || is("jump") || is("goto") || is("reject"))
    return verdict();
  if (is("iiftype") || is("oiftype") || is("iifname") || is("oifname")) return interface();
  if (is("ct") || is("icmpv6")) return connection();
  if (is("tcp", 0) && is("flags", 1)) return connection();
  if (is("counter") && is("name", 1)) {
    at_ += 2;
    rule_.verdict_.counter = next();
    return {};
  }
  if (is("update")) {  // notes a flow in a set that no rule looks into
    while (at_ < words_.size() && !is("}")) ++at_;
    ++at_;
    return {};
  }
  if (is("meta") && (is("nfproto", 1) || is("l4proto", 1) || is("skuid", 1))) return meta();
  if (is("th") || is("tcp") || is("udp")) return ports();
  if (is("ip") || is("ip6")) return address();
  return unknown();
}

Result<void> RuleParser::verdict() {
  using Kind = RuleVerdict::Kind;
  const std::string word = next();
  RuleVerdict& verdict = rule_.verdict_;
  if (word == "accept") verdict.kind = Kind::accept;
  if (word == "drop") verdict.kind = Kind::drop;
  if (word == "reject") {  // nobody gets through, and the sender hears of it
    if (!take("with") || !take("tcp") || !take("reset")) return unknown();
    verdict.kind = Kind::drop;
  }
  if (word == "return") verdict.kind = Kind::leave;
  if (word == "jump" || word == "goto") {
    verdict.kind = word == "jump" ? Kind::jump : Kind::follow;
    verdict.chain = next();
  }
  return at_ == words_.size() ? Result<void>() : unknown();
}

Result<void> RuleParser::interface() {
  const std::string word = next();
  const bool inbound = word.starts_with("iif");
  if (word.ends_with("type")) {
    if (!take("loopback")) return unknown();
    add([inbound](const Packet& packet, const SetLookup&) {
      return packet.inbound == inbound && packet.loopback;
    });
    return {};
  }
  const bool negated = take("!=");
  add([names = values(), negated](const Packet& packet, const SetLookup&) {
    const bool found = std::any_of(names.begin(), names.end(), [&](const std::string& pattern) {
      return name_matches(pattern, packet.interface);
    });
    return found != negated;
  });
  return {};
}

Result<void> RuleParser::connection() {
  if (take("ct")) {
    if (is("mark")) return connection_mark();
    if (take("direction")) return take("original") ? Result<void>() : unknown();  // a new flow's only one
    if (!take("state")) return unknown();
    std::set<std::string> states;
    do states.insert(next());
    while (take(","));
    if (states == std::set<std::string>{"established", "related"}) {
      add([](const Packet& packet, const SetLookup&) { return packet.established; });
    } else if (states == std::set<std::string>{"new"}) {
      add([](const Packet& packet, const SetLookup&) { return !packet.established && !packet.invalid; });
    } else if (states == std::set<std::string>{"new", "invalid"}) {
      add([](const Packet& packet, const SetLookup&) { return !packet.established; });
    } else {
      --at_;
      return unknown();
    }
    return {};
  }
  if (take("tcp")) return flags();
  // Neighbour discovery and its like: the simulator sends none.
  at_ += 2;
  values();
  add([](const Packet&, const SetLookup&) { return false; });
  return {};
}

// "0", "syn", "(syn | rst)"
Result<uint8_t> RuleParser::flag_bits() {
  if (take("0")) return uint8_t{0};
  const bool several = take("(");
  uint8_t bits = 0;
  do {
    const auto* const flag =
        std::find_if(kFlags.begin(), kFlags.end(), [&](const auto& known) { return is(known.first); });
    if (flag == kFlags.end()) return unknown();
    ++at_;
    bits |= flag->second;
  } while (several && take("|"));
  if (several && !take(")")) return unknown();
  return bits;
}

// "flags & mask == value", of TCP alone
Result<void> RuleParser::flags() {
  if (!take("flags") || !take("&")) return unknown();
  const uint8_t mask = TRY(flag_bits());
  const bool equal = take("==");
  if (!equal && !take("!=")) return unknown();
  const uint8_t value = TRY(flag_bits());
  add([=](const Packet& packet, const SetLookup&) {
    return packet.protocol == kTcp && ((flags_of(packet) & mask) == value) == equal;
  });
  return {};
}

// The mark of a connection: compared, or set from a map whose key lets the packet in.
Result<void> RuleParser::connection_mark() {
  ++at_;
  if (take("&")) {
    const auto mask = number(next());
    if (!mask || !take("!=")) return unknown();
    const std::string other = next();
    if (other.starts_with('@')) {
      add([mask = *mask, set = other.substr(1)](const Packet& packet, const SetLookup& lookup) {
        return !lookup(set, fmt::format("{:#010x}", packet.mark & mask));
      });
      return {};
    }
    if (other != "0") return unknown();
    add([mask = *mask](const Packet& packet, const SetLookup&) { return (packet.mark & mask) != 0; });
    return {};
  }
  if (!take("set")) return unknown();
  if (is("ct") && is("mark", 1)) {  // its own, less some bits
    at_ += 2;
    if (!take("&") || !number(next())) return unknown();
    return {};
  }
  Field first = TRY(field());
  return lookup({std::move(first)});
}

Result<void> RuleParser::meta() {
  ++at_;
  const std::string key = next();
  if (key == "nfproto") {
    const bool v4 = next() == "ipv4";
    add([v4](const Packet& packet, const SetLookup&) { return packet.source.is_v4() == v4; });
    return {};
  }
  if (key == "skuid") {
    const auto uid = number(next());
    if (!uid) return unknown();
    add([uid](const Packet& packet, const SetLookup&) { return !packet.inbound && packet.uid == *uid; });
    return {};
  }
  if (is(".")) {  // the middle of a concatenation never begins a statement
    return unknown();
  }
  add([names = values()](const Packet& packet, const SetLookup&) {
    return std::find(names.begin(), names.end(), protocol_name(packet.protocol)) != names.end();
  });
  return {};
}

Result<void> RuleParser::ports() {
  const std::string protocol = next();
  const std::string side = next();
  if (side != "sport" && side != "dport") return unknown();
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
  for (const std::string& text : values()) {
    const size_t dash = text.find('-');
    const auto first = number(text.substr(0, dash));
    const auto last = dash == std::string::npos ? first : number(text.substr(dash + 1));
    if (!first || !last) return unknown();
    ranges.emplace_back(*first, *last);
  }
  add([protocol, source = side == "sport", ranges](const Packet& packet, const SetLookup&) {
    if (!has_ports(packet) || (protocol == "tcp" && packet.protocol != kTcp) ||
        (protocol == "udp" && packet.protocol != kUdp))
      return false;
    const uint32_t port = source ? packet.source_port : packet.destination_port;
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const auto& range) { return range.first <= port && port <= range.second; });
  });
  return {};
}

// One part of a set's key.
Result<RuleParser::Field> RuleParser::field() {
  if (take("meta")) {
    if (!take("l4proto")) return unknown();
    return Field([](const Packet& packet) { return std::optional(std::to_string(packet.protocol)); });
  }
  if (is("th") || is("tcp")) {
    const bool tcp = next() == "tcp";
    const bool source = is("sport");
    if (!take("sport") && !take("dport")) return unknown();
    return Field([tcp, source](const Packet& packet) -> std::optional<std::string> {
      if (!has_ports(packet) || (tcp && packet.protocol != kTcp)) return std::nullopt;
      return std::to_string(source ? packet.source_port : packet.destination_port);
    });
  }
  const bool v4 = is("ip");
  if (!take("ip") && !take("ip6")) return unknown();
  const bool source = is("saddr");
  if (!take("saddr") && !take("daddr")) return unknown();
  std::optional<IpAddress> mask;
  if (take("&")) {
    mask = IpAddress::parse(next());
    if (!mask) return unknown();
  }
  return Field([v4, source, mask](const Packet& packet) -> std::optional<std::string> {
    const IpAddress& value = source ? packet.source : packet.destination;
    if (value.is_v4() != v4) return std::nullopt;
    return (mask ? masked(value, *mask) : value).text();
  });
}

Result<void> RuleParser::lookup(std::vector<Field> fields) {
  while (take(".")) fields.push_back(TRY(field()));
  take("map");
  const std::string set = next();
  if (!set.starts_with('@')) return unknown();
  add([fields = std::move(fields), name = set.substr(1)](const Packet& packet, const SetLookup& lookup) {
    std::string key;
    for (const Field& part : fields) {
      const auto value = part(packet);
      if (!value) return false;
      key += (key.empty() ? "" : " . ") + *value;
    }
    return lookup(name, key);
  });
  return {};
}

Result<void> RuleParser::verdict_map(Field field) {
  if (!take("{")) return unknown();
  while (at_ < words_.size() && !take("}")) {
    if (take(",")) continue;
    const std::string key = next();
    if (!take(":") || !take("goto")) return unknown();
    rule_.map_[key] = next();
  }
  rule_.mapped_field_ = [field = std::move(field)](const Packet& packet) {
    return field(packet).value_or("");
  };
  return at_ == words_.size() ? Result<void>() : unknown();
}

Result<void> RuleParser::address() {
  if (is("hoplimit", 1)) {
    at_ += 3;
    add([](const Packet&, const SetLookup&) { return false; });  // of neighbour discovery alone
    return {};
  }
  if (is("nexthdr", 1)) {
    at_ += 2;
    const std::string name = next();
    add([name](const Packet& packet, const SetLookup&) {
      return !packet.source.is_v4() && protocol_name(packet.protocol) == name;
    });
    return {};
  }
  const bool v4 = is("ip");
  const bool source = is("saddr", 1);
  Field key = TRY(field());
  if (is(".")) return lookup({std::move(key)});
  if (take("vmap")) return verdict_map(std::move(key));
  if (at_ < words_.size() && words_[at_].starts_with('@')) return lookup({std::move(key)});
  std::vector<IpPrefix> prefixes;
  for (const std::string& text : values()) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix) return unknown();
    prefixes.push_back(*prefix);
  }
  add([v4, source, prefixes](const Packet& packet, const SetLookup&) {
    const IpAddress& value = source ? packet.source : packet.destination;
    return value.is_v4() == v4 && std::any_of(prefixes.begin(), prefixes.end(),
                                              [&](const IpPrefix& prefix) { return prefix.contains(value); });
  });
  return {};
}

Result<std::shared_ptr<const Rule>> Rule::parse(const std::string& text) { return RuleParser(text).parse(); }

RuleVerdict Rule::apply(const Packet& packet, const SetLookup& lookup) const {
  for (const Match& match : matches_)
    if (!match(packet, lookup)) return {};
  if (!mapped_field_) return verdict_;
  const auto found = map_.find(mapped_field_(packet));
  if (found == map_.end()) return {};
  return {.kind = RuleVerdict::Kind::follow, .chain = found->second, .counter = {}};
}

}  // namespace merlon::simulate
