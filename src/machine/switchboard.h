// The server's end of calls (call.h): somebody waits for a connection to a machine's port, the machine's
// agent is told with its next answer, calls, and both are joined. In memory: a call is good for seconds.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/random.h"
#include "machine/call.h"
#include "machine/machines.h"
#include "net/tunnel.h"

namespace merlon::machine {

class Switchboard {
 public:
  // `hurry`: the machine's agent is to be answered now, if it waits.
  Switchboard(Random& random, std::function<void(const std::string& machine_id)> hurry)
      : random_(random), hurry_(std::move(hurry)) {}

  void seen_at(const Machine& machine, const IpAddress& address);
  bool is_behind_translation(const Machine& machine);
  // Waits, from a worker, until the agent has called.
  Result<int> reach(const Machine& machine, const IpAddress& address, uint16_t port);

  bool has_calls(const std::string& machine_id);
  // Those that it was not told of; from now on it was.
  std::vector<AgentCall> take_calls(const std::string& machine_id);
  // The agent's call, and its word that it will not make one. `machine` is who the agent is.
  Result<net::TunnelPlan> answer(const Machine& machine, const std::string& id);
  Result<void> refuse(const Machine& machine, const CallRefusal& refusal);
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
  Result<Waiting*> open_call(const Machine& machine, const std::string& id);

  Random& random_;
  const std::function<void(const std::string&)> hurry_;
  std::mutex mutex_;
  std::condition_variable called_;
  std::map<std::string, Waiting> waiting_;     // by the call's id
  std::map<std::string, IpAddress> contacts_;  // by machine id
  bool stopped_ = false;
};

}  // namespace merlon::machine
