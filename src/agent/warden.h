// The privileged half of the agent: keeps the firewall and the state directory, and answers a fixed list of
// requests of the half that speaks to the network. It decides nothing; it refuses what the local cap, the
// version order or the end of an opening forbid, whoever asks.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/enrolment.h"
#include "agent/firewall.h"
#include "agent/machine_ssh.h"
#include "agent/metadata.h"
#include "agent/openings_book.h"
#include "agent/state_files.h"
#include "agent/surroundings.h"
#include "machine/traffic.h"

namespace merlon::agent {

// The last confirmed rules, as rules.json has them; with what the platform rules were made of.
struct KeptRules {
  machine::DesiredState state;  // without openings
  std::vector<IpAddress> server_addresses;
  std::vector<std::string> uplinks;
  JsonObject to_json() const;
  static Result<KeptRules> from_json(const JsonObject& json);
};

// The mark of `merlon agent release`.
struct ReleaseMark {
  std::string user;
  std::string boot_id;
  Timestamp time;
  JsonObject to_json() const;
  static Result<ReleaseMark> from_json(const JsonObject& json);
};

inline constexpr Duration kConfirmWithin{30'000};
// How long after an answer's request was sent the server still counts as alive.
inline constexpr Duration kServerLease{15'000};

struct WardenSettings {
  LocalCap cap;
  std::string boot_id;
  uint16_t server_port = 0;
  std::optional<IpAddress> server_address;  // when the server's URL holds one
  uint32_t agent_uid = 0;
  std::string public_key_hash;  // of the key that a renewed certificate must be for
};

class Warden {
 public:
  // Puts the kept rules and the openings of this boot into the kernel, unless the machine is released.
  static Result<std::unique_ptr<Warden>> start(StateFiles files, const Clock& clock, WardenSettings settings);
  // On a kernel and a machine that the caller brings.
  static Result<std::unique_ptr<Warden>> start(StateFiles files, const Clock& clock, WardenSettings settings,
                                               Firewall firewall, std::unique_ptr<Surroundings> surroundings);

  // From here on this machine's SSH server is followed too.
  void serve_ssh(std::unique_ptr<MachineSsh> ssh);
  // {"ask": name, ...} → {"answer": {...}} or {"error": {...}}; never fails.
  JsonObject answer(const JsonObject& request);
  // What is due: deadlines, a change that nobody confirmed, somebody else's hand on the table.
  void tick();
  Duration until_next() const;  // when tick() has something to do, at most a second
  int monitor_fd() const { return firewall_.monitor_fd(); }
  // Has something happened that the other half was not told yet, by an answer or by this?
  bool take_news() { return std::exchange(news_, false); }

 private:
  struct Event {
    int64_t number = 0;
    std::string kind;
    Duration at{};
    JsonObject facts;
    size_t bytes = 0;  // of the facts, as text
  };
  struct Pending {
    machine::Version version;
    Duration until{};
  };
  Warden(StateFiles files, const Clock& clock, WardenSettings settings, Firewall firewall,
         std::unique_ptr<Surroundings> surroundings)
      : files_(std::move(files)),
        clock_(clock),
        settings_(std::move(settings)),
        firewall_(std::move(firewall)),
        surroundings_(std::move(surroundings)) {}
  Result<void> load();

  // The request table.
  Result<JsonObject> dispatch(const std::string& name, const JsonObject& request);
  Result<JsonObject> status(const JsonObject& request);
  Result<JsonObject> apply(const JsonObject& request);
  Result<JsonObject> set_openings(const JsonObject& request);
  Result<JsonObject> confirm(const JsonObject& request);
  Result<JsonObject> heard(const JsonObject& request);
  Result<JsonObject> contact(const JsonObject& request);
  Result<JsonObject> keep_head(const JsonObject& request);
  Result<JsonObject> keep_certificate(const JsonObject& request);
  Result<JsonObject> remove(const JsonObject& request);
  Result<JsonObject> identity(const JsonObject& request);
  Result<JsonObject> ssh(const JsonObject& request);
  Result<JsonObject> call(const JsonObject& request);

  IdentityRedirects identity_redirects(bool with_users) const;
  Result<void> redirect_identities(bool with_users);
  void watch_identities(bool others_changed, bool with_users);
  Result<void> apply_rules(const machine::DesiredState& state);
  void roll_back();
  void end_expired();
  void watch_ssh();
  bool watch_table();  // have others changed something?
  void look_around();  // slow changes: interfaces, resolvers
  void report_audit();
  void report_flows();
  void keep_older_sessions();
  void notice_suspension();
  void follow_release();
  void note(std::string kind, JsonObject facts);
  void note(std::vector<BookNews> news);
  void note_traffic(machine::TrafficReport report);
  void shorten_older_reports(const machine::TrafficReport& report);
  std::deque<Event>::iterator let_go(std::deque<Event>::iterator event);
  void make_room();
  Result<void> keep_book();
  Result<void> keep_rules();
  Platform platform() const;
  Result<void> refuse_when_released() const;
  Result<void> use_marks();  // the rules must check them before the first is given

  StateFiles files_;
  const Clock& clock_;
  const WardenSettings settings_;
  Firewall firewall_;
  std::unique_ptr<Surroundings> surroundings_;
  OpeningsBook book_;
  machine::DesiredState rules_;      // in the kernel, without openings
  machine::DesiredState confirmed_;  // the last that stays
  std::optional<Pending> pending_;
  Platform platform_;
  std::vector<IpAddress> server_addresses_;
  std::vector<std::string> uplinks_;
  std::string error_;
  bool released_ = false;
  bool removed_ = false;
  std::vector<std::string> blockers_;
  bool blockers_stale_ = true;
  std::deque<Event> events_;
  size_t events_bytes_ = 0;
  int64_t last_event_ = 0;
  int64_t released_event_ = 0;
  std::map<std::string, int64_t> dropped_;  // for want of room, before the server heard of them; by kind
  std::string released_at_;                 // which release that event is about
  Duration next_look_{};
  Duration next_report_{};
  std::optional<IdentityDoors> doors_;  // nothing: the other half has not said yet
  IdentityRedirects redirects_;         // in the kernel
  bool redirects_stale_ = false;        // to be written, whatever they were
  Duration redirects_failed_{};
  Duration next_users_{};
  FlowBook flows_;
  Duration next_flows_{};
  Duration flows_failed_{};
  std::unique_ptr<MachineSsh> ssh_;
  bool ssh_allowed_ = false;  // by local.json, as it is now
  Duration next_ssh_{};
  bool news_ = false;
  std::optional<Duration> slept_;  // CLOCK_BOOTTIME less the clock that stops in suspend
};

}  // namespace merlon::agent
