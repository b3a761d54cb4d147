// The flows that are not told yet, and those that have begun and not ended: both bounded, since whoever scans
// a machine writes into it. What does not fit is counted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/firewall_flows.h"
#include "base/clock.h"
#include "machine/flow_report.h"

namespace merlon::agent {

class FlowBook {
 public:
  using Rule = machine::FlowReport::Rule;

  // A rule has let the flow's first packet pass, or has stopped it. Said again of a flow that goes on, or of
  // one that was stopped a moment ago, it is not news.
  void decided(const FlowKey& key, const Rule& rule, bool inbound, bool denied, Duration now);
  void ended(const EndedConnection& connection, Duration now);
  void lost(int64_t count) { lost_ += count; }

  bool has_news() const { return !waiting_.empty() || lost_ > 0; }
  // All that has come, as one report; it is empty then.
  machine::FlowReport take(Duration now);
  // The log is off: nothing is kept.
  void clear();

 private:
  struct Waiting {
    machine::ReportedFlow flow;
    Duration at{};
  };
  struct Begun {
    bool inbound = true;
    std::vector<Rule> rules;  // one for each security group that let it pass
    uint64_t order = 0;
  };
  void add(const FlowKey& key, const Rule& rule, machine::ReportedFlow flow, Duration now);
  std::optional<size_t> place_of(const Rule& rule);
  Begun* begin(const FlowKey& key, bool inbound);

  std::vector<Waiting> waiting_;
  std::vector<Rule> rules_;
  std::map<Rule, size_t> places_;
  std::set<std::pair<FlowKey, Rule>> stopped_;  // since the last report
  std::map<FlowKey, Begun> begun_;
  std::map<uint64_t, FlowKey> by_age_;
  uint64_t order_ = 0;
  int64_t lost_ = 0;
  int64_t batch_ = 0;
};

}  // namespace merlon::agent
