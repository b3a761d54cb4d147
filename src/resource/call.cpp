// Answers as handlers give them, and what a write handler may ask of the decide step.
#include "resource/call.h"

#include "base/log.h"
#include "resource/locks.h"
#include "resource/step_up.h"

namespace merlon::resource {

const std::string& Call::parameter(std::string_view name) const {
  const auto at = parameters.find(std::string(name));
  MERLON_CHECK(at != parameters.end());
  return at->second;
}

net::Response text_response(int status, std::string json_text) {
  net::Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json; charset=utf-8");
  response.body = std::move(json_text);
  return response;
}

net::Response json_response(int status, const JsonObject& body) {
  return text_response(status, to_text(body));
}

net::Response empty_response(int status) {
  net::Response response;
  response.status = status;
  return response;
}

net::Response error_response(const Error& error, const std::string& request_id) {
  // Our own failures are news to the operator; what callers get wrong is theirs, and anyone can make much of
  // it.
  if (error.kind == ErrorKind::internal || error.kind == ErrorKind::unavailable) {
    log_error("a request failed", error, {{"requestId", request_id}});
  } else if (!error.cause.empty()) {
    log(LogLevel::debug, "a request was refused",
        {{"requestId", request_id}, {"code", error.code}, {"cause", error.cause}});
  }
  JsonObject inner;
  inner["code"] = error.code;
  inner["message"] = error.message;
  if (!error.target.empty()) inner["target"] = error.target;
  JsonArray details;
  for (const ErrorDetail& detail : error.details) {
    JsonObject one;
    one["code"] = detail.code;
    one["message"] = detail.message;
    if (!detail.target.empty()) one["target"] = detail.target;
    details.push_back(std::move(one));
  }
  if (!details.empty()) inner["details"] = std::move(details);
  JsonObject body;
  body["error"] = std::move(inner);
  net::Response response = json_response(net::http_status(error.kind), body);
  if (error.kind == ErrorKind::throttled || error.kind == ErrorKind::unavailable)
    response.headers.set("Retry-After", "2");
  if (!request_id.empty()) response.headers.set("x-ms-request-id", request_id);
  return response;
}

Result<void> WriteContext::require(std::string_view action, std::string_view scope) {
  if (is_system) return {};
  const access::Question question{.action = std::string(action), .scope = std::string(scope)};
  const access::Decision decision = TRY(core.access.check(tx, call.principal, question));
  if (decision.allowed) {
    const auto need = TRY(StepUps(core).missing(tx, call.principal, action, scope, decision));
    if (!need) return {};
    return std::unexpected(step_up_needed(*need, action, scope));
  }
  details["linkedAction"] = action;
  details["linkedScope"] = scope;
  // Azure's own text (Microsoft Learn, "Troubleshoot Azure RBAC").
  return fail(ErrorKind::forbidden, "LinkedAuthorizationFailed",
              "The client '" + call.principal.name + "' with object id '" + call.principal.object_id.text() +
                  "' has permission to perform the action on scope '" + call.id.text() +
                  "'; however, it does not have permission to perform action(s) '" + std::string(action) +
                  "' on the linked scope(s) '" + std::string(scope) +
                  "' or the linked scope(s) are invalid.");
}

Result<void> WriteContext::require_unlocked(std::string_view scope, Change change) {
  if (is_system || passes_locks) return {};
  return Locks(core).check(tx, scope, change);
}

Result<void> WriteContext::require_removable(std::string_view scope) {
  if (is_system) return {};
  const StepUps step_ups(core);
  return step_ups.require_met(call.principal, TRY(step_ups.at_and_below(tx, scope)));
}

Result<void> WriteContext::record(std::string_view action, std::string_view resource,
                                  JsonObject entry_details) {
  ledger::Entry entry;
  entry.time = call.now;
  entry.actor = actor;
  entry.action = action;
  entry.resource = resource;
  entry.reason = reason;
  entry.request_id = call.request.request_id;
  entry.correlation_id = call.correlation_id;
  entry.justification = justification;
  entry.details = std::move(entry_details);
  TRY(core.ledger.append(tx, entry));
  ++recorded;
  return {};
}

}  // namespace merlon::resource
