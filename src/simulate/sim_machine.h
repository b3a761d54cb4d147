// A protected machine: a modelled kernel, and the product's two agent halves on it, with what the simulator
// must know to judge them: which rules and openings the server really sent.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/session.h"
#include "agent/warden.h"
#include "base/uuid.h"
#include "simulate/kernel_model.h"
#include "simulate/seeded_random.h"
#include "simulate/world_clock.h"

namespace merlon::simulate {

// Thrown through the agent's code to whoever plays its processes: both are dead from here on.
struct AgentKilled {};

// An opening that the server told the machine of, and the latest true time until which it may let somebody
// in.
struct TrueOpening {
  machine::Opening opening;
  Timestamp until;
  Duration remaining{};  // of it, when the server said so
};

class SimMachine : private agent::WardenPort {
 public:
  struct Place {
    std::string name, directory;
    std::vector<IpAddress> addresses;
  };
  // Who carries commands to nftables, beside the model; none but in a replay on the real one.
  using Mirror = std::function<void(const std::string& commands, bool accepted)>;

  SimMachine(Place place, const Timestamp& truth, SeededRandom& random, RuleCache& rules);

  const std::string& name() const { return place_.name; }
  const std::vector<IpAddress>& addresses() const { return place_.addresses; }
  const std::string& directory() const { return place_.directory; }
  machine::MachineFacts facts() const;
  // Of a session with sshd that is there all the time, and says nothing unless somebody looks.
  static Packet segment_of_old_session(const IpAddress& own);
  KernelModel& kernel() { return kernel_; }
  ComputerClock& clock() { return clock_; }
  void mirror(Mirror mirror) { mirror_ = std::move(mirror); }

  bool enrolled = false;
  bool cut = false;       // no message gets through
  bool released = false;  // by its own administrator
  std::string certificate;

  // The agent's life. start() and tick() may throw AgentKilled; the caller then calls kill_agent().
  Result<void> start_agent(agent::Exchange& exchange);
  void kill_agent();
  bool agent_runs() const { return session_ != nullptr; }
  unsigned lives() const { return lives_; }  // a message to an earlier life is lost
  void kill_in(int interruptions) { kill_in_ = interruptions; }
  void tick();
  Duration until_tick() const { return warden_->until_next(); }
  Result<agent::Session::Asked> ask() { return session_->ask(); }
  Result<agent::Session::Step> hear(const agent::Session::Asked& asked,
                                    const Result<machine::SyncAnswer>& answer, Timestamp answered);

  // The machine's life.
  void reboot();  // until the network is up
  void suspend() { clock_.suspend(); }
  void resume();
  void release();
  void protect_again();
  void flush_ruleset();
  void forget_enrolment();
  void lengthen(Duration by) { lengthens_ = by; }  // a bug, for the test that the simulator notices

  // ---- What may be in the kernel, by what was sent.
  const std::vector<machine::DesiredState>& rules() const { return rules_; }
  const std::map<std::string, TrueOpening>& openings() const { return openings_; }
  bool openings_are_known() const { return openings_known_; }
  Duration unmended_sleep() const { return unmended_sleep_; }
  bool table_may_be_gone() const { return table_gone_ || released || !enrolled; }
  // A change that nobody confirmed stands for longer than it may.
  bool is_overdue();
  machine::Version version() const { return version_; }

 private:
  Result<JsonObject> ask(std::string_view name, JsonObject body) override;
  void before_asking(std::string_view name, const JsonObject& body);
  void after_asking(std::string_view name, const JsonObject* answer);  // none when refused
  agent::Firewall firewall();
  agent::StateFiles files() const;
  agent::Sockets sockets() const;
  void interrupt();
  void learn_openings(const machine::DesiredState& state, Timestamp server_time, Timestamp answered);

  Place place_;
  Duration lengthens_{};
  SeededRandom& random_;
  ComputerClock clock_;
  KernelModel kernel_;
  Mirror mirror_;
  std::string boot_id_;
  std::unique_ptr<agent::Warden> warden_;
  std::unique_ptr<agent::Session> session_;
  unsigned lives_ = 0;
  int kill_in_ = 0;

  std::vector<machine::DesiredState> rules_;      // any of them may be in force
  std::vector<machine::DesiredState> confirmed_;  // any of them may be what a rollback or a start puts back
  machine::DesiredState asked_rules_, applied_;
  std::optional<Duration> unconfirmed_since_;
  std::map<std::string, TrueOpening> told_, openings_, asked_openings_;
  bool openings_known_ = true;
  Duration unmended_sleep_{};
  bool table_gone_ = false;
  bool told_to_go_ = false;  // by the answer that is being heard
  machine::Version version_;
};

}  // namespace merlon::simulate
