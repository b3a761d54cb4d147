// What audit mode tells, and what becomes of sessions when it ends.
#include <algorithm>
#include <set>

#include "agent/warden.h"
#include "base/log.h"
#include "machine/traffic.h"

namespace merlon::agent {
namespace {

constexpr Duration kReportEvery{60'000};

// Sessions that somebody else began: their local port is one that is listened on.
std::vector<ConnectedSocket> inbound_sessions(const Sockets& sockets) {
  std::set<uint16_t> listening;
  for (const ListeningSocket& socket : sockets.listening)
    if (socket.protocol == machine::Protocol::tcp) listening.insert(socket.port);
  std::vector<ConnectedSocket> inbound;
  for (const ConnectedSocket& socket : sockets.connected)
    if (listening.contains(socket.local_port)) inbound.push_back(socket);
  return inbound;
}

}  // namespace

void Warden::report_audit() {
  const Duration now = clock_.boottime();
  if (rules_.mode != machine::Mode::audit || now < next_report_) return;
  next_report_ = now + kReportEvery;
  const auto since = firewall_.would_drop();
  if (since && since->inbound + since->outbound > 0)
    note("would-drop", {{"inbound", since->inbound}, {"outbound", since->outbound}, {"flows", since->flows}});
  const auto sockets = surroundings_->sockets();
  if (!sockets) {
    log_error("listing sockets for the report", sockets.error());
    return;
  }
  machine::TrafficReport report;
  for (const ListeningSocket& socket : sockets->listening)
    if (report.listeners.size() < machine::kReportedMax)
      report.listeners.push_back({socket.protocol, socket.address, socket.port});
  const std::vector<ConnectedSocket> inbound = inbound_sessions(*sockets);
  for (const ConnectedSocket& socket : inbound)
    if (report.sessions.size() < machine::kReportedMax)
      report.sessions.push_back({socket.peer, socket.local, socket.local_port});
  report.more = sockets->listening.size() > machine::kReportedMax || inbound.size() > machine::kReportedMax;
  std::tie(report.connections, report.connections_most) = surroundings_->tracked_connections();
  if (auto chains = firewall_.untracked_by()) {
    chains->resize(std::min<size_t>(chains->size(), 64));
    report.untracked_by = *std::move(chains);
  }
  report.foreign_marks = firewall_.foreign_marks().value_or(0);
  note_traffic(std::move(report));
}

void Warden::note_traffic(machine::TrafficReport report) {
  shorten_older_reports(report);
  note("traffic", report.to_json());
}

// Of older reports that wait for the server only who was there then and is not now says anything more: it
// keeps the newest, and of the others who has come to which port. Else a server that is away for some hours
// would find more than it can take.
void Warden::shorten_older_reports(const machine::TrafficReport& report) {
  std::set<std::pair<uint16_t, IpAddress>> here;
  for (const machine::TrafficReport::Session& session : report.sessions)
    here.emplace(session.port, session.peer);
  for (auto event = events_.begin(); event != events_.end();) {
    if (event->kind != "traffic") {
      ++event;
      continue;
    }
    auto older = machine::TrafficReport::from_json(event->facts);
    if (older)
      std::erase_if(older->sessions,
                    [&](const auto& session) { return here.contains({session.port, session.peer}); });
    if (!older || older->sessions.empty()) {
      event = let_go(event);
      continue;
    }
    older->listeners.clear();
    older->untracked_by.clear();
    events_bytes_ -= event->bytes;
    event->facts = older->to_json();
    event->bytes = to_text(event->facts).size();
    events_bytes_ += event->bytes;
    ++event;
  }
}

// Connection tracking begins with our table, and picks a running session up when it shows itself. One that
// has been silent all the while would be cut by the rule that a new flow begins with a SYN: it is named to
// the kernel.
void Warden::keep_older_sessions() {
  const auto sockets = surroundings_->sockets();
  if (!sockets) {
    log_error("sessions that are older than enforcement may be cut", sockets.error());
    return;
  }
  std::vector<ConnectedSocket> kept;
  for (const ConnectedSocket& socket : sockets->connected)
    if (!book_.has_cut(socket.peer, socket.local, socket.local_port)) kept.push_back(socket);
  const size_t found = kept.size();
  const auto done = firewall_.keep_sessions(std::move(kept));
  if (!done) {
    log_error("sessions that are older than enforcement may be cut", done.error());
    return;
  }
  if (found > 0)
    note("sessions-kept",
         {{"kept", static_cast<int64_t>(*done)}, {"leftOut", static_cast<int64_t>(found - *done)}});
}

}  // namespace merlon::agent
