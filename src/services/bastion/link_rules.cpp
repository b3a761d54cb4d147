// What shareable links are good for: who may make one, what it gives, and when it stops.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "base/time_text.h"
#include "identity/second_factor_sign_in.h"
#include "identity/sessions.h"
#include "services/bastion/logins.h"
#include "services/bastion/service.h"
#include "services/bastion/tokens.h"

namespace merlon::bastion {
namespace {

using resource::ResourceId;
using resource::WriteContext;

constexpr std::string_view kMakeAction = "Merlon.Bastion/shareableLinks/write";
constexpr std::string_view kDeleteAction = "Merlon.Bastion/shareableLinks/delete";
constexpr size_t kLinksMax = 2000;  // of one bastion
constexpr size_t kForgottenAtOnce = 200;
constexpr Duration kShownAfterEnd = std::chrono::hours(24);

// What its maker may say beyond Azure.
struct Wish {
  Duration lasts = kLinkLife;
  int64_t uses = kLinkUses;
  bool sign_in = false, mfa = false;
  uint16_t port = kSshPort;
  std::string login, justification;
  bool says_something = false;  // then an earlier link of theirs is replaced, not given again
};

Result<Wish> read_wish(const JsonObject& body) {
  Wish wish;
  if (const auto text = string_at(body, "expiresIn")) {
    const auto lasts = from_iso8601_duration(*text);
    if (!lasts || *lasts <= Duration(0) || *lasts > kLinkLifeMax)
      return fail(ErrorKind::invalid, "InvalidRequestContent",
                  "'" + *text + "' is not an ISO 8601 duration of at most P90D, such as PT8H.", "expiresIn");
    wish.lasts = *lasts;
  }
  wish.uses = int_at(body, "maximumUses").value_or(kLinkUses);
  wish.mfa = bool_at(body, "mfaRequired").value_or(false);
  wish.sign_in = wish.mfa || bool_at(body, "signInRequired").value_or(false);
  wish.port = static_cast<uint16_t>(int_at(body, "port").value_or(kSshPort));
  wish.login = string_at(body, "login").value_or("");
  wish.justification = string_at(body, "justification").value_or("");
  for (const std::string_view own :
       {"expiresIn", "maximumUses", "mfaRequired", "signInRequired", "port", "login"})
    wish.says_something = wish.says_something || body.contains(own);
  return wish;
}

JsonObject facts_of(const Link& link) {
  return {{"link", link.id.text()},
          {"bastion", link.bastion_text},
          {"port", link.port},
          {"login", link.login},
          {"maker", link.maker_name},
          {"expires", to_rfc3339(link.expires)},
          {"maximumUses", link.uses_max},
          {"signInRequired", link.sign_in_required},
          {"mfaRequired", link.mfa_required}};
}

Result<void> check_host(const Host& host) {
  if (host.sku < Sku::standard)
    return fail(ErrorKind::invalid, fmt::format("FeatureNotSupportedFor{}BastionSku", sku_text(host.sku)),
                fmt::format("The bastion '{}' has no shareable links: its SKU is {}, and they take Standard "
                            "or Premium.",
                            host.id.name(), sku_text(host.sku)));
  if (host.shareable_link) return {};
  return fail(
      ErrorKind::invalid, "ShareableLinkNotEnabled",
      fmt::format("The bastion '{}' has shareable links switched off. Whoever looks after it can switch "
                  "'enableShareableLink' on.",
                  host.id.name()));
}

bool has_second_factor(const identity::Principal& who) {
  return std::ranges::find(who.amr, identity::kMfa) != who.amr.end();
}

}  // namespace

// As much as going in oneself takes, but for the machine's own door: that is asked when the link is used.
Result<Link> Service::make_link(WriteContext& context, const Host& host, const std::string& machine) {
  const Wish wish = TRY(read_wish(context.call.body));
  const TenantId& tenant = platform_.core.tenant;
  WayIn way;
  way.caller = context.call.principal;
  way.transport = Transport::link;
  way.ends_protocol = true;
  way.target = machine;
  way.bastion = host.id.text();
  way.port = wish.port;
  way.login = wish.login;
  way.justification = wish.justification;
  const auto id = ResourceId::parse(machine);
  if (!id || !ascii_iequal(id->type(), "Microsoft.Compute/virtualMachines"))
    return fail(ErrorKind::invalid, "InvalidTarget",
                "A shareable link leads to a virtual machine. Give its resource id.", "vms");
  const Judged judged = TRY(judge(context, way, false));
  TRY(check_link_login(context.tx, way.caller, way.caller.name, wish.login, judged.target));
  if (!wish.login.empty())
    TRY(require_fresh_login(platform_.core, context.tx, way.caller, wish.login, judged.target.id.text()));
  for (const Link& earlier :
       TRY(store::find<Link>(context.tx, tenant, "place", host.id.key() + "\n" + judged.target.id.key()))) {
    if (earlier.maker != way.caller.object_id) continue;
    if (!wish.says_something && !earlier.is_over(context.call.now) &&
        earlier.stamp == TRY(identity::session_stamp(context.tx, tenant, earlier.maker)))
      return earlier;
    TRY(delete_link(context, earlier, "LinkReplaced"));
  }
  const std::string token = new_token(platform_.core.random);
  Link link;
  link.id = Uuid::generate(platform_.core.random);
  link.digest = token_digest(token);
  link.sealed = platform_.core.seal.seal(link.seal_context(), Secret(token));
  link.bastion = host.id.key();
  link.bastion_text = host.id.text();
  link.target = judged.target.id.key();
  link.target_text = judged.target.id.text();
  link.port = wish.port;
  link.login = wish.login;
  link.maker = way.caller.object_id;
  link.maker_is_person = way.caller.kind == identity::PrincipalKind::user;
  link.maker_name = way.caller.name;
  link.stamp = TRY(identity::session_stamp(context.tx, tenant, link.maker));
  link.created = context.call.now;
  link.expires = context.call.now + wish.lasts;
  link.uses_max = wish.uses;
  link.sign_in_required = wish.sign_in;
  link.mfa_required = wish.mfa;
  link.justification = wish.justification;
  TRY(store::put(context.tx, tenant, link));
  TRY(context.record(kMakeAction, link.target_text, facts_of(link)));
  return link;
}

// What cannot be had for one machine is said beside the links of the others, as Azure does; when there is no
// link at all the first reason is the answer.
Result<JsonArray> Service::make_links(WriteContext& context, const Host& host) {
  TRY(check_host(host));
  context.justification = string_at(context.call.body, "justification").value_or("");
  JsonArray items;
  std::optional<Error> first;
  std::set<std::string> seen;
  size_t made = 0;
  if (TRY(links(context.tx, host.id, {})).size() + array_at(context.call.body, "vms")->size() > kLinksMax)
    return fail(
        ErrorKind::conflict, "TooManyShareableLinks",
        fmt::format("The bastion '{}' has {} links at most. Delete some.", host.id.name(), kLinksMax));
  for (const Json& element : *array_at(context.call.body, "vms")) {
    const std::string machine = string_at(element.as_object(), "vm.id").value_or("");
    if (!seen.insert(ascii_lower(machine)).second) continue;
    const auto link = make_link(context, host, machine);
    if (link) {
      ++made;
      items.push_back(TRY(link_json(host, *link)));
      continue;
    }
    const Error& error = link.error();
    if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable)
      return std::unexpected(error);
    if (!first) first = error;
    items.push_back(JsonObject{{"vm", JsonObject{{"id", machine}}}, {"message", error.message}});
  }
  if (made == 0 && first) return std::unexpected(*first);
  context.details = {{"links", made}};
  return items;
}

Result<std::vector<Link>> Service::links(store::Reader& reader, const ResourceId& bastion,
                                         const std::vector<std::string>& machines) {
  std::vector<Link> found;
  store::Range range{.prefix = bastion.key() + "\n", .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan_index(Link::table(), platform_.core.tenant, "place", range));
    for (const store::IndexedRow& row : rows) {
      Link link = TRY(store::decode<Link>(row.row));
      const bool wanted = machines.empty() || std::ranges::any_of(machines, [&](const std::string& machine) {
                            return ascii_iequal(machine, link.target_text);
                          });
      if (wanted) found.push_back(std::move(link));
    }
    if (rows.size() < range.limit) return found;
    range.after = rows.back().value;
    range.after_key = rows.back().row.key;
  }
}

// The digest is looked up, so that how long it takes tells nothing of the token.
Result<std::optional<Link>> Service::link_by_token(store::Reader& reader, const std::string& token) {
  auto found = TRY(store::find<Link>(reader, platform_.core.tenant, "digest", token_digest(token)));
  if (found.empty()) return std::optional<Link>();
  return std::optional<Link>(std::move(found.front()));
}

// BastionShareableLink (bastionHost.json), and what Azure's do not have.
Result<JsonObject> Service::link_json(const Host& host, const Link& link) {
  const Secret token = TRY(platform_.core.seal.open(link.seal_context(), link.sealed));
  JsonObject json = {{"vm", JsonObject{{"id", link.target_text}}},
                     {"bsl", fmt::format("https://{}{}{}", host.dns_name, kLinkPath, token.expose_text())},
                     {"createdAt", to_rfc3339(link.created)},
                     {"id", link.id.text()},
                     {"createdBy", link.maker_name},
                     {"expiresAt", to_rfc3339(link.expires)},
                     {"port", link.port},
                     {"login", link.login},
                     {"uses", link.uses},
                     {"maximumUses", link.uses_max},
                     {"signInRequired", link.sign_in_required},
                     {"mfaRequired", link.mfa_required}};
  if (link.is_over(platform_.core.clock.now()))
    json["message"] = "The link does not work any more: its time is over, or it is used up.";
  return json;
}

// At once: who is in by it is put out.
Result<void> Service::delete_link(WriteContext& context, const Link& link, std::string_view reason) {
  TRY(store::erase<Link>(context.tx, platform_.core.tenant, link.key()));
  context.tx.urgent();
  for (const Session& session :
       TRY(store::find<Session>(context.tx, platform_.core.tenant, "target", link.target)))
    if (session.link == link.id.text()) TRY(disconnect(context, session.id, "LinkDeleted"));
  JsonObject details = facts_of(link);
  details["reason"] = reason;
  details["uses"] = link.uses;
  return context.record(kDeleteAction, link.target_text, std::move(details));
}

Result<void> Service::delete_links_of(WriteContext& context, std::string_view index, const std::string& value,
                                      std::string_view reason) {
  std::vector<Link> found;
  if (index == "place") {
    const auto bastion = TRY(ResourceId::parse(value.substr(0, value.find('\n'))));
    found = TRY(links(context.tx, bastion, {}));
  } else {
    found = TRY(store::find<Link>(context.tx, platform_.core.tenant, index, value));
  }
  for (const Link& link : found) TRY(delete_link(context, link, reason));
  return {};
}

// In the transaction that admits: what the link was a moment ago does not count.
Result<Link> Service::valid_link(store::Reader& reader, const WayIn& way, Timestamp now) {
  const auto link = TRY(store::get<Link>(reader, platform_.core.tenant, way.link_id));
  if (!link || link->is_over(now)) return link_over();
  const bool fits = way.transport == Transport::link && way.caller.object_id == link->maker &&
                    ascii_iequal(way.target, link->target_text) &&
                    ascii_iequal(way.bastion, link->bastion_text) && way.port == link->port &&
                    (link->login.empty() || way.login == link->login);
  if (!fits) return internal_error("a way in by a link leads elsewhere than the link");
  if (!link->sign_in_required) return *link;
  if (!way.holder || (link->mfa_required && !has_second_factor(*way.holder)))
    return link_needs_sign_in(*link);
  const identity::PastSignIn sign_in{
      .principal = way.holder->object_id,
      .is_person = way.holder->kind == identity::PrincipalKind::user,
      .session_id = way.holder->session_id,
      .stamp = TRY(identity::session_stamp(reader, platform_.core.tenant, way.holder->object_id))};
  if (sign_in.session_id.empty() || !TRY(identity::still_holds(reader, platform_.core.directory, sign_in)))
    return link_needs_sign_in(*link);
  return *link;
}

// The rule of Azure's two rights (docs/decisions/0034), for whoever makes a link: it gives no login that they
// do not have. `caller` may go by another name than theirs.
Result<void> Service::check_link_login(store::Reader& reader, const identity::Principal& caller,
                                       const std::string& name, const std::string& login,
                                       const Target& target) {
  if (login.empty() || TRY(has_data_right(reader, caller, kAdminLogin, target.id.text()))) return {};
  const bool is_own =
      caller.kind == identity::PrincipalKind::user && ascii_iequal(name.substr(0, name.find('@')), login);
  if (is_own && TRY(has_data_right(reader, caller, kUserLogin, target.id.text()))) return {};
  return fail(
      ErrorKind::forbidden, "LoginNotAllowed",
      fmt::format("You may not log in to '{}' as '{}' yourself, so no link of yours does. Ask for the role "
                  "Virtual Machine Administrator Login on it (or Virtual Machine User Login, for the name "
                  "that is your own).",
                  target.id.name(), login),
      "login");
}

Result<void> Service::use_link(WriteContext& context, const Link& link) {
  Link used = link;
  ++used.uses;
  return store::put(context.tx, platform_.core.tenant, used);
}

// They are shown for a day after their time is over.
Result<void> Service::forget_old_links(const grant::Grants::Guard& guard, Timestamp now) {
  const std::string limit = sortable(now - kShownAfterEnd);
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    if (guard) TRY(guard(tx));
    const store::Range oldest{.prefix = {}, .after = {}, .after_key = {}, .limit = kForgottenAtOnce};
    for (const store::IndexedRow& row :
         TRY(tx.scan_index(Link::table(), platform_.core.tenant, "expires", oldest)))
      if (row.value < limit) TRY(tx.erase(Link::table(), platform_.core.tenant, row.row.key));
    return {};
  });
}

}  // namespace merlon::bastion
