// A data-plane request's way: which vault, who, from where, may they, what; then the ledger, then the answer.
#include "services/vault/plane.h"

#include "base/log.h"
#include "base/text.h"
#include "resource/request_checks.h"
#include "resource/step_up.h"
#include "services/vault/hsm_keys.h"
#include "services/vault/keys.h"
#include "services/vault/revocation.h"

namespace merlon::vault {
namespace {

constexpr std::string_view kActionPrefix = "Microsoft.KeyVault/vaults/";
constexpr size_t kEnteredTextMax = 1024;
constexpr std::string_view kServiceVersion = "1.9.0.0";

std::string_view name_of_host(std::string_view host) { return host.substr(0, host.rfind(':')); }
std::string port_of_host(const std::string& host) {
  const size_t colon = host.rfind(':');
  return colon == std::string::npos ? std::string() : host.substr(colon);
}

// "kv" of "kv.vault.<domain>"; nothing for other names.
std::optional<std::string> vault_of_host(std::string_view host, const std::string& domain) {
  std::string_view name = name_of_host(host);
  const std::string suffix = ".vault." + ascii_lower(domain);
  if (!name.ends_with(suffix)) return std::nullopt;
  name.remove_suffix(suffix.size());
  if (name.empty() || name.find('.') != std::string_view::npos) return std::nullopt;
  return std::string(name);
}

bool makes_key(const Operation& operation) {
  return operation.action == "keys/create/action" || operation.action == "keys/import/action" ||
         operation.action == "keys/rotate/action" || operation.action == "certificates/create/action";
}

// Once its body is read, and the key that it uses.
Cost cost_of(const Asked& asked) {
  if (makes_key(*asked.operation))
    return {string_at(asked.body, "kty").value_or("").ends_with("-HSM") ? Transaction::make_key_in_token
                                                                        : Transaction::make_key};
  if (asked.operation->action == "secrets/setSecret/action") return {Transaction::make_secret};
  if (asked.cost.kind == Transaction::other && asked.operation->policy_kind == "keys")
    return {Transaction::use_key};
  return asked.cost;
}

// What is imported is opened, and an RSA key's primes are looked at: that, too, takes a processor's time.
bool takes_turns(const Operation& operation) {
  return makes_key(operation) || operation.action == "certificates/import/action";
}

bool takes_its_time(const Asked& asked) {
  return asked.operation->action != "keys/create/action" || takes_long_to_make(asked.body);
}

// A worker that makes a key makes it for seconds: not all of them at once.
std::function<Result<void>(Asked&)> in_turn(const HsmKeys& hsm, std::function<Result<void>(Asked&)> make) {
  return [&hsm, make = std::move(make)](Asked& asked) -> Result<void> {
    if (!takes_its_time(asked)) return make(asked);
    const auto turn = TRY(hsm.gate().enter(asked.vault().uid));
    return make(asked);
  };
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

// Versions may be missing: at the end, and as the empty segment that clients send before a verb, which the
// edge drops.
std::optional<std::vector<std::string>> match(const std::vector<std::string>& shape,
                                              const std::vector<std::string>& segments) {
  std::vector<std::string> arguments;
  size_t next = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == "{version}") {
      const size_t left = shape.size() - i - 1;
      const bool missing = segments.size() - next <= left;
      arguments.push_back(missing ? std::string() : segments[next++]);
      continue;
    }
    if (next == segments.size()) return std::nullopt;
    if (is_parameter(shape[i])) {
      arguments.push_back(segments[next++]);
    } else if (!ascii_iequal(shape[i], segments[next++])) {
      return std::nullopt;
    }
  }
  if (next != segments.size()) return std::nullopt;
  return arguments;
}

size_t literals(const Operation& operation) {
  return static_cast<size_t>(std::ranges::count_if(
      operation.shape, [](const std::string& segment) { return !is_parameter(segment); }));
}

std::string method_of(const net::Request& request) {
  const std::string_view wanted = request.headers.value_or("X-HTTP-METHOD", "");
  if (request.method == "POST" && (wanted == "PATCH" || wanted == "DELETE" || wanted == "PUT"))
    return std::string(wanted);
  return request.method;
}

}  // namespace

Result<void> check_names(const Asked& asked) {
  size_t next = 0;
  for (const std::string& segment : asked.operation->shape) {
    if (!is_parameter(segment)) continue;
    const std::string& value = asked.arguments[next++];
    const auto plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    };
    const auto hex = [](char c) {
      return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9');
    };
    if (segment == "{name}" && (value.empty() || value.size() > 127 || !std::ranges::all_of(value, plain)))
      return bad_parameter(
          "The request URI contains an invalid name. Use 1 to 127 letters, digits and hyphens.");
    if (segment == "{version}" && !value.empty() && (value.size() != 32 || !std::ranges::all_of(value, hex)))
      return bad_parameter(
          "The request URI contains an invalid version. A version has 32 hexadecimal digits.");
  }
  return {};
}

std::unexpected<Error> fault(ErrorKind kind, std::string_view code, std::string message,
                             std::string_view inner) {
  auto failed = fail(kind, code, std::move(message));
  if (!inner.empty()) failed.error().details.push_back({std::string(inner), {}, {}});
  return failed;
}

net::Response fault_response(const Error& error) {
  const bool ours = error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable;
  if (ours) log_error("a request to a vault failed", error);
  // What the shared checks call InvalidRequestContent is Key Vault's BadParameter.
  const bool content = error.kind == ErrorKind::invalid && error.code.starts_with("Invalid");
  JsonObject inner{{"code", content ? "BadParameter" : error.code}, {"message", error.message}};
  if (!error.details.empty()) inner["innererror"] = JsonObject{{"code", error.details.front().code}};
  net::Response response =
      resource::json_response(net::http_status(error.kind), {{"error", std::move(inner)}});
  if (error.kind == ErrorKind::throttled || error.kind == ErrorKind::unavailable)
    response.headers.set("Retry-After", "2");
  return response;
}

const Vault& Asked::vault() const {
  static const Vault nobodys{};
  return found_vault ? *found_vault : nobodys;
}

Plane::Plane(Platform& platform, const HsmKeys& hsm)
    : platform_(platform), later_(dynamic_cast<store::LaterWrites*>(&platform.core.store)) {
  const AddOperation add = [this, &hsm](Operation operation) {
    MERLON_CHECK(!operation.action.empty() && !operation.policy_word.empty());
    if (operation.object_folder.empty()) operation.object_folder = operation.policy_kind;
    for (const std::string_view segment : split(operation.path, '/')) operation.shape.emplace_back(segment);
    if (operation.gather && takes_turns(operation))
      operation.gather = in_turn(hsm, std::move(operation.gather));
    operations_.push_back(std::move(operation));
  };
  if (platform.core.rate_limits) throttle_ = std::make_unique<VaultThrottle>(platform.core.clock);
  add_secret_operations(platform.core, add);
  add_shared_operations(platform.core, hsm, Kind::secrets, add);
  add_key_operations(platform.core, hsm, add);
  add_shared_operations(platform.core, hsm, Kind::keys, add);
  add_certificate_operations(platform.core, add);
  add_shared_operations(platform.core, hsm, Kind::certificates, add);
  // Where two fit, the one with more literals is meant: "secrets/{name}/versions" is not version "versions".
  std::ranges::sort(operations_, [](const Operation& a, const Operation& b) {
    return std::pair(literals(b), a.path) < std::pair(literals(a), b.path);
  });
}
bool Plane::handles(const net::Request& request) const {
  return request.plane == net::Plane::control &&
         vault_of_host(request.host, platform_.core.domain).has_value();
}

// Whoever checks a certificate has no token.
net::Response Plane::revocation_list(const net::Request& request, const RevocationListName& name) const {
  const auto list = current_revocation_list(
      platform_.core, vault_of_host(request.host, platform_.core.domain).value_or(""), name);
  if (!list) return fault_response(list.error());
  net::Response response;
  response.headers.set("Content-Type", "application/pkix-crl");  // RFC 5280 section 4.2.1.13
  response.headers.set("Cache-Control", "no-cache");
  response.body = as_text(*list);
  return response;
}

Asked Plane::asked_of(const net::Request& request) const {
  return {.request = request,
          .method = method_of(request),
          .origin = "https://" + request.host,
          .vault_name = vault_of_host(request.host, platform_.core.domain).value_or(""),
          .now = platform_.core.clock.now(),
          .arguments = {},
          .principal = {},
          .reason = {},
          .body = {},
          .gathered = {},
          .details = {},
          .cost = {},
          .retry_after_s = 0};
}

net::Response Plane::response_to(const Asked& asked, const Result<Answer>& answer) const {
  const net::Request& request = asked.request;
  net::Response response;
  if (!answer) {
    response = fault_response(answer.error());
    if (asked.retry_after_s > 0) response.headers.set("Retry-After", std::to_string(asked.retry_after_s));
  } else if (answer->status == 204) {
    response = resource::empty_response(204);
  } else {
    response = resource::json_response(answer->status, answer->body);
  }
  set_headers(asked, response);
  if (answer) return response;
  const std::string authorization_uri =
      "https://" + platform_.core.domain + port_of_host(request.host) + "/" + platform_.core.tenant.text();
  const auto challenge = resource::step_up_challenge(answer.error(), asked.now, authorization_uri);
  if (challenge) response.headers.set("WWW-Authenticate", *challenge);
  return response;
}

void Plane::set_headers(const Asked& asked, net::Response& response) const {
  const net::Request& request = asked.request;
  if (response.status == 401) {
    // Clients compare the resource's host with the vault's, some with the port (contract, Auth challenge).
    const std::string port = port_of_host(request.host);
    const std::string& domain = platform_.core.domain;
    response.headers.set("WWW-Authenticate", "Bearer authorization=\"https://" + domain + port + "/" +
                                                 platform_.core.tenant.text() +
                                                 "\", resource=\"https://vault." + domain + port + "\"");
  }
  response.headers.set("Cache-Control", "no-cache");
  response.headers.set("x-ms-request-id", request.request_id);
  response.headers.set("x-ms-keyvault-service-version", std::string(kServiceVersion));
  response.headers.set("x-ms-keyvault-region", asked.vault().location.empty()
                                                   ? platform_.core.default_location
                                                   : asked.vault().location);
  response.headers.set(
      "x-ms-keyvault-network-info",
      std::string("conn_type=") + (request.peer.is_v4() ? "Ipv4" : "Ipv6") + ";addr=" + request.peer.text() +
          ";act_addr_fam=" + (request.peer.is_v4() ? "InterNetwork" : "InterNetworkV6") + ";");
  if (const auto id = Uuid::parse(request.headers.value_or("x-ms-client-request-id", "")))
    response.headers.set("x-ms-client-request-id", id->text());
}

Result<void> Plane::route(Asked& asked) const {
  bool path_known = false;
  for (const Operation& operation : operations_) {
    auto arguments = match(operation.shape, asked.request.segments);
    if (!arguments) continue;
    path_known = true;
    if (operation.method != asked.method) continue;
    asked.operation = &operation;
    asked.arguments = *std::move(arguments);
    return {};
  }
  if (path_known)
    return fault(ErrorKind::method_not_allowed, "MethodNotAllowed",
                 "The method '" + asked.method + "' is not served at this address.");
  return fault(ErrorKind::not_found, "NotFound", "There is nothing at this address of a vault.");
}

// In the order that Azure's answers show: who, then whether the vault exists, from where, what, and may they.
Result<void> Plane::admit(Asked& asked, store::Reader& reader) const {
  asked.reason.clear();
  auto principal = platform_.core.issuer.authenticate(
      reader, asked.request.headers.value_or("Authorization", ""), asked.request.peer, identity::Api::vault);
  if (!principal) {
    Error error = std::move(principal).error();
    if (error.kind == ErrorKind::unauthenticated) error.code = "Unauthorized";
    return std::unexpected(std::move(error));
  }
  asked.principal = *std::move(principal);
  asked.identified = true;
  TRY(find_vault(asked, reader));
  TRY(check_network(platform_, reader, asked.vault(), asked.request.peer));
  if (asked.operation == nullptr) TRY(route(asked));
  const std::string* version = asked.request.query.find("api-version");
  if (version == nullptr || version->empty()) return bad_parameter("api-version must be specified");
  TRY(check_names(asked));
  asked.reason = TRY(check_right(platform_.core, reader, asked));
  return {};
}

Result<void> Plane::find_vault(Asked& asked, store::Reader& reader) const {
  auto vault = TRY(vaults_.get(reader, platform_.core.tenant, asked.vault_name));
  if (!vault || vault->deleted)
    return fault(ErrorKind::not_found, "VaultNotFound",
                 "There is no vault '" + asked.vault_name + "' here" +
                     (vault ? ": it is deleted, and can be recovered." : "."));
  asked.found_vault = std::move(vault);
  return {};
}

Result<void> Plane::parse(Asked& asked) const {
  if (asked.method == "GET" || asked.method == "DELETE") return {};
  asked.body = TRY(resource::parse_body(asked.request));
  return {};
}

// What has a right, and no more: nobody else can spend what is a vault's.
Result<void> Plane::spend(Asked& asked) const {
  if (!throttle_) return {};
  const auto wait = throttle_->spend(asked.vault().uid, cost_of(asked));
  if (!wait) return {};
  asked.retry_after_s = *wait;
  return fault(ErrorKind::throttled, "Throttled",
               "Request was not processed because too many requests were received. Try again after " +
                   std::to_string(*wait) + " seconds.",
               "VaultRequestTypeLimitReached");
}

Result<std::optional<Answer>> Plane::look(Asked& asked) const {
  // A first look at the route only says whether this is going to be a write.
  const bool writes =
      TRY(store::read_value<bool>(platform_.core.store, [&](store::Reader& reader) -> Result<bool> {
        TRY(admit(asked, reader));
        if (!asked.operation->read && !asked.operation->load) return true;
        TRY(parse(asked));
        if (asked.operation->load) {
          TRY(asked.operation->load(asked, reader));
          TRY(spend(asked));
        } else {
          TRY(spend(asked));
          asked.gathered = TRY(asked.operation->read(asked, reader));
        }
        return false;
      }));
  if (writes) return std::optional<Answer>();
  if (asked.operation->load) return std::optional(TRY(asked.operation->compute(asked)));
  return std::optional(std::move(*std::any_cast<Answer>(&asked.gathered)));
}

Result<Answer> Plane::run_write(Asked& asked) const {
  TRY(parse(asked));
  TRY(spend(asked));
  if (asked.operation->gather) TRY(asked.operation->gather(asked));
  auto written =
      store::write_value<Answer>(platform_.core.store, [&](store::Transaction& tx) -> Result<Answer> {
        TRY(admit(asked, tx));
        Answer answer = TRY(asked.operation->write(asked, tx));
        TRY(platform_.core.ledger.append(tx, entry_for(asked, ledger::Decision::allowed)));
        return answer;
      });
  if (written && asked.operation->after) asked.operation->after(asked);
  return written;
}

ledger::Entry Plane::entry_for(const Asked& asked, ledger::Decision decision) const {
  ledger::Entry entry;
  entry.time = asked.now;
  entry.actor = asked.by_server    ? ledger::Actor{"System", {}, "merlon", {}}
                : asked.identified ? asked.principal.actor()
                                   : ledger::Actor{"Anonymous", {}, {}, asked.request.peer.text()};
  entry.action = asked.operation == nullptr ? "Microsoft.KeyVault/vaults/request/action"
                                            : std::string(kActionPrefix) + asked.operation->action;
  entry.resource = asked.vault().resource_id.empty() ? "/vaults/" + asked.vault_name.substr(0, 24)
                                                     : asked.vault().resource_id;
  if (asked.operation != nullptr && !asked.arguments.empty()) {
    entry.resource += "/" + asked.operation->object_folder + "/" + asked.arguments[0].substr(0, 127);
    if (asked.arguments.size() > 1 && !asked.arguments[1].empty())
      entry.resource += "/" + asked.arguments[1].substr(0, 32);
  }
  entry.decision = decision;
  entry.reason = asked.reason;
  entry.request_id = asked.request.request_id;
  entry.correlation_id = asked.request.request_id;
  entry.details = asked.details;
  return entry;
}

// Refusals are summed up, by caller and minute (trust.md, Ledger): nobody without a right fills the disk.
// What fails although it is allowed is entered one by one.
// Nothing when there is nothing left to enter.
std::optional<ledger::Entry> Plane::refusal_entry(const Asked& asked, const Error& error) const {
  if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable) return std::nullopt;
  // What is too much is not entered one by one either, though it is allowed.
  const bool allowed = !asked.reason.empty() && error.kind != ErrorKind::throttled;
  ledger::Entry entry =
      entry_for(asked, allowed && error.kind != ErrorKind::forbidden ? ledger::Decision::failed
                                                                     : ledger::Decision::denied);
  const bool named = error.details.empty() || resource::is_step_up(error);
  entry.reason = named ? error.code : error.details.front().code;
  if (!allowed && !asked.by_server) {
    platform_.core.ledger.note_denial(entry);
    return std::nullopt;
  }
  entry.details["message"] = error.message.substr(0, kEnteredTextMax);
  return entry;
}

}  // namespace merlon::vault
