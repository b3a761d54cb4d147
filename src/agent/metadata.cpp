// What is answered, and to whom. Sources:
// learn.microsoft.com/azure/virtual-machines/instance-metadata-service,
// .../entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
// .../azure-arc/servers/managed-identity-authentication; and what @azure/msal-node sends.
#include "agent/metadata.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

using machine::BoundIdentity;
using machine::IdentityEndpoint;
using net::Request;
using net::Response;

constexpr std::string_view kTokenPath = "/metadata/identity/oauth2/token";
constexpr std::string_view kLinkLocalAddress = "169.254.169.254";
constexpr std::string_view kLoopbackAddress = "127.0.0.1";
constexpr size_t kDoorsMax = machine::kCallerRulesMax;

Response refusal(int status, std::string_view error, std::string description) {
  Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.headers.set("Cache-Control", "no-store");
  response.body = to_text(JsonObject{{"error", error}, {"error_description", std::move(description)}});
  return response;
}

bool is_meant(const net::Door& door, std::string_view address, uint16_t port) {
  return door.meant && door.meant->first.text() == address && door.meant->second == port;
}

// A name that leads here (DNS rebinding), or a proxy that was talked into it, is not somebody who asked for
// us.
bool names_us(const Request& request, bool link_local) {
  const std::string own(link_local ? kLinkLocalAddress : kLoopbackAddress);
  const std::string port = ":" + std::to_string(link_local ? kLinkLocalPort : kArcPort);
  if (request.host == own || request.host == own + port) return true;
  return !link_local && (request.host == "localhost" || request.host == "localhost" + port);
}

std::optional<Response> refuse_forwarded(const Request& request) {
  for (const auto& [name, value] : request.headers.all()) {
    const std::string lower = ascii_lower(name);
    // A browser says Origin, and no program that asks for tokens is one.
    if (lower.starts_with("x-forwarded-") || lower == "forwarded" || lower == "via" || lower == "origin" ||
        lower == "x-real-ip")
      return refusal(400, "bad_request",
                     "The header '" + lower +
                         "' says that the request comes from elsewhere. Only "
                         "programs of this machine are answered, and only themselves.");
  }
  return std::nullopt;
}

bool has_version(const Request& request) {
  const std::string* version = request.query.find("api-version");
  return version != nullptr && !version->empty();
}

// Which of the identities a request names, or the one that is meant when it names none.
struct Selection {
  const BoundIdentity* identity = nullptr;
  std::string problem;
};

Selection select(const std::vector<const BoundIdentity*>& allowed, const Request& request) {
  struct Selector {
    std::string_view parameter;
    std::string BoundIdentity::* member;
  };
  static constexpr Selector kSelectors[] = {{"client_id", &BoundIdentity::client_id},
                                            {"object_id", &BoundIdentity::principal_id},
                                            {"principal_id", &BoundIdentity::principal_id},
                                            {"msi_res_id", &BoundIdentity::resource_id},
                                            {"mi_res_id", &BoundIdentity::resource_id}};
  const Selector* used = nullptr;
  const std::string* wanted = nullptr;
  for (const Selector& selector : kSelectors) {
    const std::string* value = request.query.find(selector.parameter);
    if (value == nullptr || value->empty()) continue;
    if (used != nullptr) return {nullptr, "Name the identity once: by client_id, object_id or msi_res_id."};
    used = &selector;
    wanted = value;
  }
  if (used != nullptr) {
    for (const BoundIdentity* identity : allowed)
      if (ascii_iequal(identity->*(used->member), *wanted)) return {identity, {}};
    return {nullptr, "Identity not found"};
  }
  for (const BoundIdentity* identity : allowed)
    if (identity->own) return {identity, {}};
  if (allowed.size() == 1) return {allowed.front(), {}};
  return {nullptr, allowed.empty() ? "Identity not found"
                                   : "Multiple user assigned identities exist, please specify the clientId / "
                                     "resourceId of the identity in the token request"};
}

std::vector<const BoundIdentity*> identities_for(const IdentityEndpoint& endpoint,
                                                 const machine::CallerRule* rule) {
  std::vector<const BoundIdentity*> allowed;
  for (const BoundIdentity& identity : endpoint.identities)
    if (rule == nullptr || std::ranges::find(rule->client_ids, identity.client_id) != rule->client_ids.end())
      allowed.push_back(&identity);
  return allowed;
}

Response token_response(const TokenCache::Found& found, const BoundIdentity& identity,
                        const std::string& resource) {
  const auto seconds = [](Timestamp time) {
    return std::to_string(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
  };
  const std::string left = std::to_string(std::max<int64_t>(0, found.left.count()));
  Response response;
  response.headers.set("Content-Type", "application/json");
  response.headers.set("Cache-Control", "no-store");
  response.body = to_text(JsonObject{{"access_token", found.answer.token.expose_text()},
                                     {"client_id", identity.client_id},
                                     {"expires_in", left},
                                     {"expires_on", seconds(found.answer.expires)},
                                     {"ext_expires_in", left},
                                     {"not_before", seconds(found.answer.not_before)},
                                     {"resource", resource},
                                     {"token_type", "Bearer"}});
  return response;
}

// Azure's clients wait and try again after either of these.
Response too_many(unsigned seconds) {
  Response response = refusal(429, "too_many_requests",
                              "This caller asks more often than " + std::to_string(RequestRate::kPerSecond) +
                                  " times in a second. Keep the token that you have until it expires.");
  response.headers.set("Retry-After", std::to_string(seconds));
  return response;
}

Response changing() {
  Response response = refusal(503, "changing",
                              "Who may ask for this machine's identities is being changed at this moment. "
                              "Try again.");
  response.headers.set("Retry-After", "1");
  return response;
}

// Python's azure-identity takes exactly 400 for "this identity is not here".
Response of_error(const Error& error) {
  if (error.code == "IdentityNotFound") return refusal(400, "invalid_request", "Identity not found");
  if (error.code == "InvalidResource") return refusal(400, "invalid_resource", error.message);
  if (is_refusal(error)) return refusal(403, "access_denied", error.message);
  log_error("a token for a local program", error);
  Response response = refusal(503, "server_unreachable",
                              "Merlon's server gave no token just now (" + error.code + "). Try again.");
  response.headers.set("Retry-After", "2");
  return response;
}

}  // namespace

JsonObject IdentityDoors::to_json() const {
  JsonArray array;
  for (const IdentityDoor& door : doors)
    array.push_back(JsonObject{{"port", int64_t{door.port}},
                               {"users", JsonArray(door.users.begin(), door.users.end())},
                               {"units", JsonArray(door.units.begin(), door.units.end())}});
  return {{"doors", std::move(array)}, {"linkLocal", link_local}};
}

Result<IdentityDoors> IdentityDoors::from_json(const JsonObject& json) {
  IdentityDoors all;
  for (const JsonObject* object : TRY(machine::objects_field(json, "doors", kDoorsMax)))
    all.doors.push_back({.port = static_cast<uint16_t>(TRY(machine::int_field(*object, "port", 1, 65535))),
                         .users = TRY(machine::texts_field(*object, "users", machine::kCallersMax)),
                         .units = TRY(machine::texts_field(*object, "units", machine::kCallersMax))});
  all.link_local = TRY(machine::bool_field(json, "linkLocal"));
  return all;
}

Metadata::Metadata(TokenSource& source, const Clock& clock, Random& random, std::string boot_id,
                   std::string challenge_directory)
    : cache_(source, clock),
      rate_(clock),
      boot_id_(std::move(boot_id)),
      challenges_(std::move(challenge_directory), clock, random) {}

void Metadata::follow(const IdentityEndpoint& endpoint, std::map<uint16_t, std::string> callers,
                      std::set<uint16_t> leaving) {
  auto changed = std::make_shared<const State>(State{endpoint, std::move(callers), std::move(leaving)});
  {
    const std::lock_guard lock(mutex_);
    state_ = std::move(changed);
  }
  // After the identities have changed: what was asked for under the old ones is not kept.
  cache_.clear();
}

std::shared_ptr<const Metadata::State> Metadata::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

// The kernel tells which door a connection was brought to and where it meant to go. Only a connection that
// meant to go to one of our two addresses was brought by our own rules, which are root's to make: one that
// went to a door by itself is nobody's.
std::optional<Metadata::Asker> Metadata::asker_at(const State& state, const net::Door& door) {
  Asker asker;
  asker.user = door.user;
  asker.link_local = is_meant(door, kLinkLocalAddress, kLinkLocalPort);
  if (door.port == kArcPort) return asker;
  const auto caller = state.callers.find(door.port);
  if (caller == state.callers.end() || (!asker.link_local && !is_meant(door, kLoopbackAddress, kArcPort)))
    return std::nullopt;
  for (const machine::CallerRule& rule : state.endpoint.rules)
    if (rule.name == caller->second) asker.rule = &rule;
  return asker.rule == nullptr ? std::nullopt : std::optional(asker);
}

std::string Metadata::Asker::account() const {
  if (rule != nullptr) return "rule " + rule->name;
  return user ? "user " + std::to_string(*user) : std::string();
}

Response Metadata::answer(const Request& request, const net::Door& door) {
  const auto state = this->state();
  if (state->leaving.contains(door.port)) return changing();
  const auto asker = asker_at(*state, door);
  if (!asker)
    return refusal(403, "access_denied", "This port is not for you to call. Ask at 127.0.0.1:40342.");
  if (!names_us(request, asker->link_local))
    return refusal(400, "bad_request", "The Host header names another host than this endpoint.");
  if (auto refused = refuse_forwarded(request)) return *std::move(refused);
  if (request.method != "GET") return refusal(405, "method_not_allowed", "Only GET is answered here.");
  std::string_view path = request.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);  // @azure/identity sends one
  if (path != kTokenPath) return refusal(404, "not_found", "There is nothing at this path.");
  const std::string* metadata = request.headers.find("Metadata");
  if (metadata == nullptr || !ascii_iequal(trim(*metadata), "true"))
    return refusal(400, "bad_request_102", "Required metadata header not specified");
  if (const auto wait = rate_.refuse(asker->account())) return too_many(*wait);
  return token(*state, *asker, request);
}

std::optional<Response> Metadata::challenge(const Asker& asker, const Request& request) {
  const std::string* authorization = request.headers.find("Authorization");
  const std::lock_guard lock(challenges_mutex_);
  if (authorization == nullptr) {
    const auto path = challenges_.make(asker.account(), asker.rule != nullptr);
    if (!path) return of_error(path.error());
    Response response = refusal(401, "unauthorized",
                                "Send the content of the file that WWW-Authenticate names, as "
                                "'Authorization: Basic CONTENT'.");
    response.headers.set("WWW-Authenticate", "Basic realm=" + *path);
    return response;
  }
  const std::string_view text = trim(*authorization);
  const bool is_basic = text.size() > 6 && ascii_iequal(text.substr(0, 6), "basic ");
  if (is_basic && challenges_.redeem(asker.account(), trim(text.substr(6)))) return std::nullopt;
  return refusal(
      403, "access_denied",
      "The Authorization header does not have the content of a challenge file that was made for you. Each "
      "is good once, for a minute.");
}

Response Metadata::token(const State& state, const Asker& asker, const Request& request) {
  const IdentityEndpoint& endpoint = state.endpoint;
  const std::string* resource = request.query.find("resource");
  if (!has_version(request))
    return refusal(400, "invalid_request", "Required query variable 'api-version' is missing");
  if (resource == nullptr || resource->empty())
    return refusal(400, "invalid_request", "Required query variable 'resource' is missing");
  if (resource->size() > machine::kAudienceMax)
    return refusal(400, "invalid_resource", "The resource is too long.");
  // Who is nobody in particular may ask where the challenge file decides, and there alone.
  if (asker.rule == nullptr && (endpoint.has_rules || asker.link_local))
    return refusal(
        403, "access_denied",
        "No rule of this machine's owner lets you ask for its identities. 'merlon identity callers' shows "
        "the rules.");
  if (endpoint.empty()) return refusal(400, "invalid_request", "Identity not found");
  if (!asker.link_local)
    if (auto unproven = challenge(asker, request)) return *std::move(unproven);
  const Selection selection = select(identities_for(endpoint, asker.rule), request);
  if (selection.identity == nullptr) return refusal(400, "invalid_request", selection.problem);
  const auto found = cache_.get({.boot_id = boot_id_,
                                 .client_id = selection.identity->client_id,
                                 .audience = *resource,
                                 .caller = asker.name()});
  if (!found) return of_error(found.error());
  return token_response(*found, *selection.identity, *resource);
}

}  // namespace merlon::agent
