// Which openings this machine has let in, until when, and which have ended. The privileged process keeps it,
// and judges here what the other one asks for: within the local cap, and never longer without a newer
// version than what the first order said that remained at the most.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/firewall_openings.h"
#include "agent/local_cap.h"
#include "machine/messages.h"

namespace merlon::agent {

// An opening as the state names it, with what remains of it, computed from the server's time, rounded down:
// so much surely, and so much at the most, since of that time only bounds are known.
struct OpeningOrder {
  machine::Opening opening;
  Duration remaining{};
  Duration remaining_most{};  // less than `remaining` counts as that
  JsonObject to_json() const;
  static Result<OpeningOrder> from_json(const JsonObject& json);
};

struct BookNews {
  std::string kind;  // "opened", "closed", "refused", "suspended", "resumed"
  JsonObject facts;
};

class OpeningsBook {
 public:
  // Takes the openings of one version; those that are not in it any more end now. An older version than the
  // last is refused.
  Result<std::vector<BookNews>> set(const machine::Version& version, const std::vector<OpeningOrder>& orders,
                                    const LocalCap& cap, Duration now);
  // The server was alive until `lease`. Openings that need it live that long, and no longer than their
  // deadline.
  std::vector<BookNews> renew_lease(Duration lease, Duration now);
  // Openings that have just been suspended, since the server has been silent for too long.
  std::vector<BookNews> lapse(Duration now);
  std::optional<Duration> next_lapse() const;
  // Those past their deadline. The caller looks whether the kernel has really ended them, and says so.
  std::vector<LiveOpening> take_expired(Duration now);
  std::vector<LiveOpening> live() const;
  std::vector<std::string> live_ids() const;  // without those that are suspended
  std::optional<Duration> next_deadline() const;
  const machine::Version& version() const { return version_; }
  // The bits that marks of this boot are made of; 0 while none has been given.
  uint32_t mark_mask() const { return last_mark_ == 0 ? 0 : mark_mask_; }
  // Has an opening that cuts, in this boot or kept from it, let this peer in there?
  bool has_cut(const IpAddress& peer, const IpAddress& local, uint16_t port) const;
  // Marks given since the last call: no connection may have them yet.
  std::vector<uint32_t> take_fresh_marks() { return std::exchange(fresh_marks_, {}); }

  // `boot_id` says which boot the deadlines are of. Of another boot nothing is open until the server says so
  // again; what has ended stays ended.
  JsonObject to_json(const std::string& boot_id) const;
  static Result<OpeningsBook> from_json(const JsonObject& json, const std::string& boot_id,
                                        std::vector<BookNews>& news);

 private:
  struct Entry {
    machine::Opening opening;          // with its deadline in server time
    machine::Version version;          // that set it so
    std::optional<Duration> opened{};  // first, in this boot: what the local cap counts from
    Duration deadline{};               // boot time
    // Boot time: its end may turn out to be as late as this, and no later, while its deadline is the same.
    std::optional<Duration> latest{};
    bool open = false;
    bool ended = false;      // as opposed to: not open since the boot, or closed while it may be too soon
    bool suspended = false;  // open, but for a server that is silent
    uint32_t mark = 0;       // of its connections, when they end with it
  };
  void set_one(const machine::Version& version, const OpeningOrder& order, const LocalCap& cap, Duration now,
               std::vector<BookNews>& news);
  void forget_what_ended();
  uint32_t new_mark(const LocalCap& cap);
  LiveOpening live_of(const std::string& id, const Entry& entry) const;
  std::map<std::string, Entry> entries_;
  machine::Version version_;
  Duration lease_{};  // of this process: after a start nobody has been heard yet
  uint32_t last_mark_ = 0, mark_mask_ = 0;
  std::vector<uint32_t> fresh_marks_;
};

}  // namespace merlon::agent
