// This machine's packet filter: what the state and the openings say, in the kernel, and put back when
// somebody takes it away. The only door to nftables in Merlon. Privileged; one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/firewall_compile.h"
#include "agent/firewall_connections.h"
#include "agent/firewall_identity.h"
#include "agent/firewall_kernel.h"
#include "agent/firewall_monitor.h"
#include "agent/firewall_sockets.h"
#include "agent/flow_book.h"
#include "base/clock.h"

namespace merlon::agent {

// What audit mode let through that enforcement would have dropped, since the last look.
struct WouldDrop {
  int64_t inbound = 0, outbound = 0;  // packets
  JsonArray flows;                    // the most frequent: {direction, peer, protocol, port, packets}
};

class Firewall {
 public:
  static Result<Firewall> open(const Clock& clock);
  // On a kernel that the caller brings; `clock` must be the one that its timers count by.
  Firewall(const Clock& clock, Nft nft, FirewallMonitor monitor)
      : clock_(clock), nft_(std::move(nft)), monitor_(std::move(monitor)) {}

  // Makes the table anew with exactly these rules and openings, whatever was there: at the agent's start.
  Result<void> begin(const machine::DesiredState& state, const Platform& platform,
                     const std::vector<LiveOpening>& openings);
  // Rules change by refilling chains, in one transaction. Openings are not touched: an old dump of them, put
  // back, would lengthen them.
  Result<void> apply(const machine::DesiredState& state, const Platform& platform);
  // Replaces all openings. One past its deadline is left out.
  Result<void> set_openings(const std::vector<LiveOpening>& openings);
  // Is any of the opening's elements in the kernel still?
  Result<bool> is_open(const LiveOpening& opening);
  // Takes elements out that the kernel should have, and reasserts the others from their deadlines: after a
  // suspend, which stops the kernel's timers.
  Result<void> reassert_openings();
  // Sessions that go on although nobody has seen them begin: for as long as a silent one may stay silent, or
  // less when there are too many. Answers how many it took.
  Result<size_t> keep_sessions(std::vector<ConnectedSocket> sessions);
  // Ends connections that the rules in force would not let begin, at interfaces whose security groups want
  // that (flushConnection); in audit mode none. How many.
  Result<size_t> end_denied_connections();
  // Takes the table away: the machine is as open as without Merlon.
  Result<void> remove();
  // The table is not ours to keep any more: nothing is repaired or opened until begin().
  void forget();
  Result<bool> table_exists();

  int monitor_fd() const { return monitor_.fd(); }
  struct Interference {
    bool table_lost = false;
    Duration gap{};        // from hearing of it until repaired; hearing takes well under a millisecond
    bool changed = false;  // somebody else changed our table, or we cannot tell
    bool others_changed = false;
  };
  // Reads the kernel's events and repairs at once what they say (when `repair`), openings from their
  // deadlines.
  Result<Interference> watch(bool repair);
  // Something is still to be repaired, and no event will say so again.
  bool needs_watch() const { return pending_.table_removed || pending_.missed || pending_.our_commits > 0; }

  // Other base chains that may drop what we accept: "inet filter input (policy drop)".
  Result<std::vector<std::string>> blockers();
  Result<WouldDrop> would_drop();
  // What has come for flow logs since the last look, with the rules' own names. Begins to listen when an
  // interface's flows are to be logged, and ends when none is.
  Result<void> follow_flows(FlowBook& book);
  // Whoever ends connections; without one none is ended.
  void end_connections_by(std::function<Result<size_t>(const WhichConnections&)> forget) {
    forget_ = std::move(forget);
  }
  // Whoever hears of flows; without one flow logs stay empty.
  void hear_flows_by(std::function<Result<std::unique_ptr<FlowEvents>>()> open) {
    open_flows_ = std::move(open);
  }
  // Brings callers of the identity endpoint to its ports, from now on exactly these. Apart from all the
  // above. `anew`: firewall_identity.h.
  Result<void> redirect_identities(const IdentityRedirects& wanted, bool anew = true);
  Result<bool> redirects_identities();
  // Base chains of others that may take packets out of connection tracking: "ip raw PREROUTING".
  Result<std::vector<std::string>> untracked_by();
  // Packets, in audit mode, with a connection mark in our bits that we have not set.
  Result<int64_t> foreign_marks();

 private:
  Result<void> recreate();
  // Runs a transaction of ours; the events of it are taken out of the monitor, those of others are kept.
  Result<void> commit(const std::string& commands);
  Result<std::vector<std::string>> stale_chains(const machine::DesiredState& state);
  // What the kernel should have of the openings at this moment.
  struct Doors {
    Elements elements;
    Marks marks;
  };
  Doors live_doors() const;
  std::string door_changes_text(const Doors& before, const Doors& after) const;
  // Notes what is in the kernel now. False when its timeouts may have begun too late to end on time: they are
  // to be written again, by a larger margin.
  bool note_written(const Doors& before, Doors after, Duration begun);
  Result<void> write_openings();
  std::vector<OpeningSet> sets_in_use() const;
  bool logs_flows() const;
  std::optional<FlowBook::Rule> opening_of(const FlowKey& key) const;
  void note_packet(const LoggedPacket& packet, FlowBook& book) const;
  bool is_denied(const FlowKey& original, const FlowKey& reply) const;
  const machine::InterfacePolicy* flushed_at(const IpAddress& address) const;
  Result<void> forget_denied_sessions();

  const Clock& clock_;
  Nft nft_;
  FirewallMonitor monitor_;
  std::optional<machine::DesiredState> state_;
  Platform platform_;
  std::vector<LiveOpening> openings_;
  Doors in_kernel_;
  Duration slack_{};           // beyond kCommitMargin: transactions of late have taken that long
  std::set<OpeningSet> sets_;  // created in the table; they stay until the table is made anew
  std::vector<ConnectedSocket> known_;
  Duration known_until_{};
  FirewallMonitor::News pending_;
  WouldDrop counted_;
  std::map<std::string, int64_t> counted_flows_;
  std::function<Result<std::unique_ptr<FlowEvents>>()> open_flows_;
  std::unique_ptr<FlowEvents> flows_;
  std::function<Result<size_t>(const WhichConnections&)> forget_;
  Duration open_flows_again_{};
};

std::string known_sessions_text(const std::vector<ConnectedSocket>& sessions, Duration remaining);

// Which of the base chains in a `list chains` may stop a packet that we let through.
struct OtherChain {
  std::string family, table, name, hook;
  bool policy_drop = false;
  std::string text() const { return family + " " + table + " " + name; }
};
std::vector<OtherChain> other_chains(const JsonArray& listing);
bool has_dropping_rule(const JsonArray& table_listing);

}  // namespace merlon::agent
