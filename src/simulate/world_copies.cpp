// A client reads a whole security group, waits, and writes it back: with its ETag or without, as it was or
// edited.
#include <fmt/format.h>

#include <algorithm>

#include "simulate/world.h"

namespace merlon::simulate {
namespace {

constexpr size_t kCopiesMax = 4;
constexpr std::string_view kJitName = "SecurityCenter-JITRule";

std::string name_of(const Json& rule) { return string_at(rule.as_object(), "name").value_or(""); }
bool is_jit(const Json& rule) { return name_of(rule).starts_with(kJitName); }
bool is_allow(const Json& rule) { return string_at(rule.as_object(), "properties.access") == "Allow"; }

}  // namespace

void World::copy_group() {
  if (!server().is_up()) return;
  const size_t i = chance_.below(machines_.size());
  net::Response response{.status = 0, .headers = {}, .body = {}};
  guard_server(front_, [&] {
    response = server().call(setting_.owner, "GET",
                             setting_.security_group(names_[i]) + std::string(kNetworkVersion));
  });
  note(fmt::format("owner reads the group of {}: {}", names_[i], response.status));
  if (response.status != 200) return;
  Copy copy;
  copy.machine = i;
  copy.document = parse_json_object(response.body).value_or(JsonObject());
  copy.etag = string_at(copy.document, "etag").value_or("");
  copy.base = documents_.machines[i].rules;
  for (const auto& [key, deadline] : documents_.grants) copy.grants.insert(key);
  copies_.push_back(std::move(copy));
  if (copies_.size() > kCopiesMax) copies_.erase(copies_.begin());
}

void World::put_copy() {
  if (copies_.empty() || !server().is_up() || server().faults().kill_in > 0 || server().disk_may_fail())
    return;
  Copy copy = chance_.pick(copies_);
  const size_t i = copy.machine;
  const bool with_etag = chance_.chance(400);
  const bool edits = chance_.chance(400);
  JsonArray& rules = copy.document["properties"].as_object()["securityRules"].as_array();
  bool drops_allow = false;
  if (edits && !rules.empty()) {
    const size_t at = chance_.below(rules.size());
    drops_allow = is_jit(rules[at]) && is_allow(rules[at]);
    rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(at));
  }
  const Documents before = documents_;
  std::vector<int> statuses = with_etag ? std::vector<int>{200, 412} : std::vector<int>{200};
  // Without its ETag a moved priority may be taken for a person's own, and clash with another.
  if (!with_etag) statuses.push_back(400);
  if (!request(setting_.owner, "PUT", setting_.security_group(names_[i]) + std::string(kNetworkVersion),
               copy.document,
               fmt::format("writes a copy of the group of {} back{}{}", names_[i],
                           with_etag ? " with its ETag" : "", edits ? ", edited" : ""),
               {.statuses = statuses, .effect = {}}, with_etag ? copy.etag : ""))
    return;
  const auto seen = observe(server(), names_, setting_.group, setting_.op.object_id);
  if (!seen) violated("4: what was acknowledged is there", seen.error().message + seen.error().cause);
  // What people wrote: each rule as it was sent, at the priority that it had underneath or was shown at.
  const auto& now_there = seen->documents.machines[i].rules;
  size_t people = 0;
  for (const Json& rule : rules) {
    if (is_jit(rule)) continue;
    ++people;
    const auto kept = std::find_if(now_there.begin(), now_there.end(),
                                   [&](const BaseRule& other) { return other.name == name_of(rule); });
    const auto was = std::find_if(copy.base.begin(), copy.base.end(),
                                  [&](const BaseRule& other) { return other.name == name_of(rule); });
    if (kept == now_there.end() || was == copy.base.end())
      violated("2: just-in-time access edits no person's rule",
               name_of(rule) + " is not there after its PUT");
    BaseRule same = *was;
    if (!with_etag && kept->priority == int_at(rule.as_object(), "properties.priority"))
      same.priority = kept->priority;
    if (*kept != same)
      violated("2: just-in-time access edits no person's rule",
               fmt::format("{} was at {} and is at {} after a PUT of a copy", was->name, was->priority,
                           kept->priority));
  }
  if (people != now_there.size())
    violated("2: just-in-time access edits no person's rule", "a PUT left rules that were not in it");
  for (const auto& [key, deadline] : seen->documents.grants) {
    const auto was = before.grants.find(key);
    if (was == before.grants.end() || deadline > was->second)
      violated("2: no client makes or prolongs a just-in-time rule",
               "an opening is new after a PUT of a copy");
  }
  const bool whole = !drops_allow && with_etag;
  if (whole && seen->documents.grants != before.grants)
    violated("2: an unchanged copy ends no opening", "a grant ended by a PUT that had all its rules");
  documents_.machines[i].rules = now_there;
  documents_.grants = seen->documents.grants;
}

}  // namespace merlon::simulate
