// Most of Merlon's work is done when it answers, so most operations are born Succeeded; the clients' polling
// is served alike.
#include "resource/operations.h"

#include "base/text.h"
#include "base/time_text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr const char* kReadAction = "Microsoft.Resources/subscriptions/operationresults/read";

bool is_terminal(std::string_view status) {
  return ascii_iequal(status, "Succeeded") || ascii_iequal(status, "Failed") ||
         ascii_iequal(status, "Canceled");
}

JsonObject error_json(const Error& error) {
  JsonObject out{{"code", error.code}, {"message", error.message}};
  if (!error.target.empty()) out["target"] = error.target;
  return out;
}

JsonObject to_json(const Operations::Record& record) {
  const Manager::Operation& operation = record.operation;
  JsonObject json{{"status", operation.status},     {"resourceId", operation.resource_id},
                  {"provider", operation.provider}, {"location", operation.location},
                  {"result", operation.result},     {"startTime", to_rfc3339(operation.started)},
                  {"startedBy", record.started_by}};
  if (is_terminal(operation.status)) json["endTime"] = to_rfc3339(operation.ended);
  if (operation.error) {
    json["error"] = error_json(*operation.error);
    json["errorKind"] = static_cast<int64_t>(operation.error->kind);
  }
  return json;
}

Result<Timestamp> time_at(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("operation: " + std::string(key) + " is no time");
  return *time;
}

Result<Operations::Record> from_json(const std::string& id, const JsonObject& json) {
  Operations::Record record;
  Manager::Operation& operation = record.operation;
  operation.id = id;
  operation.status = TRY(require_string(json, "status"));
  operation.resource_id = TRY(require_string(json, "resourceId"));
  operation.provider = TRY(require_string(json, "provider"));
  operation.location = TRY(require_string(json, "location"));
  if (const JsonObject* result = object_at(json, "result")) operation.result = *result;
  operation.started = TRY(time_at(json, "startTime"));
  if (json.contains("endTime")) operation.ended = TRY(time_at(json, "endTime"));
  if (const JsonObject* error = object_at(json, "error")) {
    Error read;
    read.kind = static_cast<ErrorKind>(TRY(require_int(json, "errorKind")));
    read.code = TRY(require_string(*error, "code"));
    read.message = TRY(require_string(*error, "message"));
    operation.error = std::move(read);
  }
  record.started_by = TRY(require_string(json, "startedBy"));
  return record;
}

std::string base_url(const Call& call, const Manager::Operation& operation) {
  const auto id = ResourceId::parse(operation.resource_id);
  const std::string subscription = id ? id->subscription() : std::string();
  return call.origin + "/subscriptions/" + subscription + "/providers/" + operation.provider + "/locations/" +
         operation.location;
}

// Python's ARMPolling takes 0 for "not there" and waits 30 s, so 1 it is.
void set_polling(net::Response& response, const std::string& location) {
  response.headers.set("Location", location);
  response.headers.set("Retry-After", "1");
}

Result<Manager::Operation> visible(const State& state, const Call& call, store::Reader& reader) {
  const std::string& id = call.parameter("operationId");
  const auto record = TRY(state.operations.find(reader, id));
  if (!record) {
    return fail(ErrorKind::not_found, "OperationNotFound",
                "There is no operation '" + id.substr(0, 100) + "'.", id.substr(0, 100));
  }
  const bool own = record->started_by == call.principal.object_id.text();
  if (!own && !TRY(state.may(reader, call, kReadAction, record->operation.resource_id))) {
    return std::unexpected(authorization_failed(call.principal, kReadAction, record->operation.resource_id));
  }
  return record->operation;
}

net::Response status_answer(const Call& call, const Manager::Operation& operation) {
  JsonObject body{{"id", "/" + join(call.request.segments, "/")},
                  {"name", operation.id},
                  {"status", operation.status},
                  {"startTime", to_rfc3339(operation.started)}};
  const bool done = is_terminal(operation.status);
  if (done) body["endTime"] = to_rfc3339(operation.ended);
  body["percentComplete"] = done ? 100 : 50;
  if (!operation.result.empty()) body["properties"] = operation.result;
  if (operation.error) body["error"] = error_json(*operation.error);
  net::Response response = json_response(200, body);
  if (!done) response.headers.set("Retry-After", "1");
  return response;
}

Result<net::Response> result_answer(const Call& call, const Manager::Operation& operation) {
  if (!is_terminal(operation.status)) {
    net::Response response = empty_response(202);
    std::string url = call.origin;
    for (const std::string& segment : call.request.segments) url += "/" + net::percent_encode(segment);
    set_polling(response, url + "?api-version=" + call.api_version);
    return response;
  }
  if (operation.error) return std::unexpected(*operation.error);
  return operation.result.empty() ? empty_response(204) : json_response(200, operation.result);
}

Route polling_route(State& state, std::string path, std::string summary, bool of_status) {
  Route route;
  route.method = "GET";
  route.path = std::move(path);
  route.permission = kReadAction;
  route.summary = std::move(summary);
  route.filter_items = true;  // its starter may ask, with no other right
  route.read = [&state, of_status](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto operation = TRY(visible(state, call, reader));
    if (of_status) return status_answer(call, operation);
    return result_answer(call, operation);
  };
  return route;
}

}  // namespace

const store::TableSpec& Operations::table() {
  static const store::TableSpec spec{"operations", {}};
  return spec;
}

Result<Manager::Operation> Operations::start(WriteContext& context, const ResourceId& id,
                                             std::string_view status, JsonObject result) const {
  Record record;
  Manager::Operation& operation = record.operation;
  operation.id = Uuid::generate(core_.random).text();
  operation.status = status;
  operation.resource_id = id.text();
  operation.provider = id.provider().empty() ? "Microsoft.Resources" : id.provider();
  operation.location = core_.default_location;
  operation.result = std::move(result);
  operation.started = context.call.now;
  operation.ended = is_terminal(status) ? context.call.now : Timestamp();
  record.started_by = context.actor.object_id;
  TRY(context.tx.put(table(), core_.tenant, {operation.id, to_text(to_json(record)), {}}));
  return operation;
}

Result<void> Operations::finish(store::Transaction& tx, const std::string& id, std::string_view status,
                                JsonObject result, std::optional<Error> error) const {
  auto record = TRY(find(tx, id));
  if (!record) return internal_error("operation " + id + " ends, but there is none");
  record->operation.status = status;
  record->operation.result = std::move(result);
  record->operation.ended = core_.clock.now();
  record->operation.error = std::move(error);
  return tx.put(table(), core_.tenant, {id, to_text(to_json(*record)), {}});
}

Result<std::optional<Operations::Record>> Operations::find(store::Reader& reader, std::string_view id) const {
  const auto row = TRY(reader.get(table(), core_.tenant, ascii_lower(id)));
  if (!row) return std::optional<Record>();
  return std::optional<Record>(TRY(from_json(row->key, TRY(parse_json_object(row->body)))));
}

net::Response Operations::accepted(const Call& call, const Manager::Operation& operation) {
  net::Response response = empty_response(202);
  const std::string base = base_url(call, operation);
  const std::string tail = "/" + operation.id + "?api-version=" + call.api_version;
  set_polling(response, base + "/operationResults" + tail);
  response.headers.set("Azure-AsyncOperation", base + "/operationStatuses" + tail);
  return response;
}

void Operations::point_to(net::Response& response, const Call& call, const Manager::Operation& operation) {
  response.headers.set("Azure-AsyncOperation", base_url(call, operation) + "/operationStatuses/" +
                                                   operation.id + "?api-version=" + call.api_version);
  response.headers.set("Retry-After", "1");
}

net::Response Operations::accepted_at_subscription(const Call& call, const Manager::Operation& operation) {
  net::Response response = empty_response(202);
  const auto id = ResourceId::parse(operation.resource_id);
  set_polling(response, call.origin + "/subscriptions/" + (id ? id->subscription() : std::string()) +
                            "/operationresults/" + operation.id + "?api-version=" + call.api_version);
  return response;
}

void add_operation_routes(State& state, const AddRoute& add) {
  const std::string base =
      "/subscriptions/{subscriptionId}/providers/{resourceProviderNamespace}/locations/{location}/";
  add(polling_route(state, base + "operationStatuses/{operationId}", "How a long-running operation goes.",
                    true));
  add(polling_route(state, base + "operations/{operationId}", "How a long-running operation goes.", true));
  add(polling_route(state, base + "operationResults/{operationId}", "What a long-running operation came to.",
                    false));
  add(polling_route(state, "/subscriptions/{subscriptionId}/operationresults/{operationId}",
                    "What a long-running operation came to.", false));
}

}  // namespace merlon::resource
