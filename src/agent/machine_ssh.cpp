// Looking, deciding, telling.
#include "agent/machine_ssh.h"

#include "base/log.h"

namespace merlon::agent {
namespace {

// However little was touched: what a file includes from elsewhere is not looked at.
constexpr Duration kAgainEvery{600'000};

}  // namespace

MachineSsh::MachineSsh(SshPlaces places, StateFiles files, const std::string& machine_id)
    : server_(std::move(places)), files_(std::move(files)), file_(server_, files_.path(), machine_id) {
  if (!files_.has(file::kSsh)) return;
  const auto json = files_.read_json(file::kSsh);
  auto kept =
      json ? machine::SshTrust::from_json(*json) : Result<machine::SshTrust>(std::unexpected(json.error()));
  if (kept)
    wanted_ = *std::move(kept);
  else
    log_error("what sshd is to trust is asked for anew", kept.error());
}

MachineSsh::Events MachineSsh::look(Duration now, bool allowed) {
  Events events;
  if (!server_.is_installed()) {
    facts_ = {.host_keys = {}, .trust = std::string(machine::kTrustNoServer), .message = {}};
    return events;
  }
  if (server_.stamp(configuration_) == stamp_ && allowed == allowed_ && now < again_) return events;
  again_ = now + kAgainEvery;
  allowed_ = allowed;
  auto configuration = server_.configuration();
  if (configuration) {
    configuration_ = *std::move(configuration);
    facts_.host_keys = server_.host_keys(configuration_);
    settle(configuration_, allowed, events);
  } else {
    // Somebody is editing it, perhaps. What is known of its keys stays.
    refuse(configuration.error().message, events);
  }
  stamp_ = server_.stamp(configuration_);
  return events;
}

void MachineSsh::settle(const SshConfiguration& configuration, bool allowed, Events& events) {
  if (allowed && !wanted_.empty()) return enforce(configuration, events);
  if (!allowed && (file_.exists() || file_.owes_reload())) {
    if (const auto done = file_.remove(); !done) return refuse(done.error().message, events);
    events.emplace_back("ssh-trust-removed", JsonObject{{"file", file_.path()}});
  }
  facts_.trust = allowed ? machine::kTrustPending : machine::kTrustOff;
  facts_.message.clear();
  if (!allowed && file_.is_in_force(configuration) && file_.is_anothers())
    facts_.message =
        "sshd trusts an authority of Merlon's that an earlier enrolment, or another agent, has put into " +
        file_.path() + ". To end that: merlon agent ssh off";
}

void MachineSsh::enforce(const SshConfiguration& configuration, Events& events) {
  if (const auto obstacle = file_.obstacle(configuration)) {
    if (const auto done = file_.remove(); !done) log_error("sshd's drop-in", done.error());
    return refuse(*obstacle, events);
  }
  const bool was_installed = facts_.trust == machine::kTrustInstalled;
  if (!file_.is_in_place(wanted_.authority) || configuration.authority_file != file_.authority_path()) {
    const auto done = file_.install(wanted_.authority);
    if (!done) return refuse(done.error().message, events);
    facts_.message = *done;
    events.emplace_back("ssh-trust-installed", JsonObject{{"file", file_.path()}, {"again", was_installed}});
  }
  facts_.trust = machine::kTrustInstalled;
}

void MachineSsh::refuse(std::string message, Events& events) {
  const std::string_view trust = allowed_ ? machine::kTrustRefused : machine::kTrustOff;
  const bool is_new = facts_.trust != trust || facts_.message != message;
  facts_.trust = trust;
  facts_.message = std::move(message);
  if (!is_new || !allowed_) return;
  log(LogLevel::warning, "sshd does not trust Merlon's authority", {{"why", facts_.message}});
  events.emplace_back("ssh-trust-refused", JsonObject{{"message", facts_.message}});
}

Result<void> MachineSsh::trust(machine::SshTrust wanted) {
  if (wanted == wanted_) return {};
  TRY(files_.write_json(file::kSsh, wanted.to_json()));
  wanted_ = std::move(wanted);
  stamp_.clear();
  return {};
}

Result<void> MachineSsh::take_down() {
  wanted_ = {};
  if (server_.is_installed()) TRY(file_.remove());
  return files_.remove(file::kSsh);
}

machine::SshFacts ssh_facts() {
  const SshServer server{SshPlaces()};
  machine::SshFacts facts{.host_keys = {}, .trust = std::string(machine::kTrustNoServer), .message = {}};
  if (!server.is_installed()) return facts;
  facts.trust = machine::kTrustOff;
  if (const auto configuration = server.configuration())
    facts.host_keys = server.host_keys(*configuration);
  else
    facts.message = configuration.error().message;
  return facts;
}

}  // namespace merlon::agent
