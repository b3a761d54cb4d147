// Links as they are stored, and the limit on guessing them.
#include "services/bastion/links.h"

#include "base/time_text.h"
#include "services/bastion/records.h"

namespace merlon::bastion {
namespace {

constexpr unsigned kNetworkOfV6 = 64;
constexpr size_t kAddressesMax = 10'000;

Result<Timestamp> time_at(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("a shareable link has a bad time '" + std::string(key) + "'");
  return *time;
}

IpPrefix counted(const IpAddress& from) {
  return IpPrefix::make(from, from.is_v4() ? from.bits() : kNetworkOfV6).value_or(IpPrefix(from));
}

}  // namespace

const store::TableSpec& Link::table() {
  static const store::TableSpec spec{"bastion_links",
                                     {{"digest", store::Unique::yes},
                                      {"place", store::Unique::no},
                                      {"target", store::Unique::no},
                                      {"expires", store::Unique::no}}};
  return spec;
}

std::vector<std::optional<std::string>> Link::index_values() const {
  return {digest, bastion + "\n" + target, target, sortable(expires)};
}

JsonObject Link::to_json() const {
  return {{"id", id.text()},
          {"digest", digest},
          {"sealed", sealed},
          {"bastion", bastion},
          {"bastionId", bastion_text},
          {"target", target},
          {"targetId", target_text},
          {"port", port},
          {"login", login},
          {"maker", maker.text()},
          {"makerIsPerson", maker_is_person},
          {"makerName", maker_name},
          {"stamp", stamp},
          {"created", to_rfc3339(created)},
          {"expires", to_rfc3339(expires)},
          {"uses", uses},
          {"usesMax", uses_max},
          {"signIn", sign_in_required},
          {"mfa", mfa_required},
          {"justification", justification}};
}

Result<Link> Link::from_json(const JsonObject& json) {
  Link link;
  const auto id = Uuid::parse(TRY(require_string(json, "id")));
  const auto maker = Uuid::parse(TRY(require_string(json, "maker")));
  if (!id || !maker) return internal_error("a shareable link is nobody's");
  link.id = *id;
  link.maker = *maker;
  link.login = string_at(json, "login").value_or("");
  link.digest = TRY(require_string(json, "digest"));
  link.sealed = TRY(require_string(json, "sealed"));
  link.bastion = TRY(require_string(json, "bastion"));
  link.bastion_text = TRY(require_string(json, "bastionId"));
  link.target = TRY(require_string(json, "target"));
  link.target_text = TRY(require_string(json, "targetId"));
  link.port = static_cast<uint16_t>(TRY(require_int(json, "port")));
  link.maker_is_person = bool_at(json, "makerIsPerson").value_or(true);
  link.maker_name = TRY(require_string(json, "makerName"));
  link.stamp = TRY(require_string(json, "stamp"));
  link.created = TRY(time_at(json, "created"));
  link.expires = TRY(time_at(json, "expires"));
  link.uses = TRY(require_int(json, "uses"));
  link.uses_max = TRY(require_int(json, "usesMax"));
  link.sign_in_required = bool_at(json, "signIn").value_or(true);
  link.mfa_required = bool_at(json, "mfa").value_or(true);
  link.justification = string_at(json, "justification").value_or("");
  return link;
}

std::unexpected<Error> link_over() {
  return fail(ErrorKind::forbidden, "LinkNotValid",
              "This link does not work: it has expired, was used up, or was deleted. Ask whoever gave it to "
              "you for another.");
}

std::unexpected<Error> link_needs_sign_in(const Link& link) {
  return fail(ErrorKind::unauthenticated, link.mfa_required ? "LinkNeedsMfa" : "LinkNeedsSignIn",
              link.mfa_required ? "This link is for people who have signed in here with a second factor. "
                                  "Sign in with one, then open it again."
                                : "This link is for people who have signed in here. Sign in, then open it "
                                  "again.");
}

bool GuessLimit::admits(const IpAddress& from, Timestamp now) {
  const std::lock_guard lock(mutex_);
  const auto at = guesses_.find(counted(from));
  if (at == guesses_.end()) return true;
  if (now - at->second.since >= kWithin || now < at->second.since) {
    guesses_.erase(at);
    return true;
  }
  return at->second.count < kGuesses;
}

void GuessLimit::note(const IpAddress& from, Timestamp now) {
  const std::lock_guard lock(mutex_);
  if (guesses_.size() >= kAddressesMax)
    std::erase_if(guesses_, [&](const auto& each) { return now - each.second.since >= kWithin; });
  if (guesses_.size() >= kAddressesMax) guesses_.clear();
  Guesses& guesses = guesses_.try_emplace(counted(from), Guesses{.since = now}).first->second;
  ++guesses.count;
}

}  // namespace merlon::bastion
