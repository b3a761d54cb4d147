// The server's end of calls (call.h): somebody waits for a connection to a machine's port, the machine's
// agent is told with its next answer, calls, and both are joined. In memory, since a call is good for
// seconds; but a call for an agent that asks another server for news is left in the store for that one
// (left_call.h).
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "machine/left_call.h"
#include "machine/machines.h"
#include "net/tunnel.h"

namespace merlon::machine {

class Switchboard {
 public:
  // `hurry`: the machine's agent is to be answered now, if it waits.
  Switchboard(const resource::Core& core, std::function<void(const std::string& machine_id)> hurry)
      : core_(core), hurry_(std::move(hurry)) {}

  // Where agents reach this very server, when others share its database. Before any call.
  void advertise(const ServerAddress& server) { advertised_ = server; }
  void seen_at(const Machine& machine, const IpAddress& address);
  std::optional<IpAddress> seen_from(const Machine& machine);
  bool is_behind_translation(const Machine& machine);
  // Waits, from a worker, until the agent has called.
  Result<int> reach(const Machine& machine, const IpAddress& address, uint16_t port);

  bool has_calls(const std::string& machine_id);
  // Those that it was not told of; from now on it was.
  std::vector<AgentCall> take_calls(const std::string& machine_id);
  // The agent's call, and its word that it will not make one. `machine` is who the agent is.
  Result<net::TunnelPlan> answer(const Machine& machine, const std::string& id);
  Result<void> refuse(const Machine& machine, const CallRefusal& refusal);
  // All calls that the servers have left. The machines whose agents are to be told of one.
  std::set<std::string> follow(const std::vector<LeftCall>& left);
  void tick();  // takes back what is over; several times a second, on one thread
  void stop();

 private:
  struct Waiting {
    std::string machine;
    AgentCall call;
    bool told = false;
    int descriptor = -1;  // this server's end, once the agent has called
    std::string refusal;
    bool is_over() const { return descriptor >= 0 || !refusal.empty(); }
  };
  struct Elsewhere {  // waits at another server
    std::string machine;
    AgentCall call;
    bool told = false;
    Duration known_since{};  // CLOCK_BOOTTIME: the servers' clocks are not compared
  };
  struct Contact {
    IpAddress address;
    Timestamp at;
    Duration boottime{};
  };
  Result<Waiting*> open_call(const Machine& machine, const std::string& id);
  Result<void> begin(const Machine& machine, const AgentCall& call);
  bool is_over_within(const std::string& id, Duration time);
  bool asks_here(const std::string& machine_id);
  Result<void> leave(const Machine& machine, AgentCall call);
  Waiting take_out(const std::string& id, bool left);
  Error did_not_call(const Machine& machine);

  const resource::Core& core_;
  const std::function<void(const std::string&)> hurry_;
  std::optional<ServerAddress> advertised_;
  std::mutex mutex_;
  std::condition_variable called_;
  std::map<std::string, Waiting> waiting_;      // by the call's id
  std::map<std::string, Elsewhere> elsewhere_;  // likewise
  std::set<std::string> taken_back_;            // left here and over: to be erased
  std::map<std::string, Contact> contacts_;     // by machine id
  bool stopped_ = false;
};

}  // namespace merlon::machine
