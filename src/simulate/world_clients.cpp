// What people and programs ask of the server, right and wrong, and what must come of it.
#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"
#include "simulate/world.h"

namespace merlon::simulate {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const std::vector<uint16_t> kPorts = {22, 22, 22, 3389, 443};
const std::vector<std::string> kSources = {"",
                                           "198.51.100.7",
                                           "198.51.100.0/24",
                                           "192.0.2.66",
                                           "*",
                                           "2001:db8:2::/64",
                                           "203.0.113.9",
                                           "not-an-address",
                                           "192.0.2.0/33"};

bool is_inside(const std::string& inner, const std::string& outer) {
  if (outer == "*") return true;
  if (inner == "*") return false;
  const auto in = IpPrefix::parse(inner);
  const auto out = IpPrefix::parse(outer);
  return in && out && out->contains(*in);
}

bool is_source(const std::string& text) { return text == "*" || IpPrefix::parse(text).has_value(); }

std::string canonical(const std::string& source) {
  const auto prefix = IpPrefix::parse(source);
  return prefix ? prefix->text() : source;
}

JsonObject rule_json(const BaseRule& rule) {
  return {{"properties", JsonObject{{"protocol", rule.protocol},
                                    {"sourcePortRange", "*"},
                                    {"destinationPortRange", rule.port},
                                    {"sourceAddressPrefix", rule.source},
                                    {"destinationAddressPrefix", "*"},
                                    {"access", rule.allow ? "Allow" : "Deny"},
                                    {"priority", rule.priority},
                                    {"direction", "Inbound"}}}};
}

}  // namespace

const Client& World::somebody() {
  const size_t roll = chance_.below(10);
  return roll < 3 ? setting_.owner : roll < 9 ? setting_.op : setting_.stranger;
}

bool World::may_write(const Client& client) const {
  return client.name == "owner" || (client.name == "operator" && documents_.operator_has_role);
}

bool World::request(const Client& client, const std::string& method, const std::string& path,
                    const JsonObject& body, const std::string& what, const Expected& expected,
                    const std::string& if_match) {
  if (!server().is_up()) return false;
  ++requests_;
  Documents after = documents_;
  if (expected.effect) expected.effect(after);
  net::Response response{.status = 0, .headers = {}, .body = {}};
  const unsigned failures = server().disk_failures();
  bool died = true;
  guard_server(front_, [&] {
    instead_ = after;  // in case that it dies in the middle
    response = server().call(client, method, path, body, if_match);
    died = false;
  });
  note(fmt::format("{} {}: {}", client.name, what, died ? "no answer" : std::to_string(response.status)));
  if (died) return false;
  // An answer that could not be read from a failing disk, to something that may be done or not.
  if (response.status / 100 == 5 && server().disk_failures() != failures) return false;
  instead_.reset();
  const bool done = response.status / 100 == 2;
  if (done && method != "GET") acknowledged_.insert(server().last_request_id());
  if (done && !may_write(client)) violated("3: no action without a permission", client.name + " did " + what);
  if (response.status == 503 && !server().can_work()) return false;     // likewise
  if (response.status == 503 && server().disk_is_full()) return false;  // and nothing has changed: check()
  // By a clock that was set back to before the beginning, no secret is valid yet: nobody can sign in with it.
  if (response.status == 503 && response.body.empty() && server().clock().now() < kBeginning) return false;
  if (std::find(expected.statuses.begin(), expected.statuses.end(), response.status) ==
      expected.statuses.end())
    violated("the documented answer",
             fmt::format("{} {} is answered with {} instead of {}: {}", client.name, what, response.status,
                         fmt::join(expected.statuses, " or "), response.body.substr(0, 400)));
  if (done) documents_ = std::move(after);
  return done;
}

void World::initiate() {
  const Client& who = somebody();
  const size_t i = chance_.below(machines_.size());
  const uint16_t port = chance_.pick(kPorts);
  const std::string source = chance_.pick(kSources);
  const std::vector<Duration> lengths =
      options_.gentle ? std::vector<Duration>{seconds(1), seconds(2), seconds(4)}
                      : std::vector<Duration>{seconds(5),  seconds(40), minutes(5), minutes(30),
                                              minutes(59), hours(3),    hours(4),   hours(30)};
  const Duration length = chance_.pick(lengths);
  const bool by_end = chance_.chance(300);
  const bool in_the_past = by_end && chance_.chance(100);
  if (!server().is_up()) return;
  const Timestamp time = server().time();
  const Timestamp end = in_the_past ? time - minutes(1) : time + length;
  JsonObject wanted = {{"number", port}};
  if (!source.empty()) wanted["allowedSourceAddressPrefix"] = source;
  if (by_end) {
    wanted["endTimeUtc"] = to_rfc3339(end);
  } else {
    wanted["duration"] = to_iso8601_duration(length);
  }
  const std::string open_to = canonical(source.empty() ? who.address.text() : source);
  const PolicyPort* rule = documents_.port(i, port);
  const GrantKey key{i, port, open_to, who.object_id == setting_.op.object_id};
  Expected expected{.statuses = {202}, .effect = {}};
  if (!may_write(who)) {
    expected.statuses = {403};
  } else if (!documents_.policy || !documents_.policy->contains(i)) {
    expected.statuses = {404};
  } else {
    const bool wrong = rule == nullptr || !is_source(open_to) || !is_inside(open_to, rule->source) ||
                       in_the_past || length > rule->longest;
    if (wrong) expected.statuses = {400};
    // A policy may outlive a machine that it names.
    if (!documents_.machines[i].enrolled)
      expected.statuses = wrong ? std::vector<int>{400, 404} : std::vector<int>{404};
    expected.effect = [=](Documents& documents) { documents.grants[key] = end; };
  }
  if (server().can_work()) granted_[key] = {now_ + length, length};
  request(who, "POST", setting_.policy() + "/initiate" + std::string(kPolicyVersion),
          {{"virtualMachines",
            JsonArray{JsonObject{{"id", setting_.vm(names_[i])}, {"ports", JsonArray{std::move(wanted)}}}}},
           {"justification", "simulated"}},
          fmt::format("asks for {}:{} from {} for {}", names_[i], port, source.empty() ? "itself" : source,
                      in_the_past ? "the past" : to_human_duration(length)),
          expected);
}

void World::revoke() {
  if (grant_ids_.empty()) return;
  auto chosen = grant_ids_.begin();
  std::advance(chosen, chance_.below(grant_ids_.size()));
  const GrantKey key = chosen->first;
  const Client& who = somebody();
  Expected expected{.statuses = {may_write(who) ? 200 : 403},
                    .effect = [key](Documents& documents) { documents.grants.erase(key); }};
  if (!documents_.policy && may_write(who)) expected.statuses = {200, 404};
  request(who, "POST",
          setting_.policy() + "/providers/Merlon.Jit/openings/" + chosen->second + "/revoke" +
              std::string(kPolicyVersion),
          {}, fmt::format("revokes {}:{} of {}", names_[key.machine], key.port, key.source), expected);
}

void World::put_policy() {
  const Client& who = somebody();
  std::map<size_t, std::vector<PolicyPort>> policy;
  std::vector<std::pair<std::string, JsonArray>> body;
  bool all_there = true;
  for (size_t i = 0; i < machines_.size(); ++i) {
    if (chance_.chance(200)) continue;
    JsonArray ports;
    for (const uint16_t number : {uint16_t{22}, uint16_t{3389}}) {
      if (chance_.chance(number == 22 ? 100 : 500)) continue;
      const PolicyPort port{number, chance_.chance(700) ? "*" : "198.51.100.0/24",
                            chance_.chance(500) ? Duration(hours(3)) : Duration(hours(1))};
      ports.push_back(policy_port_json(port.number, port.source, port.longest));
      policy[i].push_back(port);
    }
    if (ports.empty()) continue;
    all_there = all_there && documents_.machines[i].enrolled;
    body.emplace_back(setting_.vm(names_[i]), std::move(ports));
  }
  Expected expected{.statuses = {200}, .effect = [policy](Documents& documents) {
                      documents.policy = policy;
                      std::erase_if(documents.grants, [&](const auto& grant) {
                        return documents.port(grant.first.machine, grant.first.port) == nullptr;
                      });
                    }};
  if (!may_write(who)) {
    expected = {.statuses = {403}, .effect = {}};
  } else if (!all_there) {
    expected = {.statuses = {404}, .effect = {}};
  }
  request(who, "PUT", setting_.policy() + std::string(kPolicyVersion), policy_json(body),
          fmt::format("sets a policy for {} machines", body.size()), expected);
}

void World::delete_policy() {
  const Client& who = somebody();
  Expected expected{.statuses = {documents_.policy ? 200 : 204}, .effect = [](Documents& documents) {
                      documents.policy.reset();
                      documents.grants.clear();
                    }};
  if (!may_write(who)) expected = {.statuses = {403}, .effect = {}};
  request(who, "DELETE", setting_.policy() + std::string(kPolicyVersion), {}, "deletes the policy", expected);
}

void World::put_rule() {
  const Client& who = somebody();
  const size_t i = chance_.below(machines_.size());
  BaseRule rule;
  rule.name = fmt::format("r{}", chance_.below(5));
  // Not among the last: there the policy's deny rules take the free places, which Documents does not follow.
  rule.priority = chance_.pick(std::vector<int64_t>{100, 101, 102, 110, 300, 4000, 4079, 4080});
  rule.allow = chance_.chance(700);
  rule.protocol = chance_.pick(std::vector<std::string>{"Tcp", "Tcp", "Udp", "*"});
  rule.source =
      chance_.pick(std::vector<std::string>{"*", "203.0.113.0/24", "198.51.100.7", "2001:db8:2::/64"});
  rule.port = chance_.pick(std::vector<std::string>{"443", "22", "80", "*", "3389"});
  const auto& rules = documents_.machines[i].rules;
  const auto named = [&](const BaseRule& other) { return other.name == rule.name; };
  const auto before = std::find_if(rules.begin(), rules.end(), named);
  const bool known = before != rules.end();
  // Beside openings a rule may be shown at another place than its own. Sent with that, it stays where it is
  // (decision 0003), which Documents does not follow.
  const bool open =
      std::ranges::any_of(documents_.grants, [&](const auto& each) { return each.first.machine == i; });
  if (known && open) rule.priority = before->priority;
  const bool clash = std::any_of(rules.begin(), rules.end(), [&](const BaseRule& other) {
    return other.priority == rule.priority && other.name != rule.name;
  });
  Expected expected{.statuses = {known ? 200 : 201}, .effect = [i, rule](Documents& documents) {
                      auto& kept = documents.machines[i].rules;
                      std::erase_if(kept, [&](const BaseRule& other) { return other.name == rule.name; });
                      kept.push_back(rule);
                      std::sort(kept.begin(), kept.end());
                    }};
  if (clash) expected = {.statuses = {400}, .effect = {}};
  if (!may_write(who)) expected = {.statuses = {403}, .effect = {}};
  request(who, "PUT",
          setting_.security_group(names_[i]) + "/securityRules/" + rule.name + std::string(kNetworkVersion),
          rule_json(rule),
          fmt::format("writes rule {}@{} {} {} from {} port {} of {}", rule.name, rule.priority,
                      rule.allow ? "allow" : "deny", rule.protocol, rule.source, rule.port, names_[i]),
          expected);
}

void World::delete_rule() {
  const Client& who = somebody();
  const size_t i = chance_.below(machines_.size());
  const std::string name = fmt::format("r{}", chance_.below(5));
  const auto& rules = documents_.machines[i].rules;
  const bool known =
      std::any_of(rules.begin(), rules.end(), [&](const BaseRule& other) { return other.name == name; });
  Expected expected{.statuses = {known ? 200 : 204}, .effect = [i, name](Documents& documents) {
                      std::erase_if(documents.machines[i].rules,
                                    [&](const BaseRule& other) { return other.name == name; });
                    }};
  if (!may_write(who)) expected = {.statuses = {403}, .effect = {}};
  request(who, "DELETE",
          setting_.security_group(names_[i]) + "/securityRules/" + name + std::string(kNetworkVersion), {},
          fmt::format("deletes rule {} of {}", name, names_[i]), expected);
}

void World::set_mode() {
  const Client& who = somebody();
  const size_t i = chance_.below(machines_.size());
  const bool enforce = chance_.chance(800);
  Expected expected{.statuses = {200}, .effect = [i, enforce](Documents& documents) {
                      documents.machines[i].enforce = enforce;
                    }};
  if (!documents_.machines[i].enrolled) expected = {.statuses = {404}, .effect = {}};
  if (!may_write(who)) expected = {.statuses = {403}, .effect = {}};
  request(who, "POST",
          setting_.machine_path(names_[i]) + (enforce ? "/enforce" : "/audit") + std::string(kMerlonVersion),
          {{"confirmCut", true}}, (enforce ? "enforces " : "only audits ") + names_[i], expected);
}

void World::turn_role() {
  const bool give = !documents_.operator_has_role;
  request(setting_.owner, give ? "PUT" : "DELETE",
          setting_.operators_assignment() + std::string(kRolesVersion),
          give ? setting_.operators_role() : JsonObject(),
          give ? "gives the operator its role" : "takes the role away",
          {.statuses = {200, 201},
           .effect = [give](Documents& documents) { documents.operator_has_role = give; }});
}

void World::remove_machine() {
  const Client& who = somebody();
  const size_t i = chance_.below(machines_.size());
  Expected expected{.statuses = {200}, .effect = [i](Documents& documents) {
                      documents.machines[i].enrolled = false;
                      documents.machines[i].enforce = false;
                      std::erase_if(documents.grants,
                                    [i](const auto& grant) { return grant.first.machine == i; });
                    }};
  if (!documents_.machines[i].enrolled) expected = {.statuses = {404}, .effect = {}};
  if (!may_write(who)) expected = {.statuses = {403}, .effect = {}};
  ++enrolments_;
  request(who, "DELETE", setting_.machine_path(names_[i]) + std::string(kMerlonVersion), {},
          "removes " + names_[i], expected);
}

void World::enrol() {
  for (size_t i = 0; i < machines_.size(); ++i) {
    SimMachine& m = machine(i);
    if (documents_.machines[i].enrolled || m.enrolled || !server().can_work() || !awake(i)) continue;
    if (server().disk_is_full() || server().disk_may_fail() || server().faults().kill_in > 0) continue;
    if (server().clock().now() < kBeginning) continue;  // the owner may not be able to sign in: see request()
    const bool enforce = chance_.chance(700);
    SimMachine::Place place{m.name(), m.directory(), m.addresses()};
    auto certificate = enrol_machine(server(), setting_, setting_.owner, place, m.facts(), enforce);
    note(fmt::format("{} enrols{}: {}", m.name(), enforce ? " into enforcement" : "",
                     certificate ? "done" : certificate.error().code));
    if (!certificate)
      violated("the documented answer", certificate.error().message + certificate.error().cause);
    m.certificate = *certificate;
    m.enrolled = true;
    documents_.machines[i].enrolled = true;
    ++enrolments_;
    documents_.machines[i].enforce = enforce;
    start_agent(i);
    return;
  }
}

void World::client_acts() {
  if (is_shared() && instead_) return;  // nobody knows yet what the last one has come to
  choose_server();
  const size_t roll = chance_.below(100);
  if (roll < 32) return initiate();
  if (roll < 42) return revoke();
  if (roll < 48) return put_policy();
  if (roll < 50) return delete_policy();
  if (roll < 64) return put_rule();
  if (roll < 69) return delete_rule();
  if (roll < 77) return copy_group();
  if (roll < 86) return put_copy();
  if (roll < 91) return set_mode();
  if (roll < 95) return turn_role();
  if (roll < 97) return remove_machine();
  return enrol();
}

}  // namespace merlon::simulate
