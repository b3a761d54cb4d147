// Session policies: their shape, whom they concern, and what they come to together.
#include "services/bastion/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "net/fetch.h"

namespace merlon::bastion {
namespace {

using resource::ResourceId;
using schema::array_of;
using schema::boolean;
using schema::object;
using schema::optional;
using schema::required;
using schema::Shape;
using schema::text;
using schema::text_of;

constexpr int64_t kListMax = 100;

Shape texts(const std::string& what) {
  return array_of(text().with_range(1, 1024)).with_range(0, kListMax).describe(what);
}

std::optional<std::string> check_prefix(std::string_view value) {
  if (IpPrefix::parse(value)) return std::nullopt;
  return "is not an IP address or a CIDR prefix";
}

std::unexpected<Error> bad(std::string message, std::string target) {
  return fail(ErrorKind::invalid, "InvalidRequestContent", std::move(message), std::move(target));
}

std::vector<std::string> texts_at(const JsonObject& json, std::string_view path) {
  std::vector<std::string> found;
  if (const JsonArray* array = array_at(json, path))
    for (const Json& element : *array) found.emplace_back(element.as_string());
  return found;
}

Result<std::vector<Uuid>> ids_at(const JsonObject& json, std::string_view path) {
  std::vector<Uuid> ids;
  for (const std::string& value : texts_at(json, path)) {
    const auto id = Uuid::parse(value.substr(value.rfind('/') + 1));
    if (!id) return bad("'" + value + "' is not an object id.", "properties." + std::string(path));
    ids.push_back(*id);
  }
  return ids;
}

// Lower case, each the id of a machine or of a scope around machines.
Result<std::vector<std::string>> scopes_at(const JsonObject& json, std::string_view path) {
  std::vector<std::string> scopes;
  for (const std::string& value : texts_at(json, path)) {
    const auto id = ResourceId::parse(value);
    if (!id)
      return bad("'" + value + "' is not the id of a virtual machine, resource group or subscription.",
                 "properties." + std::string(path));
    scopes.push_back(id->key());
  }
  return scopes;
}

Result<std::optional<Duration>> duration_at(const JsonObject& json, std::string_view name) {
  const auto value = string_at(json, name);
  if (!value) return std::optional<Duration>();
  const auto duration = from_iso8601_duration(*value);
  if (!duration || duration->count() <= 0)
    return bad("'" + *value + "' is not an ISO 8601 duration such as PT15M.",
               "properties." + std::string(name));
  return duration;
}

bool is_in_any(const ResourceId& target, const std::vector<std::string>& scopes) {
  return std::ranges::any_of(scopes, [&](const std::string& scope) { return target.is_within(scope); });
}

// By a link nobody logs in as themselves, and what a program is called its owners write as they like.
std::vector<std::string> logins_for(const std::vector<std::string>& patterns, const WayIn& way) {
  std::vector<std::string> logins;
  for (const std::string& pattern : patterns) {
    const bool is_own = way.transport != Transport::link && way.caller.kind == identity::PrincipalKind::user;
    if (pattern == "{user}" && !is_own) continue;
    const std::string& name = way.caller.name;
    logins.push_back(pattern == "{user}" ? name.substr(0, name.find('@')) : pattern);
  }
  return logins;
}

void tighten(std::optional<std::vector<std::string>>& limit, const std::vector<std::string>& other) {
  if (limit) {
    std::erase_if(*limit,
                  [&](const std::string& login) { return std::ranges::find(other, login) == other.end(); });
  } else {
    limit = other;
  }
}

void tighten(std::optional<Duration>& limit, const std::optional<Duration>& other) {
  if (other && (!limit || *other < *limit)) limit = other;
}

void tighten(Channels& channels, const Channels& other) {
  channels.shell = channels.shell && other.shell;
  channels.commands = channels.commands && other.commands;
  channels.forwarding = channels.forwarding && other.forwarding;
  channels.upload = channels.upload && other.upload;
  channels.download = channels.download && other.download;
  channels.clipboard = channels.clipboard && other.clipboard;
}

std::unexpected<Error> refused(const SessionPolicy& policy, std::string_view what) {
  return fail(ErrorKind::forbidden, "SessionPolicyViolation",
              fmt::format("The session policy '{}' of the bastion {}", policy.name, what), policy.id);
}

// An sshd listens wherever its owner wants: only where Remote Desktop is at home is nobody thought to speak
// SSH, whatever they call what they ask for.
bool may_hold_ssh(const WayIn& way) {
  return way.ends_protocol ? way.protocol == Protocol::ssh : way.port != kRdpPort;
}

Result<void> check(const SessionPolicy& policy, const WayIn& way, const ResourceId& target) {
  if (policy.machines && !is_in_any(target, *policy.machines))
    return refused(policy, fmt::format("does not let you reach '{}'. Ask whoever looks after the bastion.",
                                       target.name()));
  const IpAddress& address = way.caller.address;
  if (!policy.sources.empty() &&
      std::ranges::none_of(policy.sources, [&](const IpPrefix& prefix) { return prefix.contains(address); }))
    return refused(policy, fmt::format("does not let anybody in from {}. Connect from a network that it "
                                       "names.",
                                       address.text()));
  if (policy.private_only && net::is_public_address(address))
    return refused(
        policy, fmt::format("lets nobody in from a public address, and you come from {}.", address.text()));
  if (may_hold_ssh(way) && !way.ends_protocol && limits_inside(policy))
    return refused(policy,
                   "limits logins or channels, which cannot be seen inside an opaque tunnel. Connect "
                   "with plain ssh through the bastion.");
  // One that is not known yet is asked about later (Bastion::name_login).
  const auto logins = policy.logins ? logins_for(*policy.logins, way) : std::vector<std::string>();
  if (policy.logins && !way.login.empty() && std::ranges::find(logins, way.login) == logins.end())
    return refused(policy,
                   fmt::format("does not let you log in as '{}'. It names: {}.", way.login, some_of(logins)));
  if (policy.justification_required && trim(way.justification).empty())
    return refused(policy, "asks for a reason. Say why you need access (--justification).");
  return {};
}

Result<Recording> recording_of_all(const std::vector<SessionPolicy>& policies, const Host& host,
                                   const WayIn& way) {
  if (!host.recording) return Recording::off;
  std::optional<Recording> strictest;
  for (const SessionPolicy& policy : policies)
    if (policy.recording) strictest = std::max(strictest.value_or(Recording::off), *policy.recording);
  const Recording recording = strictest.value_or(Recording::require);
  if (recording == Recording::require && !way.ends_protocol)
    return fail(
        ErrorKind::forbidden, "SessionRecordingRequired",
        fmt::format("The bastion '{}' records every session, and what an opaque tunnel carries cannot "
                    "be recorded. Connect with plain ssh through the bastion, or from the browser.",
                    host.id.name()));
  return recording;
}

// Whoever moderates looks at what is recorded, so that nothing passes that they cannot see.
Result<void> check_moderation(const Host& host, const WayIn& way, Limits& limits) {
  if (!way.can_hold)
    return fail(
        ErrorKind::forbidden, "ModeratorRequired",
        fmt::format("Sessions through the bastion '{}' need a moderator who looks on, and this way in "
                    "cannot wait for one. Connect with plain ssh through the bastion.",
                    host.id.name()));
  if (!host.recording)
    return fail(ErrorKind::forbidden, "ModerationNeedsRecording",
                fmt::format("A session policy wants a moderator to look on, and the bastion '{}' records no "
                            "sessions, so there is nothing to look at. Whoever looks after it can switch "
                            "'enableSessionRecording' on (Premium).",
                            host.id.name()));
  limits.recording = Recording::require;
  return {};
}

}  // namespace

Shape policy_shape() {
  const auto concerned = object(
      {optional("principalIds", texts("users, groups and service principals; everyone when empty")),
       optional("roleDefinitionIds", texts("whoever holds one of these roles at the bastion or the machine")),
       optional("virtualMachineIds", texts("machines, or the groups and subscriptions that they are in")),
       optional("protocols", array_of(text_of({"SSH", "RDP", "TCP"})))});
  const auto channels = object({optional("shell", boolean()), optional("commands", boolean()),
                                optional("forwarding", boolean()), optional("upload", boolean()),
                                optional("download", boolean()), optional("clipboard", boolean())});
  return object({required(
      "properties",
      object(
          {optional("description", text().with_range(0, 1024)),
           optional("appliesTo", concerned.describe("whom and what the policy concerns")),
           optional("virtualMachineIds", texts("the only machines, groups or subscriptions to be reached")),
           optional("logins", texts("the only logins; {user} is the caller's own name")),
           optional("channels", channels.describe("what may go through; true when absent")),
           optional("idleTimeout", text().describe("ISO 8601, without a byte either way")),
           optional("maximumTime", text().describe("ISO 8601, of a session")),
           optional("atGrantEnd", text_of({"cut", "keep"})),
           optional("mfaWithin", text().describe("ISO 8601, age of the sign-in with a second factor")),
           optional("sourceNetworks", array_of(text().with_check(check_prefix)).with_range(0, kListMax)),
           optional("recording", text_of({"require", "bestEffort"})), optional("privateOnly", boolean()),
           optional("recordingRetention",
                    text().describe("ISO 8601, after the session's end; for ever when absent")),
           optional("moderation", text_of({"pause", "end"})
                                      .describe("a moderator must be there; what happens when they leave")),
           optional("reach",
                    text_of({"direct", "agent"})
                        .describe("whether the bastion connects by itself, or the machine's agent leads it "
                                  "there; by itself where it can when absent")),
           optional("justificationRequired", boolean())}))});
}

std::string policy_id(const ResourceId& bastion, std::string_view name) {
  return bastion.text() + "/providers/Merlon.Bastion/sessionPolicies/" + std::string(name);
}

Result<SessionPolicy> read_policy(const ResourceId& bastion, const std::string& name,
                                  const JsonObject& properties) {
  SessionPolicy policy;
  policy.id = policy_id(bastion, name);
  policy.name = name;
  policy.principals = TRY(ids_at(properties, "appliesTo.principalIds"));
  policy.roles = TRY(ids_at(properties, "appliesTo.roleDefinitionIds"));
  policy.concerned_machines = TRY(scopes_at(properties, "appliesTo.virtualMachineIds"));
  for (const std::string& protocol : texts_at(properties, "appliesTo.protocols"))
    if (const auto known = protocol_of(protocol)) policy.protocols.push_back(*known);
  if (properties.contains("virtualMachineIds"))
    policy.machines = TRY(scopes_at(properties, "virtualMachineIds"));
  if (properties.contains("logins")) policy.logins = texts_at(properties, "logins");
  if (const JsonObject* channels = object_at(properties, "channels"))
    policy.channels = Channels::from_json(*channels);
  policy.idle_max = TRY(duration_at(properties, "idleTimeout"));
  policy.lasts_max = TRY(duration_at(properties, "maximumTime"));
  policy.mfa_within = TRY(duration_at(properties, "mfaWithin"));
  if (const auto at_end = string_at(properties, "atGrantEnd")) policy.keeps_after_grant = *at_end == "keep";
  for (const std::string& source : texts_at(properties, "sourceNetworks"))
    if (const auto prefix = IpPrefix::parse(source)) policy.sources.push_back(*prefix);
  if (const auto recording = string_at(properties, "recording")) policy.recording = recording_of(*recording);
  policy.kept = TRY(duration_at(properties, "recordingRetention"));
  if (const auto moderation = string_at(properties, "moderation"))
    policy.moderation = *moderation == "end" ? Moderation::end : Moderation::pause;
  if (const auto reach = string_at(properties, "reach"))
    policy.reach = *reach == "agent" ? ReachBy::agent : ReachBy::direct;
  policy.private_only = bool_at(properties, "privateOnly").value_or(false);
  policy.justification_required = bool_at(properties, "justificationRequired").value_or(false);
  return policy;
}

bool limits_inside(const SessionPolicy& policy) { return policy.logins || policy.channels != Channels(); }

std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  if (names.size() <= kShown) return join(names, ", ");
  return fmt::format("{} and {} more", join({names.begin(), names.begin() + kShown}, ", "),
                     names.size() - kShown);
}

bool concerns(const SessionPolicy& policy, const Concerned& who, const WayIn& way) {
  const auto names = [&](Protocol protocol) {
    return std::ranges::find(policy.protocols, protocol) != policy.protocols.end();
  };
  if (!policy.protocols.empty() && !names(way.protocol) && !(may_hold_ssh(way) && names(Protocol::ssh)))
    return false;
  if (!policy.concerned_machines.empty() && !is_in_any(who.target, policy.concerned_machines)) return false;
  if (policy.principals.empty() && policy.roles.empty()) return true;
  const bool named = std::ranges::any_of(policy.principals, [&](const Uuid& id) {
    return std::ranges::find(who.principals, id) != who.principals.end();
  });
  return named ||
         std::ranges::any_of(policy.roles, [&](const Uuid& role) { return who.roles.contains(role); });
}

Result<Limits> apply(const std::vector<SessionPolicy>& policies, const Host& host, const WayIn& way,
                     const ResourceId& target) {
  Limits limits;
  size_t keep = 0, cut = 0;
  for (const SessionPolicy& policy : policies) {
    TRY(check(policy, way, target));
    if (policy.logins) tighten(limits.logins, logins_for(*policy.logins, way));
    tighten(limits.channels, policy.channels);
    tighten(limits.idle_max, policy.idle_max);
    tighten(limits.lasts_max, policy.lasts_max);
    if (policy.kept) limits.kept = std::max(limits.kept.value_or(*policy.kept), *policy.kept);
    if (policy.moderation)
      limits.moderation = std::max(limits.moderation.value_or(*policy.moderation), *policy.moderation);
    limits.reach = std::max(limits.reach, policy.reach);
    if (policy.keeps_after_grant) ++(*policy.keeps_after_grant ? keep : cut);
  }
  limits.keeps_after_grant = keep > 0 && cut == 0;
  limits.recording = TRY(recording_of_all(policies, host, way));
  if (limits.moderation) TRY(check_moderation(host, way, limits));
  if (!host.copy_paste) limits.channels.clipboard = false;
  if (!host.file_copy) limits.channels.upload = limits.channels.download = false;
  return limits;
}

}  // namespace merlon::bastion
