// merlon agent ssh: the machine's owner says whether sshd trusts Merlon's authority.
#include "agent/agent.h"
#include "agent/enrolment.h"
#include "agent/local_cap.h"
#include "agent/machine_ssh.h"

#include <unistd.h>

namespace merlon::agent {

Result<std::string> allow_ssh(const std::string& state_dir, bool allowed) {
  if (::geteuid() != 0)
    return fail(ErrorKind::forbidden, "NotRoot", "What sshd trusts is root's to say. Run it with sudo.");
  StateFiles files = TRY(StateFiles::open(state_dir));
  const Enrolment enrolment = TRY(read_enrolment(files));
  LocalCap cap = files.has(file::kLocalCap) ? TRY(LocalCap::from_json(TRY(files.read_json(file::kLocalCap))))
                                            : LocalCap();
  cap.allow("ssh", allowed);
  TRY(files.write(file::kLocalCap, to_pretty_text(Json(cap.to_json())) + "\n"));
  const SshServer server{SshPlaces()};
  const SshTrustFile file(server, files.path(), enrolment.machine_id);
  if (!allowed) {
    if (server.is_installed()) TRY(file.remove_any());
    return std::string();
  }
  if (!server.is_installed()) return std::string("There is no sshd on this machine.");
  return file.obstacle(TRY(server.configuration())).value_or("");
}

}  // namespace merlon::agent
