// merlon run: a program that finds secrets in its environment. They go from the vault into this process's
// memory, and from there into the program's by execve(2): no file, no argument, no shell.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <ostream>

#include "cli/output.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

struct RunOptions {
  std::vector<std::string> secrets, command;
};

struct Wanted {
  std::string variable, vault, name;  // the name may go on with a version
};

// "DB_PASSWORD=vault/name" or "DB_PASSWORD=vault/name/version".
Result<Wanted> parse_wanted(const std::string& text) {
  const size_t equals = text.find('=');
  const size_t slash = equals == std::string::npos ? std::string::npos : text.find('/', equals);
  const auto wrong = [&] {
    return wrong_usage("'" + text + "' is not VARIABLE=VAULT/NAME, such as DB_PASSWORD=kv-web/db-password.");
  };
  if (equals == 0 || slash == std::string::npos || slash == equals + 1 || slash + 1 == text.size())
    return wrong();
  Wanted wanted{text.substr(0, equals), text.substr(equals + 1, slash - equals - 1), text.substr(slash + 1)};
  for (const char c : wanted.variable)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return wrong();
  if (wanted.variable.front() >= '0' && wanted.variable.front() <= '9') return wrong();
  return wanted;
}

std::string secret_path(const std::string& name) {
  const size_t slash = name.find('/');
  if (slash == std::string::npos) return "/secrets/" + part(name);
  return "/secrets/" + part(name.substr(0, slash)) + "/" + part(name.substr(slash + 1));
}

Result<int> run(Context& context, const RunOptions& options) {
  std::vector<Wanted> wanted;
  for (const std::string& text : options.secrets) wanted.push_back(TRY(parse_wanted(text)));
  if (options.command.empty())
    return wrong_usage("Say what to run after '--': merlon run --secret … -- ./server");
  Api api = TRY(Api::open(context));
  std::map<std::string, VaultApi> vaults;
  std::map<std::string, Secret> variables;
  for (const Wanted& one : wanted) {
    auto vault = vaults.find(one.vault);
    if (vault == vaults.end()) vault = vaults.emplace(one.vault, TRY(VaultApi::open(api, one.vault))).first;
    const JsonObject secret = TRY(vault->second.call("GET", secret_path(one.name)));
    const std::string value = string_at(secret, "value").value_or("");
    if (value.find('\0') != std::string::npos)
      return fail(ErrorKind::invalid, "ValueNotUsable",
                  "The secret '" + one.name + "' holds a zero byte, which no environment variable can.");
    if (!variables.emplace(one.variable, Secret(one.variable + "=" + value)).second)
      return wrong_usage("The variable " + one.variable + " is given twice.");
  }
  context.out.flush();
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!variables.contains(text.substr(0, text.find('=')))) kept.push_back(text);
  }
  for (const auto& [name, value] : variables) kept.emplace_back(value.expose_text());
  std::vector<char*> environment, arguments;
  for (std::string& text : kept) environment.push_back(text.data());
  environment.push_back(nullptr);
  std::vector<std::string> command = options.command;
  for (std::string& text : command) arguments.push_back(text.data());
  arguments.push_back(nullptr);
  ::execvpe(arguments.front(), arguments.data(), environment.data());
  return fail(ErrorKind::not_found, "CannotRun",
              "'" + options.command.front() + "' could not be started: " + std::strerror(errno) + ".");
}

}  // namespace

std::vector<Command> run_commands() {
  std::vector<Command> commands;
  commands.push_back(make_command(
      "run", "Run a program with secrets in its environment",
      "merlon run --secret DB_PASSWORD=kv-web/db-password -- ./server", run,
      [](Command& command, RunOptions& options) {
        command.texts("--secret", options.secrets, "VARIABLE=VAULT/NAME, or VAULT/NAME/VERSION; repeatable")
            .required();
        command.without_output();
        command.tail = &options.command;
      }));
  return commands;
}

}  // namespace merlon::cli
