// Shareable links: a way in to one machine for whoever has the link, by the right of whoever made it. Azure's
// links last until somebody deletes them; these end by themselves, are good for so many sessions, may ask
// their holder to sign in, and stop when their maker could not go in any more (docs/decisions/0044).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "services/bastion/api.h"
#include "services/bastion/model.h"
#include "store/table.h"

namespace merlon::bastion {

inline constexpr Duration kLinkLife = std::chrono::hours(24);  // unless its maker says otherwise
inline constexpr Duration kLinkLifeMax = std::chrono::hours(24 * 90);
inline constexpr int64_t kLinkUses = 20;
inline constexpr int64_t kLinkUsesMax = 1000;
inline constexpr std::string_view kLinkPath = "/api/shareable-url/";
inline constexpr std::string_view kLinkUseAction = "Merlon.Bastion/shareableLinks/use/action";

struct Link {
  Uuid id;
  std::string digest;  // of the token: SHA-256, hex
  std::string sealed;  // the token, since Azure's list shows the whole link again
  std::string bastion, bastion_text;
  std::string target, target_text;
  uint16_t port = kSshPort;
  std::string login;  // the one that it is for; empty: it gives no certificate for any
  // Whose right it is, and the stamp of their sign-ins at that time: ending all of them ends their links.
  Uuid maker;
  bool maker_is_person = true;
  std::string maker_name, stamp;
  Timestamp created, expires;
  int64_t uses = 0, uses_max = kLinkUses;
  bool sign_in_required = false, mfa_required = false;
  std::string justification;

  // Indexes: digest (unique), place (bastion, '\n', target), target, expires.
  static const store::TableSpec& table();
  std::string key() const { return id.text(); }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Link> from_json(const JsonObject& json);

  std::string seal_context() const { return "bastion_links/" + id.text() + "/token"; }
  bool is_over(Timestamp now) const { return now >= expires || uses >= uses_max; }
};

// The refusals that its holder reads.
std::unexpected<Error> link_over();
std::unexpected<Error> link_needs_sign_in(const Link& link);

// Who tries links from one address (one /64 of IPv6) that do not exist is made to wait. Each server counts
// for itself: 256 bits are not found by guessing, and this keeps the ledger and the store from the noise.
class GuessLimit {
 public:
  static constexpr size_t kGuesses = 20;
  static constexpr Duration kWithin = std::chrono::minutes(10);
  bool admits(const IpAddress& from, Timestamp now);
  void note(const IpAddress& from, Timestamp now);

 private:
  struct Guesses {
    Timestamp since;
    size_t count = 0;
  };
  std::mutex mutex_;
  std::map<IpPrefix, Guesses> guesses_;
};

}  // namespace merlon::bastion
