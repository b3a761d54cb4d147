// merlon bastion link: shareable links to machines.
#include "base/text.h"
#include "base/time_text.h"
#include "cli/bastion_tunnel.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct LinkOptions {
  std::string machine, bastion, resource_group, lasts, uses, port, login, justification;
  bool sign_in = false, mfa = false;
};

Result<int64_t> read_count(const std::string& text, const std::string& option, int64_t most) {
  const bool digits =
      !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string::npos;
  const int64_t number = digits ? std::stoi(text) : 0;
  if (number < 1 || number > most)
    return wrong_usage(option + " is a number from 1 to " + std::to_string(most) + ".");
  return number;
}

Result<std::string> machine_id(Api& api, const LinkOptions& options) {
  if (options.machine.starts_with('/')) return options.machine;
  return TRY(api.machine(options.machine, options.resource_group)).vm_id;
}

JsonObject machines_body(const std::string& machine) {
  return {{"vms", JsonArray{JsonObject{{"vm", JsonObject{{"id", machine}}}}}}};
}

Table table_of(const JsonArray& links) {
  Table table({"LINK", "MACHINE", "LOGIN", "MADE BY", "UNTIL", "USES", "ADDRESS"});
  for (const Json& value : links) {
    const JsonObject& link = value.get_object();
    const std::string machine = text_at(link, "vm.id");
    table.add({text_at(link, "id"), machine.substr(machine.rfind('/') + 1), text_at(link, "login"),
               text_at(link, "createdBy"), text_at(link, "expiresAt"),
               text_at(link, "uses") + " of " + text_at(link, "maximumUses"), text_at(link, "bsl")});
  }
  return table;
}

Result<std::string> path_of(Api& api, const std::string& bastion, std::string_view action) {
  const JsonObject host = TRY(bastion_or_only(api, bastion));
  return TRY(scope_path(text_at(host, "id"))) + "/" + std::string(action);
}

Result<int> create(Context& context, const LinkOptions& options) {
  Api api = TRY(Api::open(context));
  JsonObject body = machines_body(TRY(machine_id(api, options)));
  if (!options.lasts.empty()) {
    const auto lasts = from_human_duration(options.lasts);
    if (!lasts) return wrong_usage("--for is a time such as 8h, 30m or 2d.");
    body["expiresIn"] = to_iso8601_duration(*lasts);
  }
  if (!options.uses.empty()) body["maximumUses"] = TRY(read_count(options.uses, "--uses", 1000));
  if (!options.port.empty()) body["port"] = TRY(read_count(options.port, "--resource-port", 65535));
  if (!options.login.empty()) body["login"] = options.login;
  if (!options.justification.empty()) body["justification"] = options.justification;
  if (options.sign_in) body["signInRequired"] = true;
  if (options.mfa) body["mfaRequired"] = true;
  const Answer made =
      TRY(api.post(TRY(path_of(api, options.bastion, "createShareableLinks")), kBastionVersion, body));
  const JsonArray* value = array_at(made.body, "value");
  if (value == nullptr || value->empty())
    return fail(ErrorKind::internal, "AnswerNotUnderstood", "The server did not say what the link is.");
  const JsonObject& link = value->front().as_object();
  const std::string asks = text_at(link, "mfaRequired") == "true" ? "to have signed in with a second factor"
                           : text_at(link, "signInRequired") == "true" ? "to have signed in"
                                                                       : "nothing but the link";
  show(context, made.body,
       facts_text({{"Link", text_at(link, "bsl")},
                   {"Logs in as", options.login.empty() ? "nobody: it opens no terminal, make it with --login"
                                                        : options.login},
                   {"Until", text_at(link, "expiresAt")},
                   {"Sessions", text_at(link, "maximumUses")},
                   {"Its holder needs", asks}}));
  return kDone;
}

Result<int> list(Context& context, const LinkOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject body =
      options.machine.empty() ? JsonObject() : machines_body(TRY(machine_id(api, options)));
  const Answer known =
      TRY(api.post(TRY(path_of(api, options.bastion, "getShareableLinks")), kBastionVersion, body));
  const JsonArray* value = array_at(known.body, "value");
  const Table table = table_of(value == nullptr ? JsonArray() : *value);
  show(context, known.body,
       table.size() == 0 ? "There are none. 'merlon bastion link create' makes one.\n" : table.text());
  return kDone;
}

struct DeleteOptions {
  std::string link, machine, bastion, resource_group;
};

// The link whole, its token, or its id; or all of a machine.
Result<int> remove(Context& context, const DeleteOptions& options) {
  if (options.link.empty() == options.machine.empty())
    return wrong_usage("Give the link, or --machine to delete all of a machine's.");
  Api api = TRY(Api::open(context));
  if (!options.machine.empty()) {
    LinkOptions of_machine;
    of_machine.machine = options.machine;
    of_machine.resource_group = options.resource_group;
    const JsonObject body = machines_body(TRY(machine_id(api, of_machine)));
    TRY(api.post(TRY(path_of(api, options.bastion, "deleteShareableLinks")), kBastionVersion, body));
  } else {
    const std::string token = options.link.substr(options.link.rfind('/') + 1);
    TRY(api.post(TRY(path_of(api, options.bastion, "deleteShareableLinksByToken")), kBastionVersion,
                 {{"tokens", JsonArray{Json(token)}}}));
  }
  show(context, {}, "Deleted: whoever was in by it is put out.\n");
  return kDone;
}

}  // namespace

std::vector<Command> bastion_link_commands() {
  return {make_command(
              "bastion link create", "A link that lets whoever has it reach one machine",
              "merlon bastion link create web-1 --login deploy --for 2h --uses 1 --mfa", create,
              [](Command& command, LinkOptions& options) {
                command.text("machine", options.machine, "The machine, by name or resource id")
                    .required()
                    .text("--bastion,-b", options.bastion, "The bastion, when there are several")
                    .text("--resource-group,-g", options.resource_group,
                          "The machine's group, when several have the name")
                    .text("--login,-l", options.login,
                          "What its holder logs in as, without a password; you must be able to")
                    .text("--for", options.lasts, "How long it works (1d; 90d at most)")
                    .text("--uses", options.uses, "How many sessions it is good for (20)")
                    .flag("--sign-in", options.sign_in, "Its holder must have signed in, as anybody here")
                    .flag("--mfa", options.mfa, "… with a second factor")
                    .text("--resource-port", options.port, "The machine's port (22)")
                    .text("--justification", options.justification, "Why, for the ledger and policies");
              }),
          make_command("bastion link list", "The links through a bastion", "merlon bastion link list", list,
                       [](Command& command, LinkOptions& options) {
                         command.text("--machine", options.machine, "Those to this machine alone")
                             .text("--bastion,-b", options.bastion, "The bastion, when there are several")
                             .text("--resource-group,-g", options.resource_group,
                                   "The machine's group, when several have the name");
                       }),
          make_command("bastion link delete", "Make a link stop at once", "merlon bastion link delete LINK",
                       remove, [](Command& command, DeleteOptions& options) {
                         command.text("link", options.link, "The link, its last part, or its id")
                             .text("--machine", options.machine, "All links to this machine instead")
                             .text("--bastion,-b", options.bastion, "The bastion, when there are several")
                             .text("--resource-group,-g", options.resource_group,
                                   "The machine's group, when several have the name");
                       })};
}

}  // namespace merlon::cli
