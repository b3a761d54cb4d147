// Session policies: what a bastion asks of those who come through it, beyond Azure's own words. An extension
// of the bastion, {bastion}/providers/Merlon.Bastion/sessionPolicies/{name}. A policy gives no right: it
// limits those whom it concerns (everyone, some people and groups, or whoever holds a role), and where
// several concern somebody each counts, so the strictest wins.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/bastion/model.h"
#include "services/bastion/records.h"

namespace merlon::bastion {

enum class ReachBy : uint8_t { automatic, direct, agent };  // how the bastion comes to the machine

struct SessionPolicy {
  std::string id, name;
  // Whom and what it concerns; an empty list leaves nobody and nothing out.
  std::vector<Uuid> principals;  // people, groups, service principals
  std::vector<Uuid> roles;       // of the caller at the bastion or the machine
  std::vector<std::string> concerned_machines;
  std::vector<Protocol> protocols;
  // What it limits.
  std::optional<std::vector<std::string>> machines;  // ids of machines, groups or subscriptions
  std::optional<std::vector<std::string>> logins;  // "{user}" is what stands before the @ in a person's name
  std::vector<IpPrefix> sources;                   // none: from everywhere
  Channels channels;
  std::optional<Duration> idle_max, lasts_max, mfa_within;
  std::optional<bool> keeps_after_grant;
  std::optional<Recording> recording;
  std::optional<Duration> kept;  // a recording, after the session's end
  std::optional<Moderation> moderation;
  ReachBy reach = ReachBy::automatic;
  bool private_only = false;
  bool justification_required = false;
};

schema::Shape policy_shape();
// `properties` have passed the shape. Errors name the field.
Result<SessionPolicy> read_policy(const resource::ResourceId& bastion, const std::string& name,
                                  const JsonObject& properties);
std::string policy_id(const resource::ResourceId& bastion, std::string_view name);

// What is known of the caller when policies are asked.
struct Concerned {
  std::vector<Uuid> principals;  // the caller and their groups
  std::set<Uuid> roles;
  resource::ResourceId target;
};
// A way that nobody looks into may be SSH, and is treated as such, unless it leads to Remote Desktop's own
// port.
bool concerns(const SessionPolicy& policy, const Concerned& who, const WayIn& way);
// It limits what only whoever ends the protocol can see: logins and channels.
bool limits_inside(const SessionPolicy& policy);
// For a sentence: a policy may name a hundred.
std::string some_of(const std::vector<std::string>& names);

// All policies that concern a way in, taken together.
struct Limits {
  std::optional<std::vector<std::string>> logins;  // of the caller, {user} replaced
  Channels channels;
  std::optional<Duration> idle_max, lasts_max;
  bool keeps_after_grant = false;
  Recording recording = Recording::off;
  std::optional<Duration> kept;  // the longest that one names; none: until somebody deletes it
  std::optional<Moderation> moderation;
  ReachBy reach = ReachBy::automatic;  // agent where one says so, else direct where one does
};
// Refuses what the policies do not let through (`forbidden`); how fresh the sign-in is, the caller asks.
Result<Limits> apply(const std::vector<SessionPolicy>& policies, const Host& host, const WayIn& way,
                     const resource::ResourceId& target);

}  // namespace merlon::bastion
