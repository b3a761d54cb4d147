// Where SSH sessions through the bastion run: those of plain SSH clients, when the server was told to have a
// door for them, and those of its pages.
#pragma once

#include <memory>
#include <string>

#include "server/assembly.h"
#include "server/server.h"
#include "ssh/edge.h"

namespace merlon::server {

class SshEdge {
 public:
  // Nothing is listened on without Options::bastion_ssh. `port` is the control plane's. Assembly and clock
  // outlive it.
  static Result<std::unique_ptr<SshEdge>> open(const Options& options, Assembly& assembly,
                                               const std::string& port, const Clock& clock);
  void stop();  // ends every session; idempotent

 private:
  SshEdge() = default;
  std::unique_ptr<ssh::Desk> desk_;
  std::unique_ptr<ssh::Edge> edge_;
};

}  // namespace merlon::server
