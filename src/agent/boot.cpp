// merlon agent release and restore: what local root does without a server, a network or a running agent.
#include "agent/boot.h"

#include <unistd.h>

#include <cstdlib>

#include "agent/agent.h"
#include "agent/facts.h"
#include "agent/local_cap.h"
#include "agent/privileges.h"
#include "base/log.h"

namespace merlon::agent {
namespace {

Result<void> require_root() {
  if (::geteuid() == 0) return {};
  return fail(ErrorKind::forbidden, "NotRoot",
              "Changing this machine's firewall needs root. Run it with sudo.");
}

// What openings of this boot have let in must not come back while nobody keeps the book.
uint32_t marks_in_use(const StateFiles& files, const std::string& boot, uint32_t mask) {
  if (!files.has(file::kOpenings)) return 0;
  std::vector<BookNews> news;
  const auto json = files.read_json(file::kOpenings);
  const auto book =
      json ? OpeningsBook::from_json(*json, boot, news) : Result<OpeningsBook>(std::unexpected(json.error()));
  return book ? book->mark_mask() : mask;
}

Platform boot_platform(const StateFiles& files, const KeptRules& kept, const Boot& boot) {
  Platform platform;
  const auto cap_json = files.read_json(file::kLocalCap);
  const auto cap =
      cap_json ? LocalCap::from_json(*cap_json) : Result<LocalCap>(std::unexpected(cap_json.error()));
  // Without a readable file no interface is taken for an inner one.
  if (cap) platform.internal_interfaces = cap->internal_interfaces;
  platform.mark_mask = marks_in_use(files, boot.id, cap ? cap->mark_mask : LocalCap().mark_mask);
  platform.uplinks = kept.uplinks;
  platform.resolvers = boot.resolvers;
  if (const auto enrolment = read_enrolment(files)) {
    platform.contact = {kept.server_addresses, enrolment->port_number(), boot.agent_uid, {}};
    if (cap) platform.contact.others = cap->servers;
    if (const auto address = IpAddress::parse(enrolment->host)) platform.contact.addresses = {*address};
  }
  return platform;
}

KeptRules kept_rules(const StateFiles& files) {
  const auto json = files.read_json(file::kRules);
  auto kept = json ? KeptRules::from_json(*json) : Result<KeptRules>(std::unexpected(json.error()));
  if (kept) return *std::move(kept);
  log_error("the kept rules cannot be read: only what the platform needs passes", kept.error());
  return {.state = closed_state(), .server_addresses = {}, .uplinks = {}};
}

}  // namespace

Result<bool> ends_release(const StateFiles& files, const std::string& boot_id) {
  if (!files.has(file::kEnrolment)) {
    log(LogLevel::info, "this machine is not enrolled: its firewall is left as it is");
    return false;
  }
  if (!files.has(file::kReleased)) return true;
  const auto json = files.read_json(file::kReleased);
  const auto mark = json ? ReleaseMark::from_json(*json) : Result<ReleaseMark>(std::unexpected(json.error()));
  if (mark && mark->boot_id != boot_id) {
    log(LogLevel::warning,
        "this machine was released before it started: it stays open; 'merlon agent restore' again protects "
        "it");
    // From now on it is a release of this boot, which restore by hand ends.
    JsonObject moved = *json;
    moved["bootId"] = boot_id;
    TRY(files.write_json(file::kReleased, moved));
    return false;
  }
  TRY(files.remove(file::kReleased));
  return true;
}

Result<void> release_on(const StateFiles& files, const ReleaseMark& mark, Firewall& firewall) {
  // The mark first: a running agent would repair the table that is about to go.
  TRY(files.write_json(file::kReleased, mark.to_json()));
  return firewall.remove();
}

Result<void> restore_on(const StateFiles& files, const Boot& boot, Firewall& firewall) {
  const KeptRules kept = kept_rules(files);
  const Platform platform = boot_platform(files, kept, boot);
  const auto done = firewall.begin(kept.state, platform, {});
  if (done) return {};
  log_error("the kept rules could not be loaded: only what the platform needs passes", done.error());
  return firewall.begin(closed_state(), platform, {});
}

Result<void> release(const std::string& state_dir) {
  TRY(require_root());
  const StateFiles files = TRY(StateFiles::open(state_dir));
  const SystemClock clock;
  ReleaseMark mark;
  const char* user = std::getenv("SUDO_USER");
  mark.user = std::string(user == nullptr ? "root" : user).substr(0, 64);
  mark.boot_id = TRY(boot_id());
  mark.time = clock.now();
  Firewall firewall = TRY(Firewall::open(clock));
  return release_on(files, mark, firewall);
}

Result<void> restore(const std::string& state_dir) {
  TRY(require_root());
  StateFiles files = TRY(StateFiles::open(state_dir));
  const bool enrolled = files.has(file::kEnrolment);
  const Boot boot{.id = enrolled ? TRY(boot_id()) : std::string(),
                  .resolvers = configured_resolvers(),
                  .agent_uid = unprivileged_account().uid};
  if (!TRY(ends_release(files, boot.id))) return {};
  // A running agent sees that the mark is gone and does the rest; it also knows what is open.
  if (!TRY(files.take_lock())) return {};
  const SystemClock clock;
  Firewall firewall = TRY(Firewall::open(clock));
  return restore_on(files, boot, firewall);
}

}  // namespace merlon::agent
