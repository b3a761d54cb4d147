// merlon secret: values that programs need and nobody should read over somebody's shoulder. A value never
// stands on a command line, where every user of the machine could see it.
#include <unistd.h>

#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/prompt.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

constexpr size_t kValueBytesMax = 25 * 1024;

std::string time_at(const JsonObject& json, std::string_view path) {
  const auto seconds = int_at(json, path);
  return seconds ? to_rfc3339(Timestamp(std::chrono::seconds(*seconds))) : std::string();
}

struct SecretOptions {
  std::string vault, name, version, file, content_type;
  bool deleted = false;
};

std::string path_of(const SecretOptions& options) {
  return "/secrets/" + part(options.name) + (options.version.empty() ? "" : "/" + part(options.version));
}

Result<int> set(Context& context, const SecretOptions& options) {
  Secret value;
  if (!options.file.empty()) {
    value = Secret(TRY(read_named_file(options.file, kValueBytesMax + 1)));
  } else {
    value = TRY(
        ask_secret("Value of " + options.name + ": ", "give --file FILE, or --file - for standard input"));
  }
  if (!is_utf8(value.expose_text()))
    return wrong_usage("The value is not UTF-8 text. Encode it first, for example with base64.");
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  JsonObject body{{"value", value.expose_text()}};
  if (!options.content_type.empty()) body["contentType"] = options.content_type;
  JsonObject made = TRY(vault.call("PUT", path_of(options), &body));
  made.erase("value");
  show(context, made, facts_text({{"Secret", text_at(made, "id")}}));
  return kDone;
}

Result<int> get(Context& context, const SecretOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject secret = TRY(vault.call("GET", path_of(options)));
  // Exactly the value, for $(…) and pipes.
  show(context, secret, string_at(secret, "value").value_or("") + (::isatty(STDOUT_FILENO) == 1 ? "\n" : ""));
  return kDone;
}

Result<int> list(Context& context, const SecretOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject known = TRY(vault.list(options.deleted ? "/deletedsecrets" : "/secrets"));
  Table table({"NAME", "ENABLED", "CREATED", "EXPIRES", "CONTENT TYPE"});
  for (const Json& value : known.at("value").get_array()) {
    const JsonObject& secret = value.get_object();
    table.add({last_segment(text_at(secret, "id")), text_at(secret, "attributes.enabled"),
               time_at(secret, "attributes.created"), time_at(secret, "attributes.exp"),
               text_at(secret, "contentType")});
  }
  show(context, known, table.size() == 0 ? "There are none.\n" : table.text());
  return kDone;
}

Result<int> act(Context& context, const SecretOptions& options, const char* method, const std::string& path,
                const std::string& what) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject answer = TRY(vault.call(method, path));
  show(context, answer.empty() ? JsonObject{{"name", options.name}} : answer, printable(options.name) + what);
  return kDone;
}

Result<int> remove(Context& context, const SecretOptions& options) {
  return act(context, options, "DELETE", path_of(options),
             " is deleted. 'merlon secret recover' brings it back until it is purged.\n");
}
Result<int> recover(Context& context, const SecretOptions& options) {
  return act(context, options, "POST", "/deletedsecrets/" + part(options.name) + "/recover", " is back.\n");
}
Result<int> purge(Context& context, const SecretOptions& options) {
  return act(context, options, "DELETE", "/deletedsecrets/" + part(options.name), " is destroyed.\n");
}

void in_vault(Command& command, SecretOptions& options) {
  command.text("--vault", options.vault, "Name of the vault").required();
}
void named(Command& command, SecretOptions& options) {
  in_vault(command, options);
  command.text("--name,-n", options.name, "Name of the secret").required();
}

}  // namespace

std::vector<Command> secret_commands() {
  return {
      make_command(
          "secret set", "Keep a value, as a new version",
          "head -c 24 /dev/urandom | base64 | merlon secret set --vault kv-web -n db-password --file -", set,
          [](Command& command, SecretOptions& options) {
            named(command, options);
            command
                .text("--file", options.file,
                      "Where the value is; - is standard input. Without it you are asked")
                .text("--content-type", options.content_type, "What it is, for people and programs");
          }),
      make_command("secret get", "Print a value", "merlon secret get --vault kv-web -n db-password", get,
                   [](Command& command, SecretOptions& options) {
                     named(command, options);
                     command.text("--version", options.version, "One version; the newest when not given");
                   }),
      make_command("secret list", "The secrets of a vault, without their values",
                   "merlon secret list --vault kv-web", list,
                   [](Command& command, SecretOptions& options) {
                     in_vault(command, options);
                     command.flag("--deleted", options.deleted, "Those that are deleted and not yet purged");
                   }),
      make_command("secret delete", "Delete a secret; it can be recovered for a while",
                   "merlon secret delete --vault kv-web -n db-password", remove, named),
      make_command("secret recover", "Bring a deleted secret back",
                   "merlon secret recover --vault kv-web -n db-password", recover, named),
      make_command("secret purge", "Destroy a deleted secret for good",
                   "merlon secret purge --vault kv-web -n db-password", purge, named)};
}

}  // namespace merlon::cli
