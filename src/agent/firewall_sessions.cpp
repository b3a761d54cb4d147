// Sessions that are older than enforcement: kept, reported, and what keeps connection tracking from them.
#include <fmt/format.h>

#include <algorithm>

#include "agent/firewall.h"

namespace merlon::agent {
namespace {

// Linux sends its first keep-alive after two hours (tcp(7), tcp_keepalive_time): a silent session of sshd's
// shows itself by then.
constexpr Duration kKnownFor = std::chrono::minutes(135);
constexpr size_t kKnownMax = 4096;
constexpr int64_t kConntrackPriority = -200;  // NF_IP_PRI_CONNTRACK

bool untracks(const Json& json) {
  if (const JsonObject* object = json.if_object()) {
    if (object->contains("notrack")) return true;
    // iptables-nft's -j CT --notrack and -j NOTRACK.
    if (const JsonObject* target = object_at(*object, "xt"))
      return string_at(*target, "type") == "target" &&
             (string_at(*target, "name") == "CT" || string_at(*target, "name") == "NOTRACK");
    return std::any_of(object->begin(), object->end(),
                       [](const auto& member) { return untracks(member.value()); });
  }
  if (const JsonArray* array = json.if_array())
    return std::any_of(array->begin(), array->end(), [](const Json& element) { return untracks(element); });
  return false;
}

}  // namespace

std::string known_sessions_text(const std::vector<ConnectedSocket>& sessions, Duration remaining) {
  std::string out;
  if (remaining < kShortestTimeout) return out;
  for (const ConnectedSocket& session : sessions)
    out += fmt::format("add element {} known{} {{ {} . {} . {} . {} timeout {}ms }}\n", kTable,
                       session.local.is_v4() ? 4 : 6, session.local.text(), session.local_port,
                       session.peer.text(), session.peer_port, remaining.count());
  return out;
}

Result<size_t> Firewall::keep_sessions(std::vector<ConnectedSocket> sessions) {
  sessions.resize(std::min(sessions.size(), kKnownMax));
  known_ = std::move(sessions);
  known_until_ = clock_.boottime() + kKnownFor;
  if (!known_.empty()) TRY(commit(base_text() + known_sessions_text(known_, kKnownFor)));
  return known_.size();
}

Result<std::vector<std::string>> Firewall::untracked_by() {
  std::vector<std::string> found;
  const JsonArray listing = TRY(nft_.list("list chains"));
  for (const JsonObject* chain : objects_of(listing, "chain")) {
    const std::string table =
        string_at(*chain, "family").value_or("") + " " + string_at(*chain, "table").value_or("");
    if (!chain->contains("hook") || int_at(*chain, "prio").value_or(0) >= kConntrackPriority ||
        table == kTable)
      continue;
    const auto rules = nft_.list("list table " + table);
    if (rules && untracks(Json(*rules)))
      found.push_back(table + " " + string_at(*chain, "name").value_or(""));
  }
  return found;
}

Result<int64_t> Firewall::foreign_marks() {
  const JsonArray counters = TRY(nft_.list("list counters table inet merlon"));
  for (const JsonObject* counter : objects_of(counters, "counter"))
    if (string_at(*counter, "name") == "foreign_marks") return int_at(*counter, "packets").value_or(0);
  return int64_t{0};
}

}  // namespace merlon::agent
