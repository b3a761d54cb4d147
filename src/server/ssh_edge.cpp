// The desk and the listener, put together.
#include "server/ssh_edge.h"

#include "base/log.h"
#include "server/session_program.h"
#include "services/ssh_edge/desk.h"
#include "services/ssh_edge/tape.h"
#include "services/ssh_edge/tunnel.h"
#include "ssh/session_process.h"

namespace merlon::server {

Result<std::unique_ptr<SshEdge>> SshEdge::open(const Options& options, Assembly& assembly,
                                               const std::string& port, const Clock& clock) {
  std::unique_ptr<SshEdge> made(new SshEdge());
  made->desk_ = ssh_edge::make_desk(
      {.core = assembly.core(),
       .bastion = assembly.bastion(),
       .identities = assembly.ssh(),
       .credentials = assembly.credentials(),
       .machines = assembly.machines(),
       .sign_in = [&assembly](const net::Request& request,
                              const std::string& origin) { return assembly.sign_in(request, origin); },
       .record = [&assembly](const identity::Principal& person,
                             const bastion::Admission& admission) -> Result<std::unique_ptr<ssh_edge::Tape>> {
         if (assembly.recordings() == nullptr)
           return fail(ErrorKind::unavailable, "RecordingNotAvailable", "This server keeps no recordings.");
         return ssh_edge::begin_tape(assembly.core(), *assembly.recordings(), person, admission);
       },
       .origin = "https://" + assembly.settings().domain + ":" + port});
  ssh::EdgeParameters parameters;
  parameters.listen = options.bastion_ssh;
  parameters.program = ssh::Program({"/proc/self/exe", ssh::kSessionCommand}, session_program());
  made->edge_ = TRY(ssh::Edge::start(std::move(parameters), *made->desk_, clock));
  assembly.terminal().connect_with([edge = made->edge_.get()](std::shared_ptr<ssh::Person> person,
                                                              const ssh::Destination& to,
                                                              const ssh::Source& source) {
    return edge->serve(std::move(person), to, source);
  });
  // Native tunnels: where sessions are recorded, SSH is ended in them.
  assembly.bastion().end_ssh_with([edge = made->edge_.get(), &assembly](const bastion::Admission& admission) {
    return ssh_edge::end_ssh_in_tunnel(assembly.core(), assembly.bastion(), *edge, admission);
  });
  for (const std::string& address : made->edge_->addresses()) {
    log(LogLevel::info, "the bastion takes SSH", {{"address", address}});
    assembly.ssh().serves_at(address.substr(address.rfind(':') + 1));
  }
  return made;
}

void SshEdge::stop() {
  if (edge_) edge_->stop();
}

}  // namespace merlon::server
