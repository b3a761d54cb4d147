// merlon jit pending, approve, deny, cancel: requests that somebody else must agree to.
#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "base/uuid.h"
#include "cli/jit_access.h"
#include "cli/jit_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct PendingOptions {
  std::string resource_group;
};

struct DecideOptions {
  std::string id, resource_group, justification;
};

// "port 22 of web-1", "ports 22, 3389 of web-1; port 22 of db-1"
std::string what_text(const JsonObject& request) {
  std::string text;
  const JsonArray* machines = array_at(request, "properties.virtualMachines");
  if (machines == nullptr) return text;
  for (const Json& machine : *machines) {
    const JsonArray* ports = machine.is_object() ? array_at(machine.get_object(), "ports") : nullptr;
    if (ports == nullptr) continue;
    std::string numbers;
    for (const Json& port : *ports)
      if (port.is_object()) numbers += (numbers.empty() ? "" : ", ") + text_at(port.get_object(), "number");
    if (!text.empty()) text += "; ";
    text += (ports->size() == 1 ? "port " : "ports ") + numbers + " of " +
            last_segment(text_at(machine.get_object(), "id"));
  }
  return text;
}

// Of its first port, as those of one command line are alike.
const JsonObject* first_port(const JsonObject& request) {
  const JsonArray* machines = array_at(request, "properties.virtualMachines");
  if (machines == nullptr || machines->empty() || !machines->front().is_object()) return nullptr;
  const JsonArray* ports = array_at(machines->front().get_object(), "ports");
  if (ports == nullptr || ports->empty() || !ports->front().is_object()) return nullptr;
  return &ports->front().get_object();
}

std::string how_long_text(const JsonObject& request) {
  const JsonObject* port = first_port(request);
  if (port == nullptr) return {};
  const std::string end = text_at(*port, "endTimeUtc");
  const std::string prefix = text_at(request, "properties.extends").empty() ? "" : "extend ";
  if (!end.empty()) return prefix + "until " + end;
  const std::string duration = text_at(*port, "duration");
  const auto lasts = from_iso8601_duration(duration);
  return prefix + "for " + (lasts ? to_human_duration(*lasts) : duration);
}

std::string from_text(const JsonObject& request) {
  const JsonObject* port = first_port(request);
  if (port == nullptr) return {};
  const std::string one = text_at(*port, "allowedSourceAddressPrefix");
  return one.empty() ? joined_at(*port, "allowedSourceAddressPrefixes") : one;
}

Result<JsonObject> waiting(Api& api, const std::string& resource_group) {
  const std::string scope =
      resource_group.empty() ? TRY(api.subscription_id()) : TRY(api.group_id(resource_group));
  return api.list(scope + "/providers/Merlon.Jit/requests", kMerlonVersion);
}

Result<int> pending(Context& context, const PendingOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(waiting(api, options.resource_group));
  Table table({"ID", "WHO", "WHAT", "FROM", "HOW LONG", "WHY", "AGREED", "WAITS UNTIL"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& request = value.get_object();
    table.add({text_at(request, "name"), text_at(request, "properties.requestor"), what_text(request),
               from_text(request), how_long_text(request), text_at(request, "properties.justification"),
               approvals_text(request), text_at(request, "properties.waitsUntilUtc")});
  }
  show(context, answer, table.size() == 0 ? "No request waits for approval.\n" : table.text());
  return kDone;
}

// The server says what is wrong with a request that does not wait any more, so its path is enough.
Result<std::string> request_path(Api& api, const DecideOptions& options) {
  if (!Uuid::parse(options.id))
    return wrong_usage("'" + options.id + "' is not the id of a request. 'merlon jit pending' shows them.");
  const JsonObject all = TRY(waiting(api, options.resource_group));
  for (const Json& value : all.at("value").get_array())
    if (ascii_iequal(text_at(value.get_object(), "name"), options.id))
      return scope_path(text_at(value.get_object(), "id"));
  return fail(
      ErrorKind::not_found, "NotPending",
      "No request with the id " + options.id +
          " that you may see waits for approval. It may be decided already, or its time is over. 'merlon "
          "jit pending' shows what waits.");
}

Result<JsonObject> decide(Api& api, const DecideOptions& options, const std::string& verb) {
  const std::string path = TRY(request_path(api, options));
  JsonObject body;
  if (!options.justification.empty()) body["justification"] = options.justification;
  return TRY(api.post(path + "/" + verb, kMerlonVersion, body)).body;
}

Result<int> approve(Context& context, const DecideOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject request = TRY(decide(api, options, "approve"));
  const std::string who = text_at(request, "properties.requestor");
  const bool done = text_at(request, "properties.state") == "Approved";
  const bool extension = !text_at(request, "properties.extends").empty();
  show(context, request,
       printable(done ? "Approved: " + what_text(request) + (extension ? " stays open" : " is open") +
                            " for " + who + " from " + from_text(request)
                      : "Noted. " + approvals_text(request) + " have agreed; nothing is open yet") +
           ".\n");
  return kDone;
}

Result<int> deny(Context& context, const DecideOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject request = TRY(decide(api, options, "deny"));
  show(context, request,
       printable("Denied: " + what_text(request) + " stays closed for " +
                 text_at(request, "properties.requestor")) +
           ".\n");
  return kDone;
}

Result<int> cancel(Context& context, const DecideOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject request = TRY(decide(api, options, "cancel"));
  show(context, request, printable("Taken back: " + what_text(request) + " stays closed") + ".\n");
  return kDone;
}

Command decision(const std::string& verb, std::string summary,
                 Result<int> (*run)(Context&, const DecideOptions&), const std::string& why) {
  return make_command("jit " + verb, std::move(summary),
                      "merlon jit " + verb + " 3f2a1c04-9d1e-4c55-8a8e-0c3b5c1f2a77", run,
                      [&](Command& command, DecideOptions& options) {
                        command.text("id", options.id, "Id of the request, as 'merlon jit pending' shows it")
                            .required()
                            .text("--resource-group,-g", options.resource_group, "Only in this group");
                        if (!why.empty()) command.text("--justification", options.justification, why);
                      });
}

}  // namespace

std::vector<Command> jit_approval_commands() {
  return {make_command("jit pending", "Requests that wait for approval", "merlon jit pending", pending,
                       [](Command& command, PendingOptions& options) {
                         command.text("--resource-group,-g", options.resource_group, "Only this group's");
                       }),
          decision("approve", "Agree to somebody else's request", approve, "Why; it is kept in the ledger"),
          decision("deny", "Refuse somebody's request", deny,
                   "Why; the requester sees it, and the ledger keeps it"),
          decision("cancel", "Take a request back before anybody has decided", cancel, "")};
}

}  // namespace merlon::cli
