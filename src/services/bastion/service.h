// The rules of the bastion.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "services/bastion/api.h"
#include "services/bastion/links.h"
#include "services/bastion/policy.h"
#include "services/bastion/records.h"
#include "services/bastion/tokens.h"

namespace merlon::bastion {

inline constexpr std::string_view kHostRead = "Microsoft.Network/bastionHosts/read";
inline constexpr std::string_view kMachineRead = "Microsoft.Compute/virtualMachines/read";
inline constexpr std::string_view kInterfaceRead = "Microsoft.Network/networkInterfaces/read";
inline constexpr std::string_view kNetworkRead = "Microsoft.Network/virtualNetworks/read";
// No right, since Azure has none beyond reading: what the ledger calls it, and what step-up policies name.
inline constexpr std::string_view kStartAction = "Merlon.Bastion/sessions/start/action";
inline constexpr std::string_view kEndAction = "Merlon.Bastion/sessions/end/action";
// Azure's rights to log in to a machine.
inline constexpr std::string_view kUserLogin = "Microsoft.Compute/virtualMachines/login/action";
inline constexpr std::string_view kAdminLogin = "Microsoft.Compute/virtualMachines/loginAsAdmin/action";
inline constexpr std::string_view kKillAction = "Merlon.Bastion/sessions/disconnect/action";

// An address of a machine, and where it is.
struct Place {
  resource::ResourceId nic;
  IpAddress address;
  std::string network;  // key
};

// What somebody wants to reach.
struct Target {
  resource::ResourceId id;  // the virtual machine, or what IP connect names
  bool is_machine = true;
  std::string system;         // "Linux" or "Windows"; empty when the document does not say
  std::vector<Place> places;  // primary interface first
};

// One admission on its way.
struct Judged {
  Host host;
  Target target;
  Place place;
  IpAddress source;  // this server's, towards the machine; by its agent the machine's own
  bool by_agent = false;
  Limits limits;
  std::optional<jit::PortAccess> opening;
  std::optional<Link> link;
};

class Service final : public Bastion {
 public:
  Service(Platform& platform, compute::Compute& compute, network::Network& network, jit::Jit& jit,
          BastionParameters parameters);

  Result<Admission> admit(const WayIn& way) override;
  Result<void> name_login(const Uuid& session, const std::string& login) override;
  void end_ssh_with(SshEnd end) override { ssh_end_ = std::move(end); }
  Result<void> ended(const Uuid& session, const Ended& how) override;
  void watch(const Uuid& session, std::function<void(const Notice&)> tell) override;
  bool handles(const net::Request& request) const override;
  net::Response handle(const net::Request& request) override;
  std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request) override;
  Result<LinkView> link_of(const net::Request& request) override;
  Result<WayIn> way_by_link(const net::Request& request, std::optional<identity::Principal> holder) override;
  Result<std::string> bastion_at(store::Reader& reader, std::string_view host) override;
  Result<std::vector<Reachable>> reachable(store::Reader& reader, const identity::Principal& caller,
                                           std::string_view bastion_id) override;
  Result<std::optional<JsonObject>> session(store::Reader& reader, const Uuid& id) override;
  Result<bool> disconnect(resource::WriteContext& context, const Uuid& session,
                          std::string_view reason) override;
  Result<void> tick(const grant::Grants::Guard& guard, bool leads) override;
  void stop() override;

  // The same as admit(), within a write of the caller's (gate.cpp); register_session() then makes it count.
  Result<Judged> judge(resource::WriteContext& context, const WayIn& way, bool open);
  Result<Admission> register_session(resource::WriteContext& context, const WayIn& way, const Judged& judged);
  // Runs `work` as the caller, and enters a refusal.
  Result<void> as_caller(const WayIn& way, const std::function<Result<void>(resource::WriteContext&)>& work);

  // Hosts (hosts.cpp).
  Result<JsonObject> put_host(resource::WriteContext& context, const resource::ResourceId& id,
                              const resource::Resource* existing, JsonObject wanted);
  Result<void> remove_host(resource::WriteContext& context, const resource::Resource& existing);
  Result<Host> host(store::Reader& reader, const resource::ResourceId& id);
  Result<std::vector<Host>> hosts(store::Reader& reader);
  // The bastion whose subnet it is, or whose network.
  Result<std::optional<std::string>> user_of(store::Reader& reader, const resource::ResourceId& used);
  Result<std::optional<Host>> host_named(store::Reader& reader, std::string_view name);

  // Session policies (policy_routes.cpp).
  Result<std::vector<SessionPolicy>> policies(store::Reader& reader, const resource::ResourceId& bastion);

  // Shareable links (link_rules.cpp). `machines`: all of the bastion when there are none.
  Result<JsonArray> make_links(resource::WriteContext& context, const Host& host);
  Result<std::vector<Link>> links(store::Reader& reader, const resource::ResourceId& bastion,
                                  const std::vector<std::string>& machines);
  Result<std::optional<Link>> link_by_token(store::Reader& reader, const std::string& token);
  Result<JsonObject> link_json(const Host& host, const Link& link);
  Result<void> delete_link(resource::WriteContext& context, const Link& link, std::string_view reason);
  Result<void> delete_links_of(resource::WriteContext& context, std::string_view index,
                               const std::string& value, std::string_view reason);

  // Sessions (sessions.cpp).
  Result<std::vector<Session>> active_sessions(store::Reader& reader, const resource::ResourceId& bastion);
  Result<void> end_sessions_of(resource::WriteContext& context, std::string_view index,
                               const std::string& value, std::string_view reason);

  // Moderation (moderation.cpp): the caller looks on from now, or no more. Joined again and again, since who
  // is not heard of for some seconds has left.
  Result<JsonObject> moderate(resource::WriteContext& context, const Uuid& session);
  Result<JsonObject> stop_moderating(resource::WriteContext& context, const Uuid& session);

  Platform& platform() { return platform_; }

 private:
  // coverage.cpp
  Result<Target> machine_target(store::Reader& reader, const resource::ResourceId& vm);
  Result<Target> address_target(store::Reader& reader, const Host& host, const resource::ResourceId& id);
  Result<std::set<std::string>> networks_reached(store::Reader& reader, const Host& host);
  Result<std::optional<Place>> place_in_reach(store::Reader& reader, const Host& host, const Target& target);
  Result<bool> may_read(store::Reader& reader, const identity::Principal& caller, std::string_view action,
                        std::string_view scope);
  Result<Target> find_target(store::Reader& reader, const WayIn& way, const std::optional<Host>& host);
  Result<Host> find_host(store::Reader& reader, const WayIn& way, const Target& target);

  // gate.cpp
  Result<void> check_rights(resource::WriteContext& context, const Judged& judged);
  Result<void> check_sign_in(resource::WriteContext& context, const WayIn& way, const Judged& judged);
  Result<bool> goes_by_agent(store::Reader& reader, const Judged& judged);
  Result<int> reach_by_agent(const Admission& admission);
  Result<void> check_room(store::Reader& reader, const Judged& judged, const WayIn& way);
  Result<Limits> limits_of(resource::WriteContext& context, const WayIn& way, const Judged& judged);
  Result<void> check_reach(store::Reader& reader, const Judged& judged);
  Result<bool> is_of_another(store::Reader& reader, const Judged& judged);
  Result<void> open_way(resource::WriteContext& context, const WayIn& way, Judged& judged);
  Result<void> enter_refusal(const WayIn& way, const Error& error);
  Result<Session> session_of(resource::WriteContext& context, const WayIn& way, const Judged& judged);
  Result<bool> may_log_in_still(store::Reader& reader, const identity::Principal& caller,
                                const Session& session);
  Result<bool> has_data_right(store::Reader& reader, const identity::Principal& caller,
                              std::string_view action, std::string_view scope);

  // policy_standing.cpp: the policies of now, for sessions of before.
  struct Look {  // what one look at all of them has read already, by the bastion's id
    std::map<std::string, Host> hosts{};
    std::map<std::string, std::vector<SessionPolicy>> policies{};
  };
  struct Standing {
    std::optional<Notice> end{};  // it could not begin like this any more
    std::optional<Timestamp> lasts_until{};
    bool keeps_after_grant = true;
  };
  // Those of `all` that concern who comes in.
  Result<std::vector<SessionPolicy>> concerning(store::Reader& reader, const std::vector<SessionPolicy>& all,
                                                const WayIn& way, const Host& host,
                                                const resource::ResourceId& target);
  Result<Standing> standing_of(store::Reader& reader, const Session& session, Look& look);

  // plane.cpp
  Result<std::string> plane_host(const net::Request& request);
  Result<JsonObject> give_tokens(const net::Request& request);
  Result<void> keep_token(resource::WriteContext& context, const TunnelToken& token);
  Result<void> forget_token(const net::Request& request, const std::string& token);
  Result<std::string> connection_host(const net::Request& request);
  Result<WayIn> asked_way(store::Reader& reader, const net::Request& request, const std::string& access_token,
                          const std::string& target, const std::string& port);
  bool ends_ssh(store::Reader& reader, const WayIn& way);
  struct Redemption {
    std::string bastion, token;
    IpAddress peer;
    bool is_for_gateway = false;
    // Before anything counts.
    std::function<Result<void>(const TunnelToken&, const Judged&)> check{};
  };
  Result<net::TunnelPlan> redeem(const Redemption& redemption);
  Result<bool> was_told_to_end(store::Reader& reader, const TunnelToken& token);
  net::TunnelPlan plan_for(const Admission& admission, bool opened_now);

  // rdp_routes.cpp
  Result<std::string> rdp_file(const net::Request& request);
  net::TunnelPlan gateway(const net::Request& request, const std::string& bastion);

  // link_rules.cpp
  Result<Link> make_link(resource::WriteContext& context, const Host& host, const std::string& machine);
  Result<Link> valid_link(store::Reader& reader, const WayIn& way, Timestamp now);
  Result<void> check_link_login(store::Reader& reader, const identity::Principal& caller,
                                const std::string& name, const std::string& login, const Target& target);
  Result<void> use_link(resource::WriteContext& context, const Link& link);
  Result<void> forget_old_links(const grant::Grants::Guard& guard, Timestamp now);

  // link_door.cpp
  Result<Link> presented_link(const net::Request& request);
  Result<net::Response> open_link(const net::Request& request);

  // sessions.cpp
  struct Live {
    std::function<void(const Notice&)> tell;
    std::vector<Notice> waiting;  // until somebody watches
    bool warned = false;
    bool told_end = false;
    bool held = false;  // nothing passes: there is no moderator
    Timestamp held_since{};
  };
  Result<void> end_session(resource::WriteContext& context, const Session& session, const Ended& how);
  // `look`: rights and policies are asked anew; nullptr: only what is over is said.
  Result<std::optional<Notice>> verdict_on(store::Reader& reader, const Session& session, Timestamp now,
                                           Look* look);
  Result<std::optional<Notice>> rights_gone(store::Reader& reader, const Session& session);
  Result<std::vector<Notice>> judge_own(store::Reader& reader, const Uuid& id, Timestamp now, Look* look);
  std::optional<Notice> not_judged(const Uuid& id, const Error& error, Timestamp now);
  Result<void> look_at_own(Timestamp now);
  std::optional<Notice> moderation_of(const Session& session, Timestamp now);  // moderation.cpp
  void write_unwritten();
  Result<void> beat(Timestamp now);
  Result<void> reap(const grant::Grants::Guard& guard, Timestamp now);
  Result<void> forget_old(const grant::Grants::Guard& guard, Timestamp now);
  void notify(const Uuid& session, const Notice& notice);
  void forget(const Uuid& session);
  std::vector<Uuid> live_ids() const;

  Platform& platform_;
  compute::Compute& compute_;
  network::Network& network_;
  jit::Jit& jit_;
  const BastionParameters parameters_;
  const std::string server_;  // this process
  SshEnd ssh_end_;
  GuessLimit guesses_;
  mutable std::mutex mutex_;
  std::map<Uuid, Live> live_;
  std::map<Uuid, Ended> unwritten_;  // ended, but the store could not be written; tried again
  // Of the timer's thread alone.
  Timestamp beaten_{}, looked_{}, examined_{}, reaped_{}, trimmed_{};
  Timestamp next_due_{};
  uint64_t commits_seen_ = 0;
  std::map<Uuid, Timestamp> unjudged_;  // since when nothing can be said of them
};

JsonObject session_json(const Session& session, Timestamp now);  // Merlon's own view

}  // namespace merlon::bastion
