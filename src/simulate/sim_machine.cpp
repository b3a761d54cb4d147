// The agent's processes, and the machine under them.
#include "simulate/sim_machine.h"

#include <algorithm>

#include "agent/boot.h"
#include "base/time_text.h"
#include "crypto/x509.h"

namespace merlon::simulate {
namespace {

using agent::StateFiles;
using machine::DesiredState;
namespace file = agent::file;

constexpr uint32_t kAgentUid = 997;
constexpr uint16_t kServerPort = 8443;
constexpr Duration kConfirmSlack{3'000};

class SimSurroundings final : public agent::Surroundings {
 public:
  SimSurroundings(const ComputerClock& clock, agent::Sockets sockets)
      : clock_(clock), sockets_(std::move(sockets)) {}
  std::vector<IpAddress> resolvers() const override { return {}; }
  std::set<std::string> uplinks(const std::vector<IpAddress>&) const override { return {"eth0"}; }
  Result<agent::Sockets> sockets() const override { return sockets_; }
  std::pair<int64_t, int64_t> tracked_connections() const override { return {0, 65'536}; }
  std::optional<agent::Cgroup> own_cgroup() const override { return std::nullopt; }
  Duration running() const override { return clock_.running(); }

 private:
  const ComputerClock& clock_;
  const agent::Sockets sockets_;
};

class MirroredNft final : public agent::NftBackend {
 public:
  MirroredNft(KernelModel& kernel, ModelNft::Interrupt interrupt, SimMachine::Mirror mirror)
      : model_(kernel, std::move(interrupt)), mirror_(std::move(mirror)) {}
  Result<std::string> run(const std::string& commands, agent::NftForm form) override {
    auto done = model_.run(commands, form);
    const bool changes = !commands.starts_with("list") && !commands.starts_with("get");
    if (mirror_ && changes) mirror_(commands, done.has_value());
    return done;
  }

 private:
  ModelNft model_;
  SimMachine::Mirror mirror_;
};

void remember(std::vector<DesiredState>& states, const DesiredState& state) {
  const auto same = std::find_if(states.begin(), states.end(), [&](const DesiredState& known) {
    return known.version == state.version && known.mode == state.mode;
  });
  if (same == states.end()) states.push_back(state);
}

}  // namespace

SimMachine::SimMachine(Place place, const Timestamp& truth, SeededRandom& random, RuleCache& rules)
    : place_(std::move(place)),
      random_(random),
      clock_(truth),
      kernel_(rules, [this] { return clock_.running(); }),
      boot_id_(Uuid::generate(random).text()),
      rules_{DesiredState()},
      confirmed_{DesiredState()} {}

machine::MachineFacts SimMachine::facts() const {
  machine::MachineFacts facts;
  facts.hostname = place_.name;
  facts.boot_id = boot_id_;
  machine::ReportedInterface eth0;
  eth0.name = "eth0";
  eth0.default_route = true;
  for (const IpAddress& address : place_.addresses)
    eth0.addresses.emplace_back(address, address.is_v4() ? 24U : 64U);
  facts.interfaces = {eth0};
  return facts;
}

agent::Sockets SimMachine::sockets() const {
  agent::Sockets sockets;
  for (const IpAddress& own : place_.addresses) {
    sockets.listening.push_back({machine::Protocol::tcp, own, 22});
    const Packet segment = segment_of_old_session(own);
    sockets.connected.push_back(
        {segment.destination, segment.source, segment.destination_port, segment.source_port});
  }
  return sockets;
}

Packet SimMachine::segment_of_old_session(const IpAddress& own) {
  Packet segment;
  segment.source = *IpAddress::parse(own.is_v4() ? "198.51.100.80" : "2001:db8:3::1");
  segment.source_port = 40'000;
  segment.destination = own;
  segment.destination_port = 22;
  segment.begins_flow = false;
  return segment;
}

StateFiles SimMachine::files() const {
  auto files = StateFiles::open(place_.directory);
  MERLON_CHECK(files.has_value());
  return *std::move(files);
}

void SimMachine::interrupt() {
  if (kill_in_ == 0 || --kill_in_ > 0) return;
  throw AgentKilled();
}

agent::Firewall SimMachine::firewall() {
  return agent::Firewall(clock_,
                         agent::Nft(std::make_unique<MirroredNft>(
                             kernel_, [this] { interrupt(); }, mirror_)),
                         agent::FirewallMonitor(std::make_unique<ModelEvents>(kernel_)));
}

Result<void> SimMachine::start_agent(agent::Exchange& exchange) {
  agent::WardenSettings settings;
  settings.boot_id = boot_id_;
  settings.server_port = kServerPort;
  settings.server_address = IpAddress::parse("203.0.113.1");
  settings.agent_uid = kAgentUid;
  const auto key = TRY(crypto::PrivateKey::from_pem(Secret(TRY(files().read(file::kKey)))));
  settings.public_key_hash = crypto::spki_hash_hex(key.public_key());
  ++lives_;
  warden_ = TRY(agent::Warden::start(files(), clock_, settings, firewall(),
                                     std::make_unique<SimSurroundings>(clock_, sockets())));
  rules_ = confirmed_;  // an unconfirmed change went with the process before
  unconfirmed_since_.reset();
  table_gone_ = false;
  unmended_sleep_ = {};
  session_ = std::make_unique<agent::Session>(
      clock_, random_, exchange, static_cast<agent::WardenPort&>(*this), [this] { return facts(); },
      files().read(file::kHead).value_or(""));
  return {};
}

void SimMachine::kill_agent() {
  kill_in_ = 0;
  session_.reset();
  warden_.reset();
  ++lives_;
}

void SimMachine::tick() {
  warden_->tick();
  unmended_sleep_ = {};
  table_gone_ = false;
}

bool SimMachine::is_overdue() {
  if (!warden_ || !unconfirmed_since_ ||
      clock_.boottime() < *unconfirmed_since_ + agent::kConfirmWithin + kConfirmSlack)
    return false;
  const JsonObject status = warden_->answer({{"ask", "status"}, {"seen", 0}});
  if (bool_at(status, "answer.confirmed") != true) return true;
  unconfirmed_since_.reset();  // taken back
  rules_ = confirmed_;
  return false;
}

// ---- Between the halves.

void SimMachine::before_asking(std::string_view name, const JsonObject& body) {
  if (name == "apply") {
    const auto state = DesiredState::from_json(*object_at(body, "state"));
    MERLON_CHECK(state.has_value());
    asked_rules_ = *state;
    asked_rules_.openings.clear();
    remember(rules_, asked_rules_);
  }
  if (name == "confirm") remember(confirmed_, applied_);
  if (name == "openings") {
    asked_openings_.clear();
    for (const Json& order : *array_at(body, "orders")) {
      const std::string id = string_at(order.as_object(), "opening.id").value_or("");
      if (const auto told = told_.find(id); told != told_.end()) asked_openings_.insert(*told);
    }
    for (const auto& [id, opening] : asked_openings_) openings_.insert_or_assign(id, opening);
    openings_known_ = false;
  }
  // Killed between taking the rules out and telling of it, it has none until it starts again; as it may be
  // where it was told to go.
  if (name == "remove") table_gone_ |= told_to_go_;
}

void SimMachine::after_asking(std::string_view name, const JsonObject* answer) {
  const bool done = answer != nullptr;
  if (name == "apply" && done) {
    applied_ = asked_rules_;
    version_ = applied_.version;
    rules_ = confirmed_;
    remember(rules_, applied_);
    // Each change starts the wait anew; the next one comes with the contact that the one before waits for.
    if (bool_at(*answer, "changed") == true) unconfirmed_since_ = clock_.boottime();
  }
  if (name == "confirm" && done) {
    // Unless it was taken back in the meantime: then there was nothing to confirm.
    const JsonObject status = warden_->answer({{"ask", "status"}, {"seen", 0}});
    if (int_at(status, "answer.version.number") == applied_.version.number) confirmed_ = {applied_};
    rules_ = confirmed_;
    unconfirmed_since_.reset();
  }
  if (name == "openings" && done) {
    openings_ = asked_openings_;
    openings_known_ = true;
  }
}

Result<JsonObject> SimMachine::ask(std::string_view name, JsonObject body) {
  before_asking(name, body);
  if (name == "openings" && lengthens_ > Duration(0))
    for (Json& order : body["orders"].as_array()) {
      if (order.as_object()["remainingMs"].as_int64() == 0) continue;
      for (const std::string_view key : {"remainingMs", "remainingMostMs"}) {
        Json& remaining = order.as_object()[key];
        remaining = remaining.as_int64() + lengthens_.count();
      }
    }
  body["ask"] = name;
  const JsonObject reply = warden_->answer(body);
  const JsonObject* answer = object_at(reply, "answer");
  after_asking(name, answer);
  if (answer != nullptr) return *answer;
  return fail(ErrorKind::conflict, string_at(reply, "error.code").value_or("Refused"),
              string_at(reply, "error.message").value_or(""));
}

void SimMachine::learn_openings(const DesiredState& state, Timestamp server_time, Timestamp answered) {
  for (const machine::Opening& opening : state.openings)
    told_.insert_or_assign(opening.id, TrueOpening{opening, answered + (opening.deadline - server_time),
                                                   opening.deadline - server_time});
}

Result<agent::Session::Step> SimMachine::hear(const agent::Session::Asked& asked,
                                              const Result<machine::SyncAnswer>& answer, Timestamp answered) {
  if (answer && answer->nonce == asked.request.nonce && answer->state)
    learn_openings(*answer->state, answer->server_time, answered);
  told_to_go_ = answer && answer->nonce == asked.request.nonce && answer->released;
  return session_->hear(asked, answer);
}

// ---- The machine.

void SimMachine::reboot() {
  kill_agent();
  clock_.boot();
  kernel_.start_anew();
  if (mirror_) mirror_("add table inet merlon\ndelete table inet merlon\n", true);
  boot_id_ = Uuid::generate(random_).text();
  openings_.clear();
  told_.clear();
  openings_known_ = true;
  unmended_sleep_ = {};
  unconfirmed_since_.reset();
  rules_ = confirmed_;
  table_gone_ = false;
  const StateFiles state = files();
  const auto closes = agent::ends_release(state, boot_id_);
  MERLON_CHECK(closes.has_value());
  if (!*closes) return;
  released = false;
  agent::Firewall boot_firewall = firewall();
  const auto done =
      agent::restore_on(state, {.id = boot_id_, .resolvers = {}, .agent_uid = kAgentUid}, boot_firewall);
  MERLON_CHECK(done.has_value());
}

void SimMachine::resume() { unmended_sleep_ += clock_.resume(); }

void SimMachine::release() {
  kill_in_ = 0;  // that is for the agent's processes
  const agent::ReleaseMark mark{.user = "root", .boot_id = boot_id_, .time = clock_.now()};
  agent::Firewall other = firewall();
  const auto done = agent::release_on(files(), mark, other);
  MERLON_CHECK(done.has_value());
  released = true;
  if (agent_runs()) remember(confirmed_, applied_);  // as the agent takes it, once it sees the mark
}

void SimMachine::protect_again() {
  const StateFiles state = files();
  const auto closes = agent::ends_release(state, boot_id_);
  MERLON_CHECK(closes.has_value());
  if (!*closes) return;
  released = false;
  table_gone_ = agent_runs();  // it sees that the mark is gone, and does the rest
  if (agent_runs()) return;
  agent::Firewall boot_firewall = firewall();
  const auto done =
      agent::restore_on(state, {.id = boot_id_, .resolvers = {}, .agent_uid = kAgentUid}, boot_firewall);
  MERLON_CHECK(done.has_value());
}

void SimMachine::flush_ruleset() {
  kernel_.flush_ruleset();
  if (mirror_) mirror_("add table inet merlon\ndelete table inet merlon\n", true);
  table_gone_ = true;
}

void SimMachine::forget_enrolment() {
  kill_agent();
  enrolled = false;
  released = false;
  certificate.clear();
  confirmed_ = {DesiredState()};  // before the first contact nothing is denied
  rules_ = confirmed_;
  applied_ = asked_rules_ = {};
  openings_.clear();
  told_.clear();
  openings_known_ = true;
  version_ = {};
  unconfirmed_since_.reset();
}

}  // namespace merlon::simulate
