// Commands, timeouts and packets.
#include "simulate/kernel_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace merlon::simulate {
namespace {

using agent::NftForm;
using Kind = RuleVerdict::Kind;

constexpr std::string_view kOurs = "inet merlon";
constexpr std::string_view kIdentities = "inet merlon_identity";
constexpr unsigned kDepthMax = 16;  // NFT_JUMP_STACK_SIZE
constexpr Duration kForEver = std::chrono::hours(24 * 365 * 100);

std::unexpected<Error> missing(const std::string& line) {
  return fail(ErrorKind::not_found, "FirewallObjectMissing", "No such file or directory: " + line);
}
std::unexpected<Error> refused(const std::string& line) {
  return fail(ErrorKind::internal, "FirewallRefused", "The model of the kernel does not know: " + line);
}

std::vector<std::string> first_words(const std::string& line, size_t count) {
  std::vector<std::string> words;
  for (const std::string_view word : split(line, ' ')) {
    if (word.empty()) continue;
    words.emplace_back(word);
    if (words.size() == count) break;
  }
  return words;
}

// What stands between the outermost braces.
std::string braced(const std::string& line) {
  const size_t open = line.find('{');
  const size_t close = line.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return line.substr(open + 1, close - open - 1);
}

std::optional<Duration> timeout_of(std::string_view text) {
  const bool ms = text.ends_with("ms");
  const bool m = text.ends_with('m');
  if (!ms && !m && !text.ends_with('s')) return std::nullopt;
  text.remove_suffix(ms ? 2 : 1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return Duration(value * (ms ? 1 : m ? 60'000 : 1000));
}

bool is_opening_set(std::string_view name) { return name.starts_with("open") || name.starts_with("cut"); }

std::string word_after(const std::string& line, std::string_view word) {
  const size_t at = line.find(word);
  if (at == std::string::npos) return {};
  const std::string rest = line.substr(at + word.size());
  const auto words = first_words(rest, 1);
  return words.empty() ? std::string() : words.front();
}

}  // namespace

Result<std::shared_ptr<const Rule>> RuleCache::get(const std::string& text) {
  auto& known = rules_[text];
  if (!known) known = TRY(Rule::parse(text));
  return known;
}

bool KernelModel::alive(Duration end) const {
  return end > running_() || bug_ == KernelBug::forgets_timeouts;
}

Result<void> KernelModel::change_elements(Draft& draft, const std::string& name, const std::string& line,
                                          bool add) {
  const auto set = draft.table->sets.find(name);
  if (set == draft.table->sets.end()) return missing(line);
  auto& elements = set->second.elements;
  const std::string inner = braced(line);
  for (const std::string_view part : split(inner, ',')) {
    std::string_view key = trim(part);
    if (const size_t value = key.find(" : "); value != std::string_view::npos) key = key.substr(0, value);
    Duration timeout = set->second.default_timeout;
    if (const size_t at = key.find(" timeout "); at != std::string_view::npos) {
      const auto given = timeout_of(trim(key.substr(at + 9)));
      if (!given) return refused(line);
      timeout = *given;
      key = trim(key.substr(0, at));
    }
    const auto known = elements.find(std::string(key));
    const bool there = known != elements.end() && alive(known->second);
    if (!add) {
      if (!there) return missing(line);
      if (bug_ != KernelBug::keeps_elements) elements.erase(known);
    } else if (!there) {  // an element that is there keeps its timeout, as in older kernels
      elements[std::string(key)] = timeout.count() <= 0 ? kForEver : running_() + timeout;
    }
  }
  return {};
}

Result<void> KernelModel::add(Draft& draft, const std::vector<std::string>& words, const std::string& line) {
  const std::string& what = words[1];
  if (what == "table") {
    if (!draft.table) draft.table.emplace();
    return {};
  }
  if (!draft.table || words.size() < 5) return missing(line);
  const std::string& name = words[4];
  if (what == "counter") {
    draft.table->counters.emplace(name, 0);
  } else if (what == "set" || what == "map") {
    Set set;
    const std::string timeout = word_after(line, "; timeout ");
    const auto given = timeout_of(timeout.substr(0, timeout.find(';')));
    if (!given) return refused(line);
    set.default_timeout = *given;
    draft.table->sets.emplace(name, set);
  } else if (what == "chain") {
    draft.table->chains.emplace(name, Chain{word_after(line, " hook "), {}});
  } else if (what == "element") {
    return change_elements(draft, name, line, true);
  } else if (what == "rule") {
    const auto chain = draft.table->chains.find(name);
    if (chain == draft.table->chains.end()) return missing(line);
    const size_t at = line.find(" " + name + " ");
    chain->second.rules.push_back(TRY(rules_.get(line.substr(at + name.size() + 2))));
  } else {
    return refused(line);
  }
  return {};
}

Result<void> KernelModel::remove(Draft& draft, const std::vector<std::string>& words,
                                 const std::string& line) {
  if (!draft.table) return missing(line);
  const std::string& what = words[1];
  if (what == "table") {
    const bool flush = words[0] == "flush";
    if (flush) {
      for (auto& [name, chain] : draft.table->chains) chain.rules.clear();
    } else {
      draft.table.reset();
      draft.commit.removed = true;
    }
    return {};
  }
  if (words.size() < 5) return refused(line);
  if (what == "element") return change_elements(draft, words[4], line, false);
  const auto chain = draft.table->chains.find(words[4]);
  if (what != "chain") return refused(line);
  if (chain == draft.table->chains.end()) return missing(line);
  if (words[0] == "flush") {
    chain->second.rules.clear();
  } else {
    draft.table->chains.erase(chain);
  }
  return {};
}

// No machine of the simulator has identities: the table is only ever taken down, wherever it stands.
Result<void> KernelModel::change_identities(Draft& draft, const std::vector<std::string>& words,
                                            const std::string& line) {
  if (words[1] != "table") return refused(line);
  if (words[0] == "delete" && !draft.has_identities) return missing(line);
  if (words[0] != "add" && words[0] != "delete") return refused(line);
  draft.has_identities = words[0] == "add";
  return {};
}

Result<std::string> KernelModel::list(const Draft& draft, const std::string& line) const {
  JsonArray listing = {JsonObject{{"metainfo", JsonObject()}}};
  const auto words = first_words(line, 6);
  if (words[0] == "get") {
    const auto set = draft.table && words.size() >= 5 ? draft.table->sets.find(words[4])
                                                      : std::map<std::string, Set>::const_iterator();
    if (!draft.table || set == draft.table->sets.end()) return missing(line);
    const std::string key(trim(braced(line)));
    const auto element = set->second.elements.find(key);
    if (element == set->second.elements.end() || !alive(element->second)) return missing(line);
  } else if (words[1] == "chains") {
    if (draft.table)
      for (const auto& [name, chain] : draft.table->chains) {
        JsonObject object = {{"family", "inet"}, {"table", "merlon"}, {"name", name}};
        if (!chain.hook.empty()) object["hook"] = chain.hook;
        listing.push_back(JsonObject{{"chain", std::move(object)}});
      }
  } else if (words[1] == "counters") {
    if (!draft.table) return missing(line);
    for (const auto& [name, packets] : draft.table->counters)
      listing.push_back(JsonObject{{"counter", JsonObject{{"name", name}, {"packets", packets}}}});
  } else if (!draft.table) {
    return missing(line);
  }
  return to_text(JsonObject{{"nftables", std::move(listing)}});
}

Result<std::string> KernelModel::run_line(Draft& draft, const std::string& line, NftForm) {
  const auto words = first_words(line, 5);
  if (words.size() < 2) return refused(line);
  if (words[0] == "list" || words[0] == "get") return list(draft, line);
  const std::string table = words.size() < 4 ? std::string() : words[2] + " " + words[3];
  if (table == kIdentities) {
    TRY(change_identities(draft, words, line));
    return std::string();
  }
  if (table != kOurs) return refused(line);
  draft.changes = true;
  draft.commit.ours = true;
  if (words[0] == "add") {
    TRY(add(draft, words, line));
  } else if (words[0] == "delete" || words[0] == "flush") {
    TRY(remove(draft, words, line));
  } else {
    return refused(line);
  }
  return std::string();
}

Result<std::string> KernelModel::run(const std::string& commands, NftForm form) {
  Draft draft{.table = table_, .has_identities = has_identities_};
  std::string output;
  for (const std::string_view line : split(commands, '\n'))
    if (!trim(line).empty()) output += TRY(run_line(draft, std::string(trim(line)), form));
  has_identities_ = draft.has_identities;
  if (draft.changes) {
    table_ = std::move(draft.table);
    commits_.push_back(draft.commit);
  }
  return output;
}

RuleVerdict::Kind KernelModel::walk(const std::string& name, const Packet& packet, unsigned depth) {
  if (depth > kDepthMax) return Kind::drop;
  const auto chain = table_->chains.find(name);
  if (chain == table_->chains.end()) return Kind::next;
  const SetLookup lookup = [this](const std::string& set_name, const std::string& key) {
    const auto set = table_->sets.find(set_name);
    if (set == table_->sets.end()) return false;
    const auto element = set->second.elements.find(key);
    return element != set->second.elements.end() && alive(element->second);
  };
  for (const auto& rule : chain->second.rules) {
    const RuleVerdict verdict = rule->apply(packet, lookup);
    if (!verdict.counter.empty()) ++table_->counters[verdict.counter];
    if (verdict.kind == Kind::accept || verdict.kind == Kind::drop) return verdict.kind;
    if (verdict.kind == Kind::leave) return Kind::next;
    if (verdict.kind == Kind::follow) return walk(verdict.chain, packet, depth + 1);
    if (verdict.kind == Kind::jump)
      if (const auto there = walk(verdict.chain, packet, depth + 1); there != Kind::next) return there;
  }
  return Kind::next;
}

bool KernelModel::passes(const Packet& packet) {
  if (!table_) return true;
  return walk(packet.inbound ? "prerouting" : "postrouting", packet, 0) != Kind::drop;
}

bool KernelModel::ends_within(Duration margin) const {
  if (!table_) return false;
  for (const auto& [name, set] : table_->sets)
    for (const auto& [key, end] : set.elements)
      if (is_opening_set(name) && end > running_() - margin && end < running_() + margin) return true;
  return false;
}

size_t KernelModel::open_elements() const {
  size_t count = 0;
  if (table_)
    for (const auto& [name, set] : table_->sets)
      for (const auto& [key, end] : set.elements) count += is_opening_set(name) && alive(end) ? 1 : 0;
  return count;
}

void KernelModel::flush_ruleset() {
  has_identities_ = false;
  if (!table_) return;
  table_.reset();
  commits_.push_back({.ours = true, .removed = true});
}

void KernelModel::start_anew() {
  has_identities_ = false;
  table_.reset();
  commits_.clear();
}

agent::FirewallNews KernelModel::news_since(size_t seen) const {
  agent::FirewallNews news;
  for (size_t i = seen; i < commits_.size(); ++i) {
    news.table_removed |= commits_[i].removed;
    ++(commits_[i].ours ? news.our_commits : news.other_commits);
  }
  return news;
}

Result<std::string> ModelNft::run(const std::string& commands, NftForm form) {
  interrupt_();
  auto done = kernel_.run(commands, form);
  interrupt_();
  return done;
}

Result<agent::FirewallNews> ModelEvents::drain() {
  const auto news = kernel_.news_since(seen_);
  seen_ = kernel_.commits();
  return news;
}

}  // namespace merlon::simulate
