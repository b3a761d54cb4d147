// merlon jit: ask for access, see what is open, close it.
#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "base/uuid.h"
#include "cli/jit_lookup.h"
#include "cli/jit_request.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct ListOptions {
  std::string resource_group;
};

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(openings(api, options.resource_group));
  Table table({"ID", "MACHINE", "PORT", "FROM", "WHO", "LEFT", "MACHINE SAYS"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& opening = value.get_object();
    const std::string end = text_at(opening, "properties.endTimeUtc");
    const auto ends = from_rfc3339(end);
    table.add({text_at(opening, "name"), last_segment(text_at(opening, "properties.virtualMachineId")),
               text_at(opening, "properties.port") + "/" + text_at(opening, "properties.protocol"),
               joined_at(opening, "properties.sources"), text_at(opening, "properties.requestor"),
               ends ? to_human_duration(*ends - context.clock.now()) : end,
               text_at(opening, "properties.machineState")});
  }
  show(context, answer, table.size() == 0 ? "Nothing is open.\n" : table.text());
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
            .texts("--from", options.from, "Addresses or prefixes that may connect; yours when not given")
            .text("--justification", options.justification, "Why; it is kept in the ledger")
            .flag("--wait", options.wait, "Return when the machine itself says that the port is open");
        command.tail = &options.command;
      });
}

}  // namespace

std::vector<Command> jit_commands() {
  return {request_command(),
          make_command("jit list", "What is open now", "merlon jit list", list,
                       [](Command& command, ListOptions& options) {
                         command.text("--resource-group,-g", options.resource_group, "Only this group's");
                       }),
          make_command("jit revoke", "Close openings before their time", "merlon jit revoke web-1", revoke,
                       [](Command& command, RevokeOptions& options) {
                         command
                             .text("which", options.which, "Id of an opening, or a machine: then all of its")
                             .required()
                             .text("--resource-group,-g", options.resource_group, "Only in this group");
                       })};
}

}  // namespace merlon::cli
