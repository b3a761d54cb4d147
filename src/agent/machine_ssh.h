// This machine's SSH server as the agent's privileged half follows it: its host keys are told to the server,
// and it is made to trust Merlon's authority where the machine's owner lets it (local.json, "ssh").
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/ssh_trust_file.h"
#include "agent/state_files.h"
#include "base/clock.h"
#include "machine/ssh_trust.h"

namespace merlon::agent {

class MachineSsh {
 public:
  using Events = std::vector<std::pair<std::string, JsonObject>>;  // kind, facts
  // Takes up what it was told to trust before.
  MachineSsh(SshPlaces places, StateFiles files, const std::string& machine_id);

  // Looks where something was touched since the last time, and mends. What is worth an event.
  Events look(Duration now, bool allowed);
  const machine::SshFacts& facts() const { return facts_; }
  Result<void> trust(machine::SshTrust wanted);
  // The machine is none of Merlon's any more: sshd is as it was.
  Result<void> take_down();

 private:
  void settle(const SshConfiguration& configuration, bool allowed, Events& events);
  void enforce(const SshConfiguration& configuration, Events& events);
  void refuse(std::string message, Events& events);

  const SshServer server_;
  const StateFiles files_;
  const SshTrustFile file_;
  machine::SshTrust wanted_;
  machine::SshFacts facts_;
  SshConfiguration configuration_;
  std::string stamp_;
  bool allowed_ = false;
  Duration again_{};
};

// The host keys, as far as they can be read; for the enrolment.
machine::SshFacts ssh_facts();

}  // namespace merlon::agent
