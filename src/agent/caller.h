// The agent's calls to the server (machine/call.h): each joins one port of this machine with whoever waits
// for it there. Bounded: one that finds no room is refused.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "agent/http_exchange.h"
#include "machine/call.h"

namespace merlon::agent {

class Caller {
 public:
  // The privileged half says whether this machine's owner lets it lead there.
  Caller(Identity identity, WardenPort& warden);
  ~Caller();
  void follow(const std::vector<machine::AgentCall>& calls);
  void use_certificate(const std::string& pem);

 private:
  // Made with the first call: most machines have none.
  struct Pools;
  Pools& pools();
  Identity identity() const;
  void call(const machine::AgentCall& call);
  void refuse(const machine::AgentCall& call, const std::string& why);
  void make(const machine::AgentCall& call);
  void say_no(const machine::AgentCall& call, const std::string& why);

  WardenPort& warden_;
  mutable std::mutex mutex_;
  Identity identity_;
  std::atomic<unsigned> carried_ = 0;
  std::unique_ptr<Pools> pools_;
};

}  // namespace merlon::agent
