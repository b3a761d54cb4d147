// This machine's SSH server, as part of what the privileged half keeps.
#include "agent/warden.h"
#include "base/log.h"

namespace merlon::agent {
namespace {

constexpr Duration kLookEvery{3'000};

}  // namespace

void Warden::serve_ssh(std::unique_ptr<MachineSsh> ssh) {
  ssh_ = std::move(ssh);
  next_ssh_ = {};
  watch_ssh();
}

Result<JsonObject> Warden::ssh(const JsonObject& request) {
  const machine::SshTrust wanted = TRY(machine::SshTrust::from_json(request));
  if (!ssh_ || removed_) return JsonObject{};
  TRY(ssh_->trust(wanted));
  next_ssh_ = {};
  return JsonObject{};
}

// The cap is read as it is now: its owner need not start the agent anew to end this.
void Warden::watch_ssh() {
  const Duration now = clock_.boottime();
  if (!ssh_ || now < next_ssh_) return;
  next_ssh_ = now + kLookEvery;
  const auto json = files_.read_json(file::kLocalCap);
  const auto cap = json ? LocalCap::from_json(*json) : Result<LocalCap>(std::unexpected(json.error()));
  if (cap)
    ssh_allowed_ = cap->allows("ssh");
  else
    log_error("the local cap cannot be read; whether sshd trusts stays as it was", cap.error());
  const machine::SshFacts before = ssh_->facts();
  for (auto& [kind, facts] : ssh_->look(now, ssh_allowed_)) note(kind, std::move(facts));
  if (!(ssh_->facts() == before)) news_ = true;
}

}  // namespace merlon::agent
