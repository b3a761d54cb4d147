// Rights are asked for twice on a write: in a snapshot, so that nobody without them makes Merlon gather
// anything, and again inside the transaction, so that what is carried out was allowed at the moment that it
// was committed (Invariant 3).
#include "resource/pipeline.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "resource/asked.h"
#include "resource/request_checks.h"
#include "resource/step_up.h"

namespace merlon::resource {
namespace {

constexpr size_t kEnteredTextMax = 1024;

// A path with {names}, filled in.
std::string fill(std::string_view text, const std::map<std::string, std::string>& parameters) {
  if (text.find('{') == std::string_view::npos) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t close = text.find('}', open);
    MERLON_CHECK(close != std::string_view::npos);
    const auto at = parameters.find(std::string(text.substr(open + 1, close - open - 1)));
    MERLON_CHECK(at != parameters.end());
    out += at->second;
    text.remove_prefix(close + 1);
  }
  return out;
}

bool is_refusal(const Error& error) {
  return error.kind == ErrorKind::forbidden || error.kind == ErrorKind::unauthenticated;
}

// Refused to somebody who is known: what the ledger enters under their name.
bool is_refused_right(const Error& error) { return error.kind == ErrorKind::forbidden || is_step_up(error); }

std::string quoted_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f) out += c == '"' || c == '\\' ? '\'' : c;
  }
  return out;
}

// A path may go on after the id that it names: what is deleted then has no id of its own, and what else is in
// the id's scope is not touched.
Result<void> check_locks(const State& state, const Call& call, const Router::Match& match,
                         WriteContext& context) {
  if (call.request.method != "DELETE") return context.require_unlocked(call.id.text());
  const bool whole = match.id_segments == call.request.segments.size();
  if (whole) return context.require_unlocked(call.id.text(), Change::remove);
  const auto locks = TRY(state.locks.at_and_above(context.tx, call.id.text()));
  if (locks.empty() || context.passes_locks) return {};
  return std::unexpected(scope_locked(call.id.text(), Change::remove, locks));
}

bool is_in_subscription(const net::Request& request) {
  return !request.segments.empty() && ascii_iequal(request.segments.front(), "subscriptions");
}

// 20261122T182335Z, the same for all answers of a second.
const std::string& compact_time(Timestamp now) {
  thread_local std::chrono::sys_seconds second{};
  thread_local std::string text;
  const auto current = std::chrono::floor<std::chrono::seconds>(now);
  if (current == second && !text.empty()) return text;
  second = current;
  text.clear();
  for (const char c : to_rfc3339(current)) {
    if (c != '-' && c != ':') text += c;
  }
  return text;
}

std::string routing_id(const Core& core, Timestamp now, const std::string& request_id) {
  std::string id;
  id.reserve(96);
  for (const char c : core.default_location) id += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return id.append(":").append(compact_time(now)).append(":").append(request_id);
}

}  // namespace

Pipeline::Pipeline(State& state, const Router& router)
    : state_(state), router_(router), later_(dynamic_cast<store::LaterWrites*>(&state.core.store)) {
  if (state.core.rate_limits)
    throttle_ = std::make_unique<Throttle>(*state.core.rate_limits, state.core.clock);
}

net::Response Pipeline::handle(const net::Request& request, const std::string& origin) const {
  return answer(request, origin, router_.find(request.method, request.segments), nullptr);
}

std::optional<net::Response> Pipeline::answer_at_once(const net::Request& request,
                                                      const std::string& origin) const {
  if (request.method != "GET" || !state_.core.store.reads_at_once()) return std::nullopt;
  // What $expand brings in is as much as the caller wants.
  if (request.query.find("$expand") != nullptr) return std::nullopt;
  Router::Match match = router_.find(request.method, request.segments);
  if (!match.route || !state_.routes[*match.route].at_once) return std::nullopt;
  std::optional<net::Response> response;
  const auto looked = state_.core.store.read([&](store::Reader& reader) -> Result<void> {
    if (TRY(state_.core.access.answers_at_once(reader)))
      response = answer(request, origin, std::move(match), &reader);
    return {};
  });
  if (!looked) return std::nullopt;
  return response;
}

Pipeline::Asked Pipeline::ask(const net::Request& request, const std::string& origin, Router::Match match,
                              store::Reader* reader) const {
  Asked asked{.call = {.request = request,
                       .parameters = {},
                       .id = {},
                       .body = {},
                       .principal = {},
                       .tenant = state_.core.tenant,
                       .now = state_.core.clock.now(),
                       .origin = origin,
                       .api_version = {},
                       .correlation_id = correlation_id_of(request),
                       .gathered = {}},
              .match = std::move(match),
              .reader = reader,
              .route = nullptr,
              .named = {},
              .action = {},
              .scope = {},
              .decision = {},
              .justification = {},
              .details = {}};
  if (asked.match.route) asked.route = &state_.routes[*asked.match.route];
  return asked;
}

net::Response Pipeline::answer(const net::Request& request, const std::string& origin, Router::Match match,
                               store::Reader* reader) const {
  Asked asked = ask(request, origin, std::move(match), reader);
  auto answer = run(asked);
  return finished(asked, std::move(answer));
}

net::Response Pipeline::finished(const Asked& asked, Result<net::Response> answer) const {
  const net::Request& request = asked.call.request;
  if (!answer && answer.error().kind == ErrorKind::internal)
    log_error("a request failed by a fault of Merlon's own", answer.error(),
              {{"method", request.method}, {"path", request.path}, {"request", request.request_id}});
  net::Response response = answer ? *std::move(answer) : error_response(answer.error(), request.request_id);
  const std::string authorization_uri = asked.call.origin + "/" + state_.core.tenant.text();
  const auto challenge =
      answer ? std::nullopt : step_up_challenge(answer.error(), asked.call.now, authorization_uri);
  if (challenge) {
    response.headers.set("WWW-Authenticate", *challenge);
  } else if (!answer && answer.error().kind == ErrorKind::unauthenticated) {
    // RFC 6750 section 3, with Azure's authorization_uri: clients read the tenant from it.
    response.headers.set("WWW-Authenticate", "Bearer authorization_uri=\"" + authorization_uri +
                                                 "\", error=\"invalid_token\", error_description=\"" +
                                                 quoted_text(answer.error().message) + "\"");
  }
  if (asked.admission && !asked.admission->admitted)
    response.headers.set("Retry-After", std::to_string(asked.admission->retry_after_s));
  if (!answer && answer.error().kind == ErrorKind::method_not_allowed) {
    response.headers.set("Allow", join(asked.match.allowed, ", "));
  }
  finish(asked, response);
  return response;
}

void Pipeline::finish(const Asked& asked, net::Response& response) const {
  const net::Request& request = asked.call.request;
  response.headers.set("x-ms-request-id", request.request_id);
  response.headers.set("x-ms-correlation-request-id", asked.call.correlation_id);
  response.headers.set("x-ms-routing-request-id",
                       routing_id(state_.core, asked.call.now, request.request_id));
  response.headers.set("Cache-Control", "no-cache");
  if (asked.admission) {
    response.headers.set(remaining_header(kind_of_method(request.method), is_in_subscription(request)),
                         std::to_string(asked.admission->remaining));
  }
  const bool wanted = ascii_iequal(request.headers.value_or("x-ms-return-client-request-id", ""), "true");
  if (const std::string* client_id = request.headers.find("x-ms-client-request-id");
      wanted && client_id != nullptr) {
    response.headers.set("x-ms-client-request-id", quoted_text(client_id->substr(0, 128)));
  }
}

Result<net::Response> Pipeline::run(Asked& asked) const {
  if (asked.route != nullptr && asked.route->permission.empty()) return run_public(asked);
  if (asked.route == nullptr || !asked.route->any_api_version) {
    asked.call.api_version = TRY(check_api_version(asked.call.request));
  }
  if (asked.route != nullptr) asked.named = name_resource(asked);
  if (asked.route != nullptr && asked.route->read && !asked.route->gather) return run_read(asked);
  auto may = state_.core.store.read([&](store::Reader& reader) -> Result<void> {
    TRY(identify(asked, reader));
    TRY(admit(asked));
    if (asked.route == nullptr) return std::unexpected(no_route(asked));
    return authorize(asked, reader);
  });
  if (!may) {
    if (asked.identified && is_refused_right(may.error())) TRY(enter_refusal(asked, may.error()));
    return std::unexpected(std::move(may).error());
  }
  if (asked.route->read) return run_read(asked);
  auto answer = run_write(asked);
  if (!answer) TRY(enter_refusal(asked, answer.error()));
  return answer;
}

Result<net::Response> Pipeline::run_public(Asked& asked) const {
  if (!asked.route->any_api_version) asked.call.api_version = TRY(check_api_version(asked.call.request));
  asked.call.parameters = std::move(asked.match.parameters);
  MERLON_CHECK(asked.route->read != nullptr);  // a public write would be nobody's
  return store::read_value<net::Response>(
      state_.core.store, [&](store::Reader& reader) { return asked.route->read(asked.call, reader); });
}

// The resource that the path names, from exactly the segments that the declaration says are its id: a name
// that is no name is an error here, never a shorter id.
Result<void> Pipeline::name_resource(Asked& asked) const {
  const auto& segments = asked.call.request.segments;
  TRY(check_subscription(asked.call.request, state_.core.subscription));
  const auto end = segments.begin() + static_cast<std::ptrdiff_t>(asked.match.id_segments);
  asked.call.id = TRY(end == segments.end() ? ResourceId::from_segments(segments)
                                            : ResourceId::from_segments({segments.begin(), end}));
  asked.call.parameters = std::move(asked.match.parameters);
  for (auto& [name, value] : asked.call.parameters) {
    if (name == "+scope") continue;
    if (value.find('/') != std::string::npos) {
      return fail(ErrorKind::invalid, "InvalidResourceId",
                  "The path's '" + name + "' contains an encoded '/'. Remove it.", name);
    }
  }
  asked.action = fill(asked.route->permission, asked.call.parameters);
  asked.scope = asked.route->checked_at.empty() ? asked.call.id.text()
                                                : fill(asked.route->checked_at, asked.call.parameters);
  return {};
}

Result<void> Pipeline::authenticate(Asked& asked, store::Reader& reader) const {
  const net::Request& request = asked.call.request;
  auto principal = TRY(
      state_.core.issuer.authenticate(reader, request.headers.value_or("Authorization", ""), request.peer));
  MERLON_CHECK(!principal.object_id.is_nil());
  asked.call.principal = std::move(principal);
  asked.identified = true;
  return {};
}

Result<void> Pipeline::identify(Asked& asked, store::Reader& reader) const {
  auto identified = authenticate(asked, reader);
  if (!identified && identified.error().kind == ErrorKind::unauthenticated)
    note_unauthenticated(asked, identified.error());
  return identified;
}

// Once for each request, and only once it is known whose it is: nobody can empty another's bucket.
Result<void> Pipeline::admit(Asked& asked) const {
  if (!throttle_ || asked.admission) return {};
  const Uuid& principal = asked.call.principal.object_id;
  const RequestKind kind = kind_of_method(asked.call.request.method);
  asked.admission = throttle_->admit(principal, kind);
  if (asked.admission->admitted) return {};
  return std::unexpected(
      throttled(state_.core.subscription.text(), principal, kind, asked.admission->retry_after_s));
}

Result<void> Pipeline::authorize(Asked& asked, store::Reader& reader) const {
  TRY(Result<void>(asked.named));  // only now: who is not known is told nothing but that
  access::Question question{.action = asked.action, .scope = asked.scope};
  if (asked.route->attributes) {
    if (auto body = parse_body(asked.call.request)) asked.call.body = *std::move(body);
    // A body that says nothing sensible gives no attributes: conditions that ask for them do not grant.
    if (auto attributes = asked.route->attributes(asked.call, reader))
      question.attributes = *std::move(attributes);
  }
  const auto access = TRY(state_.core.access.view(reader));
  // Nobody asks why a program's read was allowed; to put that in words costs more than to decide it. (What a
  // person's right comes from is what step-up asks.)
  const bool program = asked.call.principal.kind == identity::PrincipalKind::service_principal;
  if (asked.route->read && program && TRY(access.allows(asked.call.principal, question))) {
    asked.decision.allowed = true;
    return {};
  }
  asked.decision = TRY(access.check(asked.call.principal, question));
  if (asked.decision.allowed) return require_step_up(asked, reader);
  if (asked.route->filter_items) {
    asked.call.only_permitted = true;
    return {};
  }
  return std::unexpected(authorization_failed(asked.call.principal, asked.action, asked.scope));
}

Result<void> Pipeline::require_step_up(Asked& asked, store::Reader& reader) const {
  const auto need =
      TRY(state_.step_ups.missing(reader, asked.call.principal, asked.action, asked.scope, asked.decision));
  if (!need) return {};
  return std::unexpected(step_up_needed(*need, asked.action, asked.scope));
}

Error Pipeline::no_route(const Asked& asked) const {
  const net::Request& request = asked.call.request;
  if (asked.match.found) {
    Error error;
    error.kind = ErrorKind::method_not_allowed;
    error.code = "MethodNotAllowed";
    error.message = "The method '" + request.method + "' is not served at '" + request.path.substr(0, 300) +
                    "'. Served: " + join(asked.match.allowed, ", ") + ".";
    return error;
  }
  if (const auto ours = check_subscription(request, state_.core.subscription); !ours) return ours.error();
  // Of the last "providers/", as an extension's is.
  std::string provider;
  for (size_t i = 0; i + 1 < request.segments.size(); ++i) {
    if (ascii_iequal(request.segments[i], "providers")) provider = request.segments[i + 1];
  }
  const bool known = std::ranges::any_of(state_.routes, [&](const Route& route) {
    return !provider.empty() && ascii_istarts_with(route.permission, provider + "/");
  });
  return unknown_path(request, known);
}

Result<net::Response> Pipeline::run_read(Asked& asked) const {
  if (asked.route->gather) asked.call.gathered = TRY(asked.route->gather(asked.call)).value;
  auto answer = asked.reader != nullptr
                    ? read_from(asked, *asked.reader)
                    : store::read_value<net::Response>(
                          state_.core.store, [&](store::Reader& reader) { return read_from(asked, reader); });
  if (!answer && asked.identified && is_refused_right(answer.error()))
    TRY(enter_refusal(asked, answer.error()));
  return answer;
}

Result<net::Response> Pipeline::read_from(Asked& asked, store::Reader& reader) const {
  TRY(identify(asked, reader));
  TRY(admit(asked));
  TRY(authorize(asked, reader));
  // A POST that only asks has a body too.
  TRY(take_body(asked));
  return asked.route->read(asked.call, reader);
}

Result<void> Pipeline::take_body(Asked& asked) const {
  asked.call.body = TRY(parse_body(asked.call.request));
  if (asked.route->body) asked.call.body = TRY(schema::conform(*asked.route->body, asked.call.body));
  return {};
}

Result<net::Response> Pipeline::run_write(Asked& asked) const {
  TRY(take_body(asked));
  if (asked.route->gather) asked.call.gathered = TRY(asked.route->gather(asked.call)).value;
  return store::write_value<net::Response>(state_.core.store,
                                           [&](store::Transaction& tx) { return decide(asked, tx); });
}

Result<net::Response> Pipeline::decide(Asked& asked, store::Transaction& tx) const {
  std::optional<JsonObject> body;  // where authorize() may put the unchecked one in its place
  if (asked.route->attributes) body = asked.call.body;
  TRY(identify(asked, tx));
  TRY(authorize(asked, tx));
  if (body) asked.call.body = *std::move(body);
  WriteContext context(state_.core, asked.call, tx);
  context.reason = asked.decision.assignment_id;
  context.passes_locks = !asked.route->passes_locks_because.empty();
  TRY(check_locks(state_, asked.call, asked.match, context));
  auto response = asked.route->write(context);
  asked.justification = context.justification;
  asked.details = context.details;
  if (!response) return response;
  TRY(state_.core.ledger.append(tx, entry_for(asked, ledger::Decision::allowed)));
  return response;
}

ledger::Entry Pipeline::entry_for(const Asked& asked, ledger::Decision decision) const {
  ledger::Entry entry;
  entry.time = asked.call.now;
  entry.actor = asked.call.principal.actor();
  entry.action =
      asked.route != nullptr && !asked.route->entered_as.empty() ? asked.route->entered_as : asked.action;
  entry.resource = asked.call.id.text();
  entry.decision = decision;
  entry.reason = asked.decision.assignment_id;
  entry.request_id = asked.call.request.request_id;
  entry.correlation_id = asked.call.correlation_id;
  entry.justification = asked.justification;
  entry.details = asked.details;
  return entry;
}

// What was refused or went wrong, after the transaction that would have done it is gone. Writes one by one,
// reads summed up. A refusal that the ledger cannot take is not given: the caller hears of the ledger
// instead.
std::optional<ledger::Entry> Pipeline::refusal_entry(const Asked& asked, const Error& error) const {
  if (error.kind == ErrorKind::unauthenticated && !is_step_up(error))
    return std::nullopt;  // note_unauthenticated has it
  ledger::Entry entry =
      entry_for(asked, is_refusal(error) ? ledger::Decision::denied : ledger::Decision::failed);
  entry.reason = error.code;
  entry.details["message"] = error.message.substr(0, kEnteredTextMax);
  if (is_refusal(error) && !asked.decision.reason.empty())
    entry.details["why"] = asked.decision.reason.substr(0, kEnteredTextMax);
  return entry;
}

Result<void> Pipeline::enter_refusal(const Asked& asked, const Error& error) const {
  const auto entry = refusal_entry(asked, error);
  if (!entry) return {};
  if (asked.route->read) {
    state_.core.ledger.note_denial(*entry);
    return {};
  }
  const auto entered = state_.core.store.write(
      [&](store::Transaction& tx) -> Result<void> { return state_.core.ledger.append(tx, *entry); });
  if (!entered)
    log_error("a refused request could not be entered in the ledger", entered.error(),
              {{"action", asked.action}});
  return entered;
}

// One action for all of them: a permission may have names out of the path (providers.cpp), which would be a
// counter for each name that a stranger makes up. What they asked for is in the resource.
void Pipeline::note_unauthenticated(const Asked& asked, const Error& error) const {
  ledger::Entry entry;
  entry.time = asked.call.now;
  entry.actor = {"Anonymous", {}, {}, asked.call.request.peer.text()};
  entry.action = "Merlon.Identity/authenticate/action";
  entry.resource = asked.call.id.text();
  entry.decision = ledger::Decision::denied;
  entry.reason = error.code;
  entry.request_id = asked.call.request.request_id;
  entry.correlation_id = asked.call.correlation_id;
  state_.core.ledger.note_denial(entry);
}

}  // namespace merlon::resource
