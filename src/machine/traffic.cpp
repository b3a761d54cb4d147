// Traffic reports, and what is kept of them: bounded, since whoever scans a machine writes into it.
#include "machine/traffic.h"

#include "base/time_text.h"
#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr size_t kPortsMax = 512;
constexpr size_t kPeersMax = 64;
constexpr size_t kUntrackedMax = 64;
constexpr size_t kFlowsMax = 64;

Result<Protocol> transport_field(const JsonObject& json) {
  const std::string text = TRY(text_field(json, "protocol", 8));
  if (text == "Tcp" || text == "tcp") return Protocol::tcp;
  if (text == "Udp" || text == "udp") return Protocol::udp;
  return wrong_field("protocol", "Tcp or Udp");
}

Result<uint16_t> port_field(const JsonObject& json) {
  return static_cast<uint16_t>(TRY(int_field(json, "port", 1, 65535)));
}

struct WouldDropFlow {
  Protocol protocol = Protocol::tcp;
  IpAddress peer;
  uint16_t port = 0;
};

Result<WouldDropFlow> read_flow(const JsonObject& json) {
  WouldDropFlow flow;
  flow.protocol = TRY(transport_field(json));
  flow.peer = TRY(address_field(json, "peer"));
  flow.port = TRY(port_field(json));
  return flow;
}

}  // namespace

JsonObject TrafficReport::to_json() const {
  JsonArray listening;
  for (const Listener& listener : listeners)
    listening.push_back(JsonObject{{"protocol", protocol_text(listener.protocol)},
                                   {"address", listener.address.text()},
                                   {"port", int64_t{listener.port}}});
  JsonArray connected;
  for (const Session& session : sessions)
    connected.push_back(JsonObject{
        {"peer", session.peer.text()}, {"address", session.address.text()}, {"port", int64_t{session.port}}});
  return {{"listeners", std::move(listening)},
          {"sessions", std::move(connected)},
          {"more", more},
          {"connections", connections},
          {"connectionsMost", connections_most},
          {"untrackedBy", JsonArray(untracked_by.begin(), untracked_by.end())},
          {"foreignMarks", foreign_marks}};
}

Result<TrafficReport> TrafficReport::from_json(const JsonObject& json) {
  TrafficReport report;
  for (const JsonObject* object : TRY(objects_field(json, "listeners", kReportedMax)))
    report.listeners.push_back(
        {TRY(transport_field(*object)), TRY(address_field(*object, "address")), TRY(port_field(*object))});
  for (const JsonObject* object : TRY(objects_field(json, "sessions", kReportedMax)))
    report.sessions.push_back({TRY(address_field(*object, "peer")), TRY(address_field(*object, "address")),
                               TRY(port_field(*object))});
  report.more = TRY(bool_field(json, "more"));
  report.connections = TRY(int_field(json, "connections", 0, INT64_MAX));
  report.connections_most = TRY(int_field(json, "connectionsMost", 0, INT64_MAX));
  report.untracked_by = TRY(texts_field(json, "untrackedBy", kUntrackedMax));
  report.foreign_marks = TRY(int_field(json, "foreignMarks", 0, INT64_MAX));
  return report;
}

void Traffic::see(Protocol protocol, uint16_t port, const IpAddress& peer) {
  const std::pair key(protocol, port);
  if (!inbound.contains(key) && inbound.size() >= kPortsMax) return;
  Seen& seen = inbound[key];
  if (seen.peers.contains(peer)) return;
  if (seen.peers.size() < kPeersMax) {
    seen.peers.insert(peer);
  } else {
    seen.more = true;
  }
}

void Traffic::note(const TrafficReport& report, Timestamp now) {
  last = report;
  updated = now;
  for (const TrafficReport::Session& session : report.sessions)
    see(Protocol::tcp, session.port, session.peer);
}

void Traffic::note_would_drop(const JsonObject& facts, Timestamp now) {
  updated = now;
  const auto flows = objects_field(facts, "flows", kFlowsMax);
  if (!flows) return;
  for (const JsonObject* object : *flows) {
    if (string_at(*object, "direction") != "inbound") continue;
    if (const auto flow = read_flow(*object)) see(flow->protocol, flow->port, flow->peer);
  }
}

const store::TableSpec& Traffic::table() {
  static const store::TableSpec spec{"machine_traffic", {}};
  return spec;
}

JsonObject Traffic::to_json() const {
  JsonArray ports;
  for (const auto& [key, seen] : inbound) {
    JsonArray peers;
    for (const IpAddress& peer : seen.peers) peers.emplace_back(peer.text());
    ports.push_back(JsonObject{{"protocol", protocol_text(key.first)},
                               {"port", int64_t{key.second}},
                               {"peers", std::move(peers)},
                               {"more", seen.more}});
  }
  return {{"machine", machine.text()},
          {"since", to_rfc3339(since)},
          {"updated", to_rfc3339(updated)},
          {"last", last.to_json()},
          {"inbound", std::move(ports)}};
}

Result<Traffic> Traffic::from_json(const JsonObject& json) {
  Traffic traffic;
  const auto id = Uuid::parse(TRY(text_field(json, "machine", 64)));
  if (!id) return internal_error("stored traffic has a malformed machine id");
  traffic.machine = *id;
  traffic.since = TRY(time_field(json, "since"));
  traffic.updated = TRY(time_field(json, "updated"));
  traffic.last = TRY(TrafficReport::from_json(*TRY(object_field(json, "last"))));
  for (const JsonObject* object : TRY(objects_field(json, "inbound", kPortsMax))) {
    Seen& seen = traffic.inbound[{TRY(transport_field(*object)), TRY(port_field(*object))}];
    for (const std::string& text : TRY(texts_field(*object, "peers", kPeersMax)))
      if (const auto peer = IpAddress::parse(text)) seen.peers.insert(*peer);
    seen.more = TRY(bool_field(*object, "more"));
  }
  return traffic;
}

}  // namespace merlon::machine
