// This machine's SSH server, as part of what the privileged half keeps; and where the other half may lead to.
#include <algorithm>

#include "agent/facts.h"
#include "agent/warden.h"
#include "base/log.h"
#include "machine/call.h"

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

// To a port that the owner has named, at an address of one of this machine's interfaces as the kernel has
// them: what the server calls an address of this machine may be another one's. Loopback is none. And for a
// server that is where its name leads or its owner has said, so that a stolen one has nobody else knocked at.
Result<JsonObject> Warden::call(const JsonObject& request) {
  const auto wanted = TRY(machine::AgentCall::from_json(request));
  const std::vector<uint16_t>& ports = settings_.cap.carried_ports;
  if (!settings_.cap.allows("carry") || std::ranges::find(ports, wanted.port) == ports.end())
    return fail(ErrorKind::forbidden, "LocalCap",
                "the machine's local cap (local.json) does not let its agent lead to port " +
                    std::to_string(wanted.port) + " (\"carry\" in capabilities, and carried_ports).");
  const auto interfaces = collect_facts().interfaces;
  const bool own = std::ranges::any_of(interfaces, [&](const machine::ReportedInterface& interface) {
    return std::ranges::any_of(interface.addresses,
                               [&](const auto& address) { return address.first == wanted.address; });
  });
  if (!own || wanted.address.is_loopback())
    return fail(ErrorKind::forbidden, "NotOwnAddress",
                wanted.address.text() + " is none of the machine's addresses.");
  if (wanted.server && !platform().contact.holds(wanted.server->address, wanted.server->port))
    return fail(ErrorKind::forbidden, "ServerNotKnown",
                "the machine's local cap (local.json, \"servers\") names no server at " +
                    wanted.server->text() + ", and its server's name does not lead there either.");
  JsonObject facts = {{"port", wanted.port}, {"address", wanted.address.text()}};
  if (wanted.server) facts["server"] = wanted.server->text();
  note("carried", std::move(facts));
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
