// The invariants of docs/architecture.md, held against everything that the simulator knows.
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "simulate/world.h"

namespace merlon::simulate {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::Mode;

constexpr Duration kMarkLost =
    std::chrono::seconds(61);  // the mark of the server's time is a minute old at most
constexpr Duration kPlenty = std::chrono::minutes(2);
constexpr Duration kRealMargin{200};
constexpr size_t kHeadsMax = 16;
constexpr uint32_t kAgentUid = 997;

const std::vector<std::string> kPeers4 = {"198.51.100.7", "198.51.100.80", "192.0.2.66",
                                          "203.0.113.9",  "10.1.0.77",     "8.8.8.8"};
const std::vector<std::string> kPeers6 = {"2001:db8:2::7", "2001:db8:3::1", "fd00:1::77"};

machine::Flow flow_of(const Packet& packet) {
  machine::Flow flow;
  flow.inbound = packet.inbound;
  flow.protocol = packet.protocol == 6 ? machine::Protocol::tcp : machine::Protocol::udp;
  flow.source = packet.source;
  flow.destination = packet.destination;
  flow.source_port = packet.source_port;
  flow.destination_port = packet.destination_port;
  return flow;
}

// Of a state without its openings.
bool rules_let_in(const DesiredState& rules, const Packet& packet) {
  if (rules.mode == Mode::audit) return true;
  return machine::judge(rules, flow_of(packet), Timestamp()).access == Access::allow;
}

bool lets_in(const machine::Opening& opening, const Packet& packet) {
  return packet.inbound && packet.protocol == 6 && opening.destination == packet.destination &&
         opening.port == packet.destination_port && opening.source.contains(packet.source);
}

// "grant/position"
std::string grant_of(const std::string& opening) { return opening.substr(0, opening.find('/')); }

std::string opening_text(const machine::Opening& opening) {
  return fmt::format("{} {} {} {}", opening.source.text(), opening.destination.text(), opening.port,
                     opening.deadline.time_since_epoch().count());
}

}  // namespace

void World::violated(const std::string& invariant, const std::string& what) {
  note("VIOLATED " + invariant + ": " + what);
  throw Violation{invariant, what};
}

Packet World::random_packet(size_t i) {
  Packet packet;
  const auto& own = machine(i).addresses();
  packet.destination = own[chance_.below(own.size())];
  packet.source = *IpAddress::parse(chance_.pick(packet.destination.is_v4() ? kPeers4 : kPeers6));
  packet.destination_port = chance_.pick(std::vector<uint16_t>{22, 22, 22, 3389, 443, 80, 9});
  packet.protocol = chance_.chance(850) ? 6 : 17;
  return packet;
}

// ---- The server.

void World::check_documents() {
  const uint64_t commits =
      is_shared() ? database_->commit_count() : server().assembly().store().commit_count();
  if (is_shared()) look_at_clocks();
  if (checked_commits_ == commits && !instead_) return;  // nothing was written since
  checked_commits_ = commits;
  const auto seen = observe(server(), names_, setting_.group, setting_.op.object_id);
  if (!seen) violated("4: what was acknowledged is there", seen.error().message + seen.error().cause);
  if (is_shared()) {
    settle(documents_, seen->documents);
    if (instead_) settle(*instead_, seen->documents);
  }
  if (instead_ && seen->documents == *instead_) documents_ = *instead_;
  instead_.reset();
  if (seen->documents != documents_)
    violated("4: what was acknowledged is there, and nothing else",
             "\n    should be " + documents_.text() + "\n    but is    " + seen->documents.text());
  const Timestamp time = server().time();
  if (!is_shared() && time + kMarkLost < server_time_seen_)
    violated("1: the server's time never runs backwards", "it does");
  server_time_seen_ = std::max(server_time_seen_, time);
  grant_ids_ = seen->grant_ids;
  for (const auto& [key, id] : grant_ids_) {
    if (truly_until_.contains(id)) continue;
    TrueEnd end = true_end_of(key);
    end.until -= unseen_;
    truly_until_[id] = end;
  }
  for (size_t i = 0; i < machines_.size(); ++i)
    if (seen->machines[i]) check_desired(i, *seen->machines[i]);
}

void World::check_desired(size_t i, const machine::Machine& record) {
  const DesiredState& desired = record.desired;
  auto& [version, text] = desired_[record.id.text()];
  const std::string now_text = to_text(desired.to_json());
  if (desired.version < version) violated("7: versions only grow", names_[i]);
  if (desired.version == version && text != now_text)
    violated("7: one version says one thing",
             fmt::format("{} has two states {}.{}", names_[i], version.epoch, version.number));
  if (record.quarantined) violated("a machine is quarantined only when its key was copied", names_[i]);
  if (desired.version == version) return;
  version = desired.version;
  text = now_text;
  if ((desired.mode == Mode::enforce) != documents_.machines[i].enforce)
    violated("the desired state is what the documents imply", names_[i] + " has the wrong mode");
  std::multiset<std::string> open;
  for (const machine::Opening& opening : desired.openings) open.insert(opening_text(opening));
  std::multiset<std::string> granted;
  for (const auto& [key, deadline] : documents_.grants) {
    if (key.machine != i) continue;
    for (const std::string& source : key.source == "*" ? std::vector<std::string>{"0.0.0.0/0", "::/0"}
                                                       : std::vector<std::string>{key.source})
      for (const IpAddress& address : machine(i).addresses())
        if (const IpPrefix prefix = *IpPrefix::parse(source); prefix.family() == address.family())
          granted.insert(opening_text({.id = {},
                                       .protocol = machine::Protocol::tcp,
                                       .source = prefix,
                                       .destination = address,
                                       .port = key.port,
                                       .deadline = deadline}));
  }
  if (open != granted)
    violated("the desired state is what the documents imply",
             fmt::format("{} should have open [{}] and has [{}]", names_[i], fmt::join(granted, "; "),
                         fmt::join(open, "; ")));
  DesiredState enforced = desired;
  enforced.openings.clear();
  enforced.mode = Mode::enforce;
  for (int n = 0; n < 6; ++n) {
    const Packet packet = random_packet(i);
    if (rules_let_in(enforced, packet) != simulate::lets_in(documents_, i, packet))
      violated("the desired state is what the documents imply",
               names_[i] + " judges wrongly: " + packet.text() + "\n    under " + documents_.text());
  }
}

// ---- The machines.

void World::check_machine(size_t i, unsigned packets) {
  if (!awake(i)) return;
  SimMachine& m = machine(i);
  for (unsigned n = 0; n < packets; ++n) check_packet(i, random_packet(i));
  if (!m.enrolled || !m.kernel().has_table()) return;
  Packet own;
  own.inbound = false;
  own.source = m.addresses().front();
  own.destination = *IpAddress::parse("203.0.113.1");
  own.destination_port = 8443;
  own.uid = kAgentUid;
  if (m.agent_runs() && !m.kernel().passes(own))
    violated("8: the agent always reaches its server", names_[i] + " drops its own agent's packets");
}

void World::check_packet(size_t i, const Packet& packet) {
  ++packets_;
  SimMachine& m = machine(i);
  const bool passes = m.kernel().passes(packet);
  if (real_ != nullptr) check_real(i, packet, passes);
  if (!m.kernel().has_table()) {
    if (!m.table_may_be_gone()) violated("7: a machine keeps its rules", names_[i] + " has none");
    return;
  }
  bool by_rules = false, not_by_rules = false;
  for (const DesiredState& state : m.rules()) (rules_let_in(state, packet) ? by_rules : not_by_rules) = true;
  bool by_opening = false, surely_open = false;
  for (const auto& [id, told] : m.openings()) {
    if (!lets_in(told.opening, packet)) continue;
    Timestamp until = told.until;
    Timestamp latest = until + drift_in(told.remaining);
    if (const auto truly = truly_until_.find(grant_of(id)); truly != truly_until_.end()) {
      const TrueEnd& end = truly->second;
      until = std::min(until, end.until + unseen_);
      latest = std::min(
          latest, end.until + unseen_ + (is_shared() ? behind_ : Duration(0)) + drift_in(end.remaining));
    }
    by_opening |= now_ < latest + m.unmended_sleep() + drift_in(m.unmended_sleep());
    surely_open |= m.openings_are_known() && !clock_stepped_ && now_ + kPlenty < until;
  }
  if (passes && !by_rules && !by_opening)
    violated("1: nothing new gets in that no live grant covers", names_[i] + " lets in " + packet.text());
  if (!passes && !not_by_rules)
    violated("7: a machine keeps its rules", names_[i] + " drops what they let in: " + packet.text());
  if (!passes && surely_open)
    violated("7: an opening runs to its deadline", names_[i] + " drops " + packet.text());
}

void World::check_real(size_t i, const Packet& packet, bool passes) {
  if (machine(i).kernel().ends_within(kRealMargin + real_lag_)) return;
  if (real_->passes(packet) != passes)
    violated("the model of the kernel", "nftables " + std::string(passes ? "drops" : "lets in") +
                                            " what the model " + (passes ? "lets in: " : "drops: ") +
                                            packet.text());
}

void World::check() {
  if (choose_observer()) {
    check_documents();
    check_ledger(false);
  }
  for (size_t i = 0; i < machines_.size(); ++i) check_machine(i, 10);
}

bool World::has_converged() {
  choose_observer();
  const auto seen = observe(server(), names_, setting_.group, setting_.op.object_id);
  for (size_t i = 0; seen && i < machines_.size(); ++i)
    if (seen->machines[i] && machine(i).enrolled && !machine(i).released &&
        machine(i).version() != seen->machines[i]->desired.version)
      return false;
  return true;
}

void World::check_converged() {
  for (const auto& [key, deadline] : documents_.grants)
    if (deadline + kPlenty < earliest_time())
      violated("1: what is due ends", names_[key.machine] + " has an opening that is over");
  for (size_t i = 0; i < machines_.size(); ++i) {
    SimMachine& m = machine(i);
    if (m.released || !documents_.machines[i].enrolled || !m.enrolled) continue;
    const auto seen = observe(server(), names_, setting_.group, setting_.op.object_id);
    if (!seen || !seen->machines[i]) violated("4: what was acknowledged is there", names_[i]);
    const auto& record = *seen->machines[i];
    if (m.version() != record.desired.version)
      violated(
          "7: a machine catches up by version",
          fmt::format("{} is at {}.{} instead of {}.{}: {}", names_[i], m.version().epoch, m.version().number,
                      record.desired.version.epoch, record.desired.version.number, record.applied.error));
    // Near its deadline an opening has ended on the machine, which rounds what is left down.
    size_t surely = 0;
    size_t perhaps = 0;
    for (const machine::Opening& opening : record.desired.openings) {
      surely += !clock_stepped_ && opening.deadline > server().time() + kPlenty ? 1 : 0;
      perhaps +=
          opening.deadline + drift_in(kPlenty) > (is_shared() ? earliest_time() : server().time()) ? 1 : 0;
    }
    const size_t open = m.kernel().open_elements();
    if (open < surely || open > perhaps)
      violated("1: what is open is what was granted",
               fmt::format("{} has {} elements for {} to {} openings", names_[i], open, surely, perhaps));
  }
}

// ---- The ledger.

void World::check_ledger(bool whole) {
  auto& ledger = server().assembly().core().ledger;
  const auto head = store::read_value<ledger::SignedHead>(
      server().assembly().store(), [&](store::Reader& reader) { return ledger.head(reader); });
  if (!head) violated("5: the ledger is provable", head.error().message + head.error().cause);
  if (!heads_.empty() && head->size < heads_.back().size)
    violated("5: the ledger is append-only", "it is shorter");
  if (heads_.empty() || head->size != heads_.back().size) heads_.push_back(*head);
  if (heads_.size() > kHeadsMax)
    heads_.erase(heads_.begin() + 1 + static_cast<std::ptrdiff_t>(chance_.below(kHeadsMax)));
  if (!whole) return;
  std::stringstream file;
  std::set<std::string> entered;
  const auto exported = ledger.export_lines([&](const std::string& line) -> Result<void> {
    file << line << "\n";
    for (const std::string& secret : secrets_)
      if (line.find(secret) != std::string::npos)
        violated("6: no secret in the ledger", "a client secret is there");
    const auto json = parse_json_object(line);
    if (json)
      if (const auto id = string_at(*json, "entry.requestId")) entered.insert(*id);
    return {};
  });
  if (!exported) violated("5: the ledger is provable", exported.error().message + exported.error().cause);
  const auto report = ledger::verify_export(file, {.public_key_pem = ledger_key_, .witnesses = heads_});
  if (!report) violated("5: the ledger is provable", report.error().message);
  for (const std::string& id : acknowledged_)
    if (!entered.contains(id))
      violated("5: every acknowledged write is entered", "request " + id + " is not");
}

}  // namespace merlon::simulate
