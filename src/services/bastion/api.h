// The bastion: every way in to a machine, whatever its transport, is admitted, registered and ended here
// (docs/bastion.md). Microsoft.Network/bastionHosts, the sessions through them, and the policies for those.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/platform.h"
#include "net/tunnel.h"
#include "services/bastion/model.h"
#include "services/compute/api.h"
#include "services/jit/api.h"
#include "services/network/api.h"

namespace merlon::bastion {

// Where a browser keeps the shareable link that was opened there.
inline constexpr std::string_view kLinkCookie = "__Host-merlon-link";

// What somebody who holds a shareable link may know of it.
struct LinkView {
  std::string id;
  std::string bastion_id, target_id, target_name;
  uint16_t port = 0;
  std::string login;  // the one that it is for; empty: none, and it opens no terminal
  std::string maker;  // name
  Timestamp expires;
  int64_t uses_left = 0;
  bool sign_in_required = false, mfa_required = false;
};

class Bastion {
 public:
  virtual ~Bastion() = default;

  // Decides and, if the answer is yes, registers: the caller's rights, what the bastion's SKU has, whether it
  // covers the machine, how many sessions run, the session policies, then the machine's just-in-time policy
  // (asked in the caller's name for this server's own address) or its security groups; session record and
  // ledger entry. One transaction: blocks on the store, for a worker thread. Errors are sentences for the
  // person; a step-up error says how fresh the sign-in must be. Whoever is admitted must call ended().
  virtual Result<Admission> admit(const WayIn& way) = 0;
  // The login of a session that was admitted without one: refused when the policies do not name it.
  virtual Result<void> name_login(const Uuid& session, const std::string& login) = 0;
  // Once, from a worker thread; more often does no harm. Closes the opening that was asked for.
  virtual Result<void> ended(const Uuid& session, const Ended& how) = 0;
  // `tell` is called from now on, from the timer's thread, for a session that this server has admitted: it
  // must not block. After a notice of the end the transport closes and calls ended(), which also forgets
  // `tell`. What became due before is told at once.
  virtual void watch(const Uuid& session, std::function<void(const Notice&)> tell) = 0;

  // Who ends SSH inside a native tunnel, so that it can be recorded and limited: answers with a connected
  // stream socket, which then speaks SSH to the person (the caller owns it). Without one such a tunnel is
  // opaque. Set before the first request.
  using SshEnd = std::function<Result<int>(const Admission&)>;
  virtual void end_ssh_with(SshEnd end) = 0;

  // The data plane, https://bst-<guid>.bastion.<domain>: requests, and those for a WebSocket.
  virtual bool handles(const net::Request& request) const = 0;
  virtual net::Response handle(const net::Request& request) = 0;
  virtual std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request) = 0;

  // The shareable link whose cookie (or, at its own address, whose token) the request brings. Errors are
  // sentences for whoever holds it; an unknown one is counted against the address that it comes from.
  virtual Result<LinkView> link_of(const net::Request& request) = 0;
  // The way in that the link of the request is: to be completed with client port (and login, where the link
  // is for none), and admitted, which judges the link anew and uses it up by one. `holder`: who has signed
  // in, if somebody has.
  virtual Result<WayIn> way_by_link(const net::Request& request,
                                    std::optional<identity::Principal> holder) = 0;

  // For the pages at a bastion's own name: which bastion that is (its resource id), and the machines that it
  // serves and that somebody may reach, by name. Forbidden where they may not read the bastion.
  struct Reachable {
    std::string id, name, system;  // of the machine; "Linux", "Windows" or nothing
  };
  virtual Result<std::string> bastion_at(store::Reader& reader, std::string_view host) = 0;
  virtual Result<std::vector<Reachable>> reachable(store::Reader& reader, const identity::Principal& caller,
                                                   std::string_view bastion_id) = 0;

  // A session as it is stored, for recordings and lists; nothing when there is none.
  virtual Result<std::optional<JsonObject>> session(store::Reader& reader, const Uuid& id) = 0;
  // Asks that a session be ended, on whichever server it runs. For `context`'s caller, with no right asked.
  virtual Result<bool> disconnect(resource::WriteContext& context, const Uuid& session,
                                  std::string_view reason) = 0;

  // Several times a second. `guard` as for grants: what one server does for all.
  virtual Result<void> tick(const grant::Grants::Guard& guard, bool leads) = 0;
  // Ends what still runs here: the server stops.
  virtual void stop() = 0;
};

struct BastionParameters {
  // The address that this server's connections to an address come from: a fact of its routes.
  std::function<std::optional<IpAddress>(const IpAddress& target)> source_for;
  bool alone = true;  // no other server uses the store
  // Where the server itself connects to, beyond the addresses that agents are seen at; empty:
  // anywhere. Who describes machines and networks would else have the server connect to whatever it can
  // reach.
  std::vector<IpPrefix> reaches{};
};

std::unique_ptr<Bastion> install(Platform& platform, compute::Compute& compute, network::Network& network,
                                 jit::Jit& jit, BastionParameters parameters);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::bastion
