// What is counted twice would be lost twice: a flow is news once.
#include "agent/flow_book.h"

#include <algorithm>
#include <utility>

namespace merlon::agent {
namespace {

// Begun flows that are remembered until they end: beyond it the oldest ends without a word.
constexpr size_t kBegunMax = 8192;
constexpr size_t kRulesOfOneMax = 8;  // security groups on the way of one flow

}  // namespace

std::optional<size_t> FlowBook::place_of(const Rule& rule) {
  const auto known = places_.find(rule);
  if (known != places_.end()) return known->second;
  if (rules_.size() == machine::kReportedFlowRulesMax) return std::nullopt;
  rules_.push_back(rule);
  places_.emplace(rule, rules_.size() - 1);
  return rules_.size() - 1;
}

void FlowBook::add(const FlowKey& key, const Rule& rule, machine::ReportedFlow flow, Duration now) {
  const auto place = waiting_.size() < machine::kReportedFlowsMax ? place_of(rule) : std::nullopt;
  if (!place) {
    ++lost_;
    return;
  }
  flow.rule = *place;
  flow.protocol = key.protocol;
  flow.source = key.source;
  flow.destination = key.destination;
  flow.source_port = key.source_port;
  flow.destination_port = key.destination_port;
  waiting_.push_back({flow, now});
}

FlowBook::Begun* FlowBook::begin(const FlowKey& key, bool inbound) {
  if (const auto known = begun_.find(key); known != begun_.end()) return &known->second;
  if (begun_.size() == kBegunMax) {
    const auto oldest = by_age_.begin();
    begun_.erase(oldest->second);
    by_age_.erase(oldest);
  }
  Begun& begun = begun_[key];
  begun.inbound = inbound;
  begun.order = ++order_;
  by_age_.emplace(begun.order, key);
  return &begun;
}

void FlowBook::decided(const FlowKey& key, const Rule& rule, bool inbound, bool denied, Duration now) {
  machine::ReportedFlow flow;
  flow.inbound = inbound;
  if (denied) {
    flow.state = machine::FlowState::denied;
    if (stopped_.size() < machine::kReportedFlowsMax && !stopped_.emplace(key, rule).second) return;
    add(key, rule, flow, now);
    return;
  }
  Begun* begun = begin(key, inbound);
  if (begun->rules.size() == kRulesOfOneMax ||
      std::find(begun->rules.begin(), begun->rules.end(), rule) != begun->rules.end())
    return;
  begun->rules.push_back(rule);
  add(key, rule, flow, now);
}

// Inbound a packet was seen before its destination was translated, as the original direction has it; outbound
// after both translations, as the replies have it the other way round.
void FlowBook::ended(const EndedConnection& connection, Duration now) {
  const FlowKey& reply = connection.reply;
  const FlowKey outbound{.protocol = connection.original.protocol,
                         .source = reply.destination,
                         .destination = reply.source,
                         .source_port = reply.destination_port,
                         .destination_port = reply.source_port};
  for (const FlowKey& key : {connection.original, outbound}) {
    const auto known = begun_.find(key);
    if (known == begun_.end()) continue;
    machine::ReportedFlow flow;
    flow.inbound = known->second.inbound;
    flow.state = machine::FlowState::end;
    flow.packets_sent = connection.packets_sent;
    flow.bytes_sent = connection.bytes_sent;
    flow.packets_back = connection.packets_back;
    flow.bytes_back = connection.bytes_back;
    for (const Rule& rule : known->second.rules) add(key, rule, flow, now);
    by_age_.erase(known->second.order);
    begun_.erase(known);
  }
}

machine::FlowReport FlowBook::take(Duration now) {
  machine::FlowReport report;
  // The boot's time, so that it grows over restarts of the agent too.
  batch_ = std::max<int64_t>(batch_ + 1, now.count());
  report.batch = batch_;
  report.lost = std::exchange(lost_, 0);
  report.rules = std::exchange(rules_, {});
  places_.clear();
  stopped_.clear();
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    waiting.flow.before = now - waiting.at;
    report.flows.push_back(waiting.flow);
  }
  return report;
}

void FlowBook::clear() {
  waiting_.clear();
  rules_.clear();
  places_.clear();
  stopped_.clear();
  begun_.clear();
  by_age_.clear();
  lost_ = 0;
}

}  // namespace merlon::agent
