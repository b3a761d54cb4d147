// A command is declared once, as data beside what it does: its name, its options with their help, an example,
// and the function that carries it out. parse.cpp makes the command line of all of them.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace merlon::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

enum class OutputForm { table, json };

// What a command is given instead of reaching for it.
struct Context {
  std::function<std::optional<std::string>(const char*)> environment;  // empty variables count as absent
  std::ostream& out;
  std::ostream& err;
  const Clock& clock;
  Random& random;
  bool interactive = false;  // standard error is a terminal: progress may be shown
  OutputForm output = OutputForm::table;
};

using OptionTarget = std::variant<bool*, std::string*, std::vector<std::string>*>;

struct Option {
  std::string names;  // "--port,-p", or "machine" for a positional argument
  OptionTarget target;
  std::string help;
  bool required = false;
  std::vector<std::string> choices;  // any case is accepted; the value is as it stands here
};

struct Command {
  std::string path;     // "jit request"
  std::string summary;  // one line
  std::string example;  // shown at the end of --help
  std::vector<Option> options;
  std::vector<std::string>* tail = nullptr;  // takes what follows "--"
  bool has_output = true;                    // --output table|json
  std::function<Result<int>(Context&)> run;
  std::shared_ptr<void> values;  // owns what the options point into

  Command& flag(std::string names, bool& target, std::string help) {
    options.push_back({std::move(names), &target, std::move(help), false, {}});
    return *this;
  }
  Command& text(std::string names, std::string& target, std::string help) {
    options.push_back({std::move(names), &target, std::move(help), false, {}});
    return *this;
  }
  Command& texts(std::string names, std::vector<std::string>& target, std::string help) {
    options.push_back({std::move(names), &target, std::move(help), false, {}});
    return *this;
  }
  Command& choice(std::string names, std::string& target, std::vector<std::string> choices,
                  std::string help) {
    options.push_back({std::move(names), &target, std::move(help), false, std::move(choices)});
    return *this;
  }
  Command& required() {  // the option that was added last
    options.back().required = true;
    return *this;
  }
  Command& without_output() {
    has_output = false;
    return *this;
  }
};

// make_command("jit list", "What is open now", "merlon jit list", list, [](Command& c, ListOptions& o) {…})
template <class Values, class Declare>
Command make_command(std::string path, std::string summary, std::string example,
                     Result<int> (*run)(Context&, const Values&), Declare declare) {
  auto values = std::make_shared<Values>();
  Command command;
  command.path = std::move(path);
  command.summary = std::move(summary);
  command.example = std::move(example);
  declare(command, *values);
  command.run = [values, run](Context& context) { return run(context, *values); };
  command.values = std::move(values);
  return command;
}

// The command line was understood, but what it says cannot be meant: exit code 2.
std::unexpected<Error> wrong_usage(std::string message);
bool is_wrong_usage(const Error& error);

// Every command of the program, group by group in the order of `merlon --help`.
std::vector<Command> all_commands();
std::vector<Command> server_commands();
std::vector<Command> agent_commands();
std::vector<Command> login_commands();
std::vector<Command> admin_commands();
std::vector<Command> user_commands();
std::vector<Command> group_commands();
std::vector<Command> app_commands();
std::vector<Command> federation_commands();
std::vector<Command> session_commands();
std::vector<Command> mfa_commands();
std::vector<Command> step_up_commands();
std::vector<Command> role_commands();
std::vector<Command> vault_commands();
std::vector<Command> secret_commands();
std::vector<Command> key_commands();
std::vector<Command> cert_commands();
std::vector<Command> ca_commands();
std::vector<Command> ssh_commands();
std::vector<Command> ssh_identity_commands();
std::vector<Command> run_commands();
std::vector<Command> machine_commands();
std::vector<Command> identity_commands();
std::vector<Command> nsg_commands();
std::vector<Command> network_commands();
std::vector<Command> flow_log_commands();
std::vector<Command> jit_policy_commands();
std::vector<Command> jit_options_commands();
std::vector<Command> jit_commands();
std::vector<Command> jit_approval_commands();
std::vector<Command> ledger_commands();
std::vector<Command> state_commands();
std::vector<Command> root_commands();
std::vector<Command> status_commands();
std::vector<Command> simulate_commands();

}  // namespace merlon::cli
