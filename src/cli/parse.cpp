// The one file that knows CLI11, which is a large header.
#include "cli/parse.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <sstream>

#include "base/text.h"
#include "cli/version.h"

namespace merlon::cli {
namespace {

constexpr const char* kAbout =
    "Merlon: Azure's compute security, on machines that you own.\n"
    "Commands that speak to a server find it by 'merlon login' or by MERLON_ENDPOINT, MERLON_CA,\n"
    "MERLON_CLIENT_ID, MERLON_CLIENT_SECRET and MERLON_TENANT. Exit codes: 0 done, 1 refused or failed,\n"
    "2 wrong usage.";

const std::map<std::string, std::string>& group_summaries() {
  static const std::map<std::string, std::string> summaries = {
      {"admin", "The first administrator, the way back in, and the keys that sign tokens"},
      {"agent", "The agent on a protected machine"},
      {"app", "Applications: identities of programs"},
      {"bastion", "Ways in to machines without a public port"},
      {"bastion link", "Links that let whoever has one reach one machine"},
      {"bastion session", "Who is in through a bastion"},
      {"group", "Groups of users and applications"},
      {"identity", "What machines may act as, and who on them may ask for it"},
      {"jit", "Just-in-time access: ports that are open only for a while"},
      {"jit policy", "Which ports of which machines are closed until somebody asks"},
      {"key", "Keys in a vault"},
      {"cert", "Certificates in a vault"},
      {"ca", "Your own authorities, which issue a vault's certificates"},
      {"ledger", "The signed record of everything that happened"},
      {"machine", "Enrolled machines"},
      {"mfa", "Second factors: authenticator apps, recovery codes"},
      {"network", "Flow logs, and the service tags that rules name"},
      {"network flow-log", "What real connections were let in or refused, by which rule"},
      {"network service-tags", "The prefixes behind the names that rules may use"},
      {"nsg", "Network security groups"},
      {"nsg rule", "Security rules of a group"},
      {"root", "The root key of the server on this machine: where it is kept, and a new one"},
      {"role", "Who may do what, where, and why"},
      {"secret", "Values in a vault, which programs need and nobody should see"},
      {"ssh key", "Keys of your own that the bastion lets in"},
      {"session", "Who is signed in where"},
      {"state", "Backups of a server's state, and a state made of one again"},
      {"step-up", "What people do only shortly after a sign-in with a second factor"},
      {"user", "People"},
      {"vault", "Vaults: where secrets and keys are kept"}};
  return summaries;
}

struct Tree {
  CLI::App app{kAbout, "merlon"};
  std::map<std::string, CLI::App*> nodes;
  std::string output = "table";
  bool version = false;

  CLI::App& group(const std::string& path) {
    if (path.empty()) return app;
    if (const auto found = nodes.find(path); found != nodes.end()) return *found->second;
    const size_t space = path.rfind(' ');
    CLI::App& above = group(space == std::string::npos ? std::string() : path.substr(0, space));
    const auto summary = group_summaries().find(path);
    CLI::App* made =
        above.add_subcommand(space == std::string::npos ? path : path.substr(space + 1),
                             summary == group_summaries().end() ? std::string() : summary->second);
    made->require_subcommand(1);
    nodes[path] = made;
    return *made;
  }
};

void add_option(CLI::App& leaf, const Option& option, bool greedy) {
  CLI::Option* added = nullptr;
  if (auto* const* flag = std::get_if<bool*>(&option.target)) {
    added = leaf.add_flag(option.names, **flag, option.help);
  } else if (auto* const* text = std::get_if<std::string*>(&option.target)) {
    added = leaf.add_option(option.names, **text, option.help)->type_name("");
  } else {
    // Repeated, separated by commas, or several after one name where no other argument could follow.
    added = leaf.add_option(option.names, *std::get<std::vector<std::string>*>(option.target), option.help)
                ->type_name("")
                ->delimiter(',')
                ->allow_extra_args(greedy);
  }
  if (!option.choices.empty()) {
    const std::vector<std::string> choices = option.choices;
    added->transform(CLI::Validator(
        [choices](std::string& given) {
          for (const std::string& choice : choices)
            if (ascii_iequal(choice, given)) {
              given = choice;
              return std::string();
            }
          return "'" + given + "' is not one of " + join(choices, ", ");
        },
        "{" + join(choices, ",") + "}"));
  }
  if (option.required) added->required();
}

void add_command(Tree& tree, const Command& command) {
  const size_t space = command.path.rfind(' ');
  CLI::App& above = tree.group(space == std::string::npos ? std::string() : command.path.substr(0, space));
  CLI::App* leaf = above.add_subcommand(
      space == std::string::npos ? command.path : command.path.substr(space + 1), command.summary);
  tree.nodes[command.path] = leaf;
  const bool greedy = std::none_of(command.options.begin(), command.options.end(),
                                   [](const Option& option) { return !option.names.starts_with('-'); });
  for (const Option& option : command.options) add_option(*leaf, option, greedy);
  if (command.has_output)
    leaf->add_option("--output,-o", tree.output, "How to show the answer: table or json")
        ->type_name("")
        ->check(CLI::IsMember({"table", "json"}));
  std::string footer = "Example:\n  " + command.example;
  for (size_t at = footer.find('\n', 10); at != std::string::npos; at = footer.find('\n', at + 3))
    footer.replace(at, 1, "\n  ");
  leaf->footer(footer);
}

// The deepest: "ssh" is a command, and "ssh cert" another one below it.
const Command* chosen(const std::vector<Command>& commands, const Tree& tree) {
  const Command* found = nullptr;
  for (const Command& command : commands)
    if (tree.nodes.at(command.path)->parsed() &&
        (found == nullptr || found->path.size() < command.path.size()))
      found = &command;
  return found;
}

// What follows "--" belongs to the command that is run, whatever it looks like.
std::optional<std::vector<std::string>> cut_tail(std::vector<std::string>& arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  if (dashes == arguments.end()) return std::nullopt;
  std::vector<std::string> tail(dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  return tail;
}

Parsed report(const Tree& tree, const CLI::Error& error) {
  std::ostringstream out, err;
  const int code = tree.app.exit(error, out, err);
  if (code == 0) return {.command = nullptr, .exit_code = kDone, .output = {}, .text = out.str()};
  return {.command = nullptr, .exit_code = kWrongUsage, .output = {}, .text = "merlon: " + err.str()};
}

Parsed wrong(std::string text) {
  return {.command = nullptr, .exit_code = kWrongUsage, .output = {}, .text = std::move(text)};
}

}  // namespace

Parsed parse(const std::vector<Command>& commands, std::vector<std::string> arguments) {
  const auto tail = cut_tail(arguments);
  Tree tree;
  tree.app.require_subcommand(0, 1);
  tree.app.add_flag("--version", tree.version, "Print the version and stop");
  tree.app.set_help_flag("--help,-h", "Print this help and stop");
  for (const Command& command : commands) add_command(tree, command);
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    tree.app.parse(arguments);
  } catch (const CLI::Error& error) {
    return report(tree, error);
  }
  if (tree.version) return {.command = nullptr, .exit_code = kDone, .output = {}, .text = version_line()};
  const Command* command = chosen(commands, tree);
  if (command == nullptr) return wrong(tree.app.help());
  if (tail && command->tail == nullptr)
    return wrong(fmt::format("merlon: '{}' takes nothing after '--'. Run with --help for more information.\n",
                             command->path));
  if (tail && tail->empty())
    return wrong("merlon: There is no command after '--'. Run with --help for more information.\n");
  if (tail) *command->tail = *tail;
  return {.command = command,
          .exit_code = kDone,
          .output = tree.output == "json" ? OutputForm::json : OutputForm::table,
          .text = {}};
}

}  // namespace merlon::cli
