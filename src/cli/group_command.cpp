// merlon group: groups of users and applications.
#include <ostream>

#include "cli/directory_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct CreateOptions {
  std::string name, description;
};

Result<int> create(Context& context, const CreateOptions& options) {
  Api api = TRY(Api::open(context));
  JsonObject body = {{"displayName", options.name}, {"mailEnabled", false}, {"securityEnabled", true}};
  std::string nickname;
  for (const char c : options.name)
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) nickname += c;
  body["mailNickname"] = nickname.empty() ? "group" : nickname.substr(0, 64);
  if (!options.description.empty()) body["description"] = options.description;
  const Answer answer = TRY(api.post("/v1.0/groups", {}, body));
  show(context, answer.body,
       facts_text({{"Group", options.name}, {"Object id", text_at(answer.body, "id")}}));
  return kDone;
}

struct NoOptions {};

Result<int> list(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.list("/v1.0/groups", {}));
  Table table({"NAME", "OBJECT ID", "DESCRIPTION"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& group = value.get_object();
    table.add({text_at(group, "displayName"), text_at(group, "id"), text_at(group, "description")});
  }
  show(context, answer, table.size() == 0 ? "There are no groups.\n" : table.text());
  return kDone;
}

struct NameOptions {
  std::string group, member;
};

Result<int> show_members(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject group = TRY(find_group(api, options.group));
  const JsonObject answer = TRY(api.list("/v1.0/groups/" + part(text_at(group, "id")) + "/members", {}));
  Table table({"NAME", "OBJECT ID"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& member = value.get_object();
    const std::string upn = text_at(member, "userPrincipalName");
    table.add({upn.empty() ? text_at(member, "displayName") : upn, text_at(member, "id")});
  }
  show(context, answer, table.size() == 0 ? "The group has no members.\n" : table.text());
  return kDone;
}

Result<int> remove(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject group = TRY(find_group(api, options.group));
  TRY(api.remove("/v1.0/groups/" + part(text_at(group, "id")), {}));
  show(context, {{"id", text_at(group, "id")}, {"deleted", true}},
       "The group " + printable(text_at(group, "displayName")) +
           " is gone, and what its members had by it.\n");
  return kDone;
}

Result<int> add_member(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string group = text_at(TRY(find_group(api, options.group)), "id");
  const Principal member = TRY(find_principal(api, options.member));
  TRY(api.post("/v1.0/groups/" + part(group) + "/members/$ref", {},
               {{"@odata.id", api.session().login().endpoint + "/v1.0/directoryObjects/" + member.id}}));
  show(context, {{"group", group}, {"member", member.id}},
       printable(member.name) + " is a member of " + printable(options.group) + ".\n");
  return kDone;
}

Result<int> remove_member(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string group = text_at(TRY(find_group(api, options.group)), "id");
  const Principal member = TRY(find_principal(api, options.member));
  TRY(api.remove("/v1.0/groups/" + part(group) + "/members/" + part(member.id) + "/$ref", {}));
  show(context, {{"group", group}, {"removed", member.id}},
       printable(member.name) + " is no member of " + printable(options.group) + " any more.\n");
  return kDone;
}

Result<int> add_owner(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string group = text_at(TRY(find_group(api, options.group)), "id");
  const Principal owner = TRY(find_principal(api, options.member));
  TRY(api.post("/v1.0/groups/" + part(group) + "/owners/$ref", {},
               {{"@odata.id", api.session().login().endpoint + "/v1.0/directoryObjects/" + owner.id}}));
  show(context, {{"group", group}, {"owner", owner.id}},
       printable(owner.name) + " may say now who is in " + printable(options.group) + ".\n");
  return kDone;
}

Result<int> remove_owner(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string group = text_at(TRY(find_group(api, options.group)), "id");
  const Principal owner = TRY(find_principal(api, options.member));
  TRY(api.remove("/v1.0/groups/" + part(group) + "/owners/" + part(owner.id) + "/$ref", {}));
  show(context, {{"group", group}, {"removed", owner.id}},
       printable(owner.name) + " does not own " + printable(options.group) + " any more.\n");
  return kDone;
}

}  // namespace

std::vector<Command> group_commands() {
  const auto group = [](Command& command, NameOptions& options) {
    command.text("group", options.group, "Name or object id").required();
  };
  const auto membership = [](Command& command, NameOptions& options) {
    command.text("--group", options.group, "Name or object id of the group")
        .required()
        .text("--member", options.member, "User principal name, client id, object id or name of the member")
        .required();
  };
  const auto ownership = [](Command& command, NameOptions& options) {
    command.text("--group", options.group, "Name or object id of the group")
        .required()
        .text("--owner", options.member, "User principal name, client id, object id or name of the owner")
        .required();
  };
  return {make_command("group create", "Make a group", "merlon group create --name operators", create,
                       [](Command& command, CreateOptions& options) {
                         command.text("--name", options.name, "Name to be shown")
                             .required()
                             .text("--description", options.description, "What it is for");
                       }),
          make_command("group list", "List groups", "merlon group list", list, [](Command&, NoOptions&) {}),
          make_command("group show", "List the members of a group", "merlon group show operators",
                       show_members, group),
          make_command("group delete", "Delete a group", "merlon group delete operators", remove, group),
          make_command("group add-member", "Add a user, an application or a group",
                       "merlon group add-member --group operators --member ada@merlon.example.org",
                       add_member, membership),
          make_command("group remove-member", "Take a member out",
                       "merlon group remove-member --group operators --member ada@merlon.example.org",
                       remove_member, membership),
          make_command("group add-owner", "Let a user or an application say who is in a group",
                       "merlon group add-owner --group operators --owner ada@merlon.example.org", add_owner,
                       ownership),
          make_command("group remove-owner", "End it",
                       "merlon group remove-owner --group operators --owner ada@merlon.example.org",
                       remove_owner, ownership)};
}

}  // namespace merlon::cli
