// merlon jit: ask for access, see what is open, close it.
#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "base/uuid.h"
#include "cli/jit_access.h"
#include "cli/jit_lookup.h"
#include "cli/jit_request.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct ListOptions {
  std::string resource_group;
};

std::string left_text(const JsonObject& opening) {
  const std::string left = text_at(opening, "properties.remaining");
  const auto duration = from_iso8601_duration(left);
  return duration ? to_human_duration(*duration) : left;
}

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(openings(api, options.resource_group));
  Table table({"ID", "MACHINE", "PORT", "FROM", "WHO", "UNTIL", "LEFT", "MACHINE SAYS"});
  std::string notes;
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& opening = value.get_object();
    const std::string machine = last_segment(text_at(opening, "properties.virtualMachineId"));
    const std::string port = text_at(opening, "properties.port");
    const std::string state = text_at(opening, "properties.machineState");
    table.add({text_at(opening, "name"), machine, port + "/" + text_at(opening, "properties.protocol"),
               joined_at(opening, "properties.sources"), text_at(opening, "properties.requestor"),
               text_at(opening, "properties.endTimeUtc"), left_text(opening), state});
    const std::string said = text_at(opening, "properties.machineMessage");
    if (!said.empty()) notes += printable(machine + ", port " + port + ": " + said) + "\n";
  }
  show(context, answer, table.size() == 0 ? "Nothing is open.\n" : table.text() + notes);
  return kDone;
}

struct RevokeOptions {
  std::string which, resource_group;
};

Result<int> revoke(Context& context, const RevokeOptions& options) {
  Api api = TRY(Api::open(context));
  const bool by_id = Uuid::parse(options.which).has_value();
  const JsonObject all = TRY(openings(api, options.resource_group));
  JsonArray revoked;
  for (const Json& value : all.at("value").get_array()) {
    const JsonObject& opening = value.get_object();
    const std::string name =
        by_id ? text_at(opening, "name") : last_segment(text_at(opening, "properties.virtualMachineId"));
    if (!ascii_iequal(name, options.which)) continue;
    const Answer answer = TRY(revoke_opening(api, TRY(scope_path(text_at(opening, "id")))));
    revoked.push_back(answer.body);
  }
  if (revoked.empty())
    return fail(ErrorKind::not_found, "NothingToRevoke",
                "Nothing is open by the id or for the machine '" + options.which +
                    "'. 'merlon jit list' shows what is.");
  const size_t count = revoked.size();
  show(context, {{"value", std::move(revoked)}},
       "Closed " + std::to_string(count) + (count == 1 ? " opening.\n" : " openings.\n"));
  return kDone;
}

struct ExtendOptions {
  std::string which, resource_group, duration = "30m", justification;
};

// The only opening that is meant: by its id, or of a machine that has no other of one's own.
Result<std::string> extended_path(Api& api, const ExtendOptions& options) {
  const bool by_id = Uuid::parse(options.which).has_value();
  const JsonObject all = TRY(openings(api, options.resource_group));
  std::vector<std::string> paths;
  for (const Json& value : all.at("value").get_array()) {
    const JsonObject& opening = value.get_object();
    const std::string name =
        by_id ? text_at(opening, "name") : last_segment(text_at(opening, "properties.virtualMachineId"));
    if (ascii_iequal(name, options.which)) paths.push_back(TRY(scope_path(text_at(opening, "id"))));
  }
  if (paths.empty())
    return fail(ErrorKind::not_found, "NothingToExtend",
                "Nothing is open by the id or for the machine '" + options.which +
                    "'. 'merlon jit list' shows what is; 'merlon jit request' asks for access.");
  if (paths.size() > 1)
    return fail(ErrorKind::conflict, "SeveralOpenings",
                "Several ports of '" + options.which +
                    "' are open. Say which by its id: 'merlon jit list' shows them.");
  return paths.front();
}

Result<int> extend(Context& context, const ExtendOptions& options) {
  JsonObject body = {{"duration", TRY(iso_duration(options.duration, "--for"))}};
  if (!options.justification.empty()) body["justification"] = options.justification;
  Api api = TRY(Api::open(context));
  const std::string path = TRY(extended_path(api, options));
  const JsonObject opening = TRY(api.post(path + "/extend", kMerlonVersion, body)).body;
  const JsonObject* waits = object_at(opening, "properties.extension");
  const std::string until = text_at(opening, "properties.endTimeUtc");
  show(context, opening,
       waits == nullptr
           ? printable("Open until " + until) + ".\n"
           : printable("The extension waits for the approval of " + text_at(*waits, "approvalsRequired") +
                       ", until " + text_at(*waits, "waitsUntilUtc") + ". Without it the port closes at " +
                       until) +
                 ".\n'merlon jit pending' shows it.\n");
  return kDone;
}

Command request_command() {
  return make_command(
      "jit request", "Open ports of a machine for your address and a time",
      "merlon jit request web-1 --port 22 --for 30m --wait -- ssh admin@web-1\n"
      "The command after -- runs once the port is open, and the port is closed when it ends.\n"
      "The exit code is then the command's.",
      request_access, [](Command& command, RequestOptions& options) {
        command.text("machine", options.machine, "Name of the machine")
            .required()
            .text("--resource-group,-g", options.resource_group,
                  "Its resource group, when the name is not unique")
            .texts("--port", options.ports, "Ports, as the policy allows them")
            .required()
            .text("--for", options.duration, "How long: 90s, 30m (when not given), 2h")
            .texts("--from", options.from,
                   "Addresses or prefixes that may connect; yours when not given, or 'me'")
            .text("--justification", options.justification, "Why; it is kept in the ledger")
            .flag("--wait", options.wait,
                  "Return when the machine itself says that the port is open: after the approval, when it "
                  "takes one");
        command.tail = &options.command;
      });
}

}  // namespace

std::vector<Command> jit_commands() {
  return {
      request_command(),
      make_command("jit list", "What is open now", "merlon jit list", list,
                   [](Command& command, ListOptions& options) {
                     command.text("--resource-group,-g", options.resource_group, "Only this group's");
                   }),
      make_command("jit revoke", "Close openings before their time", "merlon jit revoke web-1", revoke,
                   [](Command& command, RevokeOptions& options) {
                     command.text("which", options.which, "Id of an opening, or a machine: then all of its")
                         .required()
                         .text("--resource-group,-g", options.resource_group, "Only in this group");
                   }),
      make_command(
          "jit extend", "Let an opening of yours last longer, up to the policy's maximum",
          "merlon jit extend web-1 --for 1h", extend, [](Command& command, ExtendOptions& options) {
            command.text("which", options.which, "Id of an opening, or a machine of which one port is open")
                .required()
                .text("--for", options.duration, "How long from now: 30m (when not given), 2h")
                .text("--justification", options.justification, "Why; it is kept in the ledger")
                .text("--resource-group,-g", options.resource_group, "Only in this group");
          })};
}

}  // namespace merlon::cli
