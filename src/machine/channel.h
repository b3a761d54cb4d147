// The server's end of the agent channel: enrolment on the control plane, synchronisation and renewal on the
// agents plane. A sync whose machine has nothing new waits here, as a parked answer, until its desired state
// moves or its time is up.
#pragma once

#include <atomic>
#include <expected>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/bytes.h"
#include "machine/fleet.h"
#include "machine/machine_budgets.h"
#include "machine/switchboard.h"
#include "net/http.h"

namespace merlon::machine {

class Channel {
 public:
  Channel(Fleet& fleet, Switchboard& switchboard)
      : fleet_(fleet),
        switchboard_(switchboard),
        budgets_(fleet.core.clock),
        server_(to_base64url(fleet.core.random.bytes(kServerIdBytes))) {}
  void hurry(const std::string& machine_id);  // answers it, if it waits
  std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request);
  bool handles(const net::Request& request) const;
  void handle(net::Request request, net::Responder respond);
  void answer_waits();
  void tick();
  void stop();
  void others_wrote();

 private:
  static constexpr size_t kServerIdBytes = 12;
  static net::Response to_response(Result<net::Response> result, const std::string& request_id);
  static Error no_such_operation();
  struct Waiting {
    net::Responder respond;
    SyncRequest request;
    std::string key_hash;
    bool unheard = false;
    Duration arrived;  // CLOCK_BOOTTIME, as the next
    Duration until;
  };
  struct Heard {
    Machine machine;
    bool unheard = false;    // no room for what it said
    bool throttled = false;  // it has said more than its budget
  };
  struct Agent {  // by its certificate
    std::string key_hash;
    Timestamp certificate_end;
  };

  Result<net::Response> enrol(const net::Request& request);
  Result<net::Response> renew(const net::Request& request, const Agent& agent);
  Result<net::Response> token(const net::Request& request, const Agent& agent);
  void sync(const net::Request& request, const Agent& agent, net::Responder respond);
  Result<Heard> hear(const Agent& agent, const SyncRequest& said, const IpAddress& from, size_t bytes);
  Result<net::Response> answer(const SyncRequest& said, const std::string& key_hash, bool unheard,
                               Duration arrived);
  net::Response answer(const Waiting& waiting);
  // Whose key this is. A machine that had it once is quarantined.
  Result<Machine> machine_of(const std::string& key_hash, const IpAddress& from);
  Result<Machine> calling_machine(const net::Request& request);
  Result<net::Response> refuse_call(const net::Request& request);
  Result<Machine> working_machine(const Agent& agent, const std::string& boot_id, const IpAddress& from);
  Result<Agent> agent_of(const std::string& certificate_pem);
  Result<std::pair<std::string, std::vector<std::string>>> newest_head(store::Reader& reader,
                                                                       const std::string& seen);
  std::set<std::string> changed_elsewhere();
  Result<void> note_seen(const Machine& machine, const IpAddress& from);
  void write_seen();
  void park(const std::string& machine_id, Waiting waiting);
  void note_failure(const net::Request& request, std::string_view action, const Error& error);
  void note_throttled(const net::Request& request, const Machine& machine, std::string_view action);

  Fleet& fleet_;
  Switchboard& switchboard_;
  MachineBudgets budgets_;
  // Tells the bounds of this process' time from those of other servers (agent/server_time.h), and nothing
  // else.
  const std::string server_;
  std::mutex mutex_;
  std::map<std::string, Waiting> waiting_;  // by machine id: a machine waits once
  std::map<std::string, Agent> agents_;     // by certificate: reading one costs more than all else in a poll
  bool stopped_ = false;
  std::atomic<bool> others_wrote_ = false;
  std::mutex looking_;
  Duration looked_{};  // CLOCK_BOOTTIME: when what other servers changed was last read; under looking_
  SeenBook seen_;
  Duration seen_written_{};  // CLOCK_BOOTTIME; tick()'s alone
};

}  // namespace merlon::machine
