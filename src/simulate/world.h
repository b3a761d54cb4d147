// One history: a server, machines, clients, and whatever happens to them, on one true time. Everything that
// is left to chance comes from the seed.
#pragma once

#include <algorithm>
#include <queue>
#include <set>

#include "agent/http_exchange.h"
#include "simulate/documents.h"
#include "simulate/setting.h"
#include "simulate/trace.h"

namespace merlon::simulate {

// An invariant that does not hold. Thrown to whoever runs the history.
struct Violation {
  std::string invariant;
  std::string what;
};

// Wrong on purpose, for the test that the simulator notices.
struct Bugs {
  KernelBug kernel = KernelBug::none;
  bool store_loses_writes = false;
  bool disk_lies = false;
  std::function<void(const store::TableSpec&, store::Row&)> store_alters;
  bool store_hides_changes = false;       // of several servers: one takes what it knows for what is there
  bool server_forgets_deadlines = false;  // nothing that time makes due is done
  Duration agent_lengthens{};             // every opening, by this
};

struct WorldOptions {
  uint64_t seed = 0;
  size_t machines = 2;
  size_t servers = 0;   // one, or several on one database; 0: as the seed has it
  bool gentle = false;  // nothing that a real kernel in real time could not follow: no suspend, short times
  unsigned agents_die = 0;   // of a thousand steps, besides all else
  unsigned power_fails = 0;  // likewise, of the server
  Bugs bugs{};
  std::ostream* trace = nullptr;
};

// Hears of a replay on the real nftables.
class RealKernel {
 public:
  virtual ~RealKernel() = default;
  virtual Result<void> run(const std::string& commands) = 0;
  virtual bool passes(const Packet& packet) = 0;
  // Lets real time pass until it is at least as late as the history's; by how much it is later.
  virtual Duration wait_until(Duration since_beginning) = 0;
};

class World {
 public:
  World(const Setting& setting, RuleCache& rules, std::string directory, const WorldOptions& options,
        RealKernel* real = nullptr);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void begin();  // copies the setting and starts everything
  void step();   // one thing happens, and every invariant is checked
  void end();    // everything is mended and given time: now it must agree
  Trace& trace() { return trace_; }
  unsigned requests() const { return requests_; }
  unsigned packets() const { return packets_; }

 private:
  struct Backup {
    std::string file;
    Documents documents;
    std::set<std::string> acknowledged;
    unsigned enrolments = 0;
  };
  struct Event {
    Timestamp at;
    uint64_t order = 0;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return std::pair(at, order) > std::pair(other.at, other.order);
    }
  };
  struct Flight {  // a request of an agent that is on its way
    agent::Session::Asked asked;
    uint64_t id = 0;
    Timestamp until;  // the server lets it wait until then
    bool at_server = false;
    size_t host = 0;
  };
  // A server, and what the world must know of it.
  struct Host {
    std::unique_ptr<SimServer> server;
    std::string name;
    Timestamp ticked = kBeginning;
    bool wake = false;
    bool news = false;  // of what another has written is on its way
  };
  // When a grant truly ends, and how long that was to go when it was given.
  struct TrueEnd {
    Timestamp until;
    Duration remaining{};
  };
  // A client's copy of a security group.
  struct Copy {
    size_t machine = 0;
    JsonObject document;
    std::string etag;
    std::vector<BaseRule> base;  // as it was then
    std::set<GrantKey> grants;
  };

  // world_time.cpp
  void advance(Duration by);
  bool run_next(Timestamp end);
  void follow_real_time();
  void at(Duration from_now, std::function<void()> run);
  Timestamp server_due(size_t h);
  void tick_server(size_t h);
  void tick_machine(size_t i);
  void guard_agent(size_t i, const std::function<void()>& work);
  void guard_server(size_t h, const std::function<void()>& work);
  void server_died(size_t h, Death how);
  void server_went();
  void start_server(size_t h);
  void server_serves(size_t h);
  void start_agent(size_t i);
  void agent_died(size_t i);

  // world_servers.cpp
  bool is_shared() const { return database_ != nullptr; }
  void make_servers();
  SimServer& host(size_t h) { return *hosts_[h].server; }
  SimServer& server() { return host(front_); }  // whom people ask now
  bool choose_server();                         // whom to ask: one that is up
  bool choose_observer();                       // whose view of the store to look at
  size_t host_for(size_t i);                    // whom an agent asks
  void has_news(size_t h);
  void deliver_news(size_t h);
  void start_database();
  void database_died(Death how);
  void notice_database();
  void shared_fault();
  void set_clocks_apart();
  void look_at_clocks();
  TrueEnd true_end_of(const GrantKey& key);
  Timestamp earliest_time();  // of the servers that are up
  void settle(Documents& documents, const Documents& seen);

  // world_network.cpp
  void send_sync(size_t i);
  void reach_server(size_t i, uint64_t flight, bool again);
  void answer_sync(size_t i, uint64_t flight, const net::Response& response, Timestamp answered);
  void hear(size_t i, uint64_t flight, const Result<machine::SyncAnswer>& answer, Timestamp answered);
  void fail_sync(size_t i, uint64_t flight, const std::string& code, Duration after);
  Result<std::string> renew(size_t i);
  Result<machine::SyncAnswer> say_farewell(size_t i, const machine::SyncRequest& request);

  // world_clients.cpp
  void client_acts();
  void initiate();
  void revoke();
  void put_policy();
  void delete_policy();
  void put_rule();
  void delete_rule();
  void copy_group();
  void put_copy();
  void set_mode();
  void turn_role();
  void remove_machine();
  void enrol();
  const Client& somebody();
  bool may_write(const Client& client) const;
  struct Expected {
    std::vector<int> statuses;
    std::function<void(Documents&)> effect;
  };
  // Carries a request out and holds its answer against what was to be expected. False when it was not done.
  bool request(const Client& client, const std::string& method, const std::string& path,
               const JsonObject& body, const std::string& what, const Expected& expected,
               const std::string& if_match = {});

  // world_faults.cpp
  void fault();
  void server_fault();
  void machine_fault(size_t i);
  void clock_fault();
  void back_up();
  void restore();

  // world_checks.cpp
  void check();
  void check_documents();
  void check_desired(size_t i, const machine::Machine& machine);
  void check_machine(size_t i, unsigned packets);
  void check_packet(size_t i, const Packet& packet);
  void check_real(size_t i, const Packet& packet, bool passes);
  void check_ledger(bool whole);
  void check_converged();
  bool has_converged();
  Packet random_packet(size_t i);
  [[noreturn]] void violated(const std::string& invariant, const std::string& what);

  void note(const std::string& what);
  std::string clock_text() const;
  SimMachine& machine(size_t i) { return *machines_[i]; }
  bool awake(size_t i) { return !machine(i).clock().asleep(); }

  const Setting& setting_;
  const std::string directory_;
  const WorldOptions options_;
  RealKernel* real_;
  Duration real_lag_{};  // the most so far
  Timestamp now_ = kBeginning;
  SeededRandom chance_, product_;
  Trace trace_;
  std::unique_ptr<SimDatabase> database_;  // of several servers
  std::vector<Host> hosts_;
  size_t front_ = 0;
  std::vector<size_t> home_;  // by machine: the server that it spoke to last
  std::vector<std::unique_ptr<SimMachine>> machines_;
  std::vector<std::unique_ptr<agent::Exchange>> channels_;
  std::vector<std::string> names_;

  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t order_ = 0;
  uint64_t flights_ = 0;
  std::vector<std::optional<Flight>> flight_;
  std::vector<std::optional<Timestamp>> ask_at_, tick_at_;
  std::vector<std::vector<std::function<void()>>> on_waking_;
  std::vector<std::string> old_answer_;
  Duration stride_{};  // in a long time: how far apart polls and ticks are played; zero = each
  bool calm_ = false;  // at the end: no more faults

  Documents documents_;
  std::optional<Documents> instead_;  // what may be there after a kill, too
  std::map<GrantKey, std::string> grant_ids_;
  // By grant: the true time at which it ends by its server's clock; without what has been added to unseen_
  // since, and what clocks drift.
  std::map<std::string, TrueEnd> truly_until_;
  // How far the rates of any two computers have been apart, in millionths; and what that comes to in a time.
  int64_t slowest_ = 0, fastest_ = 0;
  Duration drift_in(Duration time) const;
  void turn_rate(ComputerClock& clock, const std::string& whose, int64_t most);
  std::vector<std::string> past_grants_;
  std::map<std::string, std::pair<machine::Version, std::string>> desired_;  // by machine id
  Timestamp server_time_seen_{};
  Timestamp marked_at_ =
      kBeginning;  // true time: when the server last had the chance to store its time's mark
  std::optional<Duration> most_ahead_;  // of several servers' times the latest, less the true time
  // Of several servers one may be behind the others by this, while it tells of openings.
  Duration behind_ = std::chrono::seconds(1);
  // The end of what was granted last, by the time of the one that did so.
  std::map<GrantKey, TrueEnd> granted_;
  Duration unseen_{};    // that a server cannot know of when it starts under a clock that was set back
  Duration unmarked_{};  // what the server knew of the time beyond its last mark when it went
  bool clock_stepped_ = false, stepped_since_mark_ = false;
  std::vector<Copy> copies_;
  std::optional<Backup> backup_;
  unsigned enrolments_ = 0;                  // and removals
  std::optional<uint64_t> checked_commits_;  // of this server process, at the last look at its documents
  std::set<std::string> acknowledged_;       // request ids of writes
  std::vector<ledger::SignedHead> heads_;
  std::string ledger_key_;
  std::vector<std::string> secrets_;
  unsigned steps_ = 0, requests_ = 0, packets_ = 0;
};

}  // namespace merlon::simulate
