// What makes this machine's sshd let Merlon's certificates in: two files of the agent's own among sshd's
// drop-ins. Nothing of anybody else's is edited; sshd has seen each change before it counts; what sshd does
// not take, or what has no effect, is taken back as it was.
#pragma once

#include <optional>
#include <string>

#include "agent/ssh_server.h"

namespace merlon::agent {

class SshTrustFile {
 public:
  // `work_dir`: the agent's state directory. `machine_id`: what principals of this machine end in.
  SshTrustFile(const SshServer& server, std::string work_dir, std::string machine_id);

  bool exists() const;                                   // one of this agent's
  bool is_anothers() const;                              // one that is not
  bool is_in_place(const std::string& authority) const;  // exactly as install() leaves it
  bool owes_reload() const;  // the agent ended between a change and telling sshd of it
  // What forbids it, as a sentence for the machine's owner: another authority, another agent's file.
  std::optional<std::string> obstacle(const SshConfiguration& configuration) const;
  // Errors: it is as before. Answers what is left to be done by hand; empty: nothing.
  Result<std::string> install(const std::string& authority) const;
  Result<void> remove() const;  // this agent's alone; fine when there is none
  // For the machine's root, who wants no authority of Merlon's trusted: also that of an earlier enrolment. An
  // error, naming the file, when one is trusted still.
  Result<void> remove_any() const;
  // Whether sshd trusts what stands where an agent of Merlon's puts it, whoever put it there.
  bool is_in_force(const SshConfiguration& configuration) const;

  std::string path() const;
  std::string authority_path() const;

 private:
  std::string content() const;
  Result<void> try_out() const;
  Result<void> check_effect() const;
  Result<void> owe_reload() const;
  Result<void> take_out() const;
  std::string reload() const;

  const SshServer& server_;
  const std::string work_dir_;
  const std::string machine_id_;
};

}  // namespace merlon::agent
