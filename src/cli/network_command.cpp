// merlon network: service tags, which are names for addresses that rules may use.
#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "cli/api.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr size_t kFileBytesMax = 64 * 1024 * 1024;

std::string tag_sets_path(const std::string& subscription) {
  return subscription + "/providers/Merlon.Network/serviceTagSets";
}

// The published file is pretty-printed and larger than a request may be: only what the server keeps is sent.
Result<JsonObject> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return fail(ErrorKind::not_found, "FileNotFound", "The file '" + path + "' cannot be read.");
  const auto size = file.tellg();
  if (size < 0 || static_cast<size_t>(size) > kFileBytesMax)
    return fail(ErrorKind::invalid, "FileTooLarge",
                fmt::format("The file '{}' is larger than {} MB.", path, kFileBytesMax / 1024 / 1024));
  file.seekg(0);
  std::ostringstream text;
  text << file.rdbuf();
  auto json = parse_json_object(text.str(), {.bytes_max = kFileBytesMax});
  if (!json)
    return fail(ErrorKind::invalid, "InvalidServiceTags",
                "The file '" + path + "' is not JSON: " + json.error().message);
  JsonObject slim;
  for (const std::string_view key : {"changeNumber", "cloud"})
    if (const Json* value = json->if_contains(key)) slim[key] = *value;
  const JsonArray* values = array_at(*json, "values");
  if (values == nullptr)
    return fail(
        ErrorKind::invalid, "InvalidServiceTags",
        "The file '" + path +
            "' has no list 'values'. Load the file as Microsoft publishes it, or one of the same form: "
            R"({"values": [{"name": "corp-offices", "properties": {"addressPrefixes": ["192.0.2.0/24"]}}]}.)");
  JsonArray sent;
  for (const Json& element : *values) {
    const JsonObject* properties =
        element.is_object() ? object_at(element.get_object(), "properties") : nullptr;
    if (properties == nullptr) {
      sent.push_back(element);  // the server says what is wrong with it
      continue;
    }
    JsonObject kept;
    for (const std::string_view key : {"changeNumber", "region", "systemService", "addressPrefixes"})
      if (const Json* value = properties->if_contains(key)) kept[key] = *value;
    JsonObject tag;
    if (const Json* name = element.get_object().if_contains("name")) tag["name"] = *name;
    tag["properties"] = std::move(kept);
    sent.push_back(std::move(tag));
  }
  slim["values"] = std::move(sent);
  return slim;
}

std::string change_text(const JsonObject& answer) {
  std::string text = fmt::format(
      "{} added, {} changed, {} removed; {} machines got new rules.\n",
      text_at(answer, "properties.change.added"), text_at(answer, "properties.change.changed"),
      text_at(answer, "properties.change.removed"), text_at(answer, "properties.change.machines"));
  if (const JsonArray* retired = array_at(answer, "properties.change.retired"))
    for (const Json& element : *retired)
      if (element.is_object())
        text += "Still named by rules, which keep its last addresses: " +
                printable(text_at(element.get_object(), "tag") + " in " +
                          joined_at(element.get_object(), "networkSecurityGroups")) +
                "\n";
  return text;
}

struct ImportOptions {
  std::string file, set = "azure";
};

Result<int> import_tags(Context& context, const ImportOptions& options) {
  const JsonObject body = TRY(read_file(options.file));
  Api api = TRY(Api::open(context));
  const std::string path = tag_sets_path(TRY(api.subscription_id())) + "/" + part(options.set);
  const Answer answer = TRY(api.put(path, kMerlonVersion, body));
  show(context, answer.body,
       "The set " + printable(options.set) + " has " + text_at(answer.body, "properties.tags") +
           " service tags: " + change_text(answer.body));
  return kDone;
}

struct SetOptions {
  std::string set;
};

Result<int> list_sets(Context& context, const SetOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.list(tag_sets_path(TRY(api.subscription_id())), kMerlonVersion));
  Table table({"SET", "TAGS", "CHANGE NUMBER", "CLOUD", "LOADED", "BY"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& set = value.get_object();
    table.add({text_at(set, "name"), text_at(set, "properties.tags"), text_at(set, "properties.changeNumber"),
               text_at(set, "properties.cloud"), text_at(set, "properties.loaded"),
               text_at(set, "properties.loadedBy")});
  }
  show(context, answer,
       table.size() == 0
           ? "No service tags are loaded. 'merlon network service-tags import FILE' loads them.\n"
           : table.text());
  return kDone;
}

Result<int> remove_set(Context& context, const SetOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer =
      TRY(api.remove(tag_sets_path(TRY(api.subscription_id())) + "/" + part(options.set), kMerlonVersion));
  show(context, answer.body,
       "The set " + printable(options.set) + " is removed: " + change_text(answer.body));
  return kDone;
}

}  // namespace

std::vector<Command> network_commands() {
  return {
      make_command("network service-tags import", "Load service tags, in place of what the set had",
                   "merlon network service-tags import ServiceTags_Public.json", import_tags,
                   [](Command& command, ImportOptions& options) {
                     command
                         .text("file", options.file,
                               "Microsoft's 'Azure IP Ranges and Service Tags', or a file of the same form")
                         .required()
                         .text("--set", options.set,
                               "Which set it is; 'azure' when not given. Your own names go into another");
                   }),
      make_command("network service-tags list", "Show which sets of service tags are loaded",
                   "merlon network service-tags list", list_sets, [](Command&, SetOptions&) {}),
      make_command("network service-tags delete", "Remove a set; rules that name its tags keep what they had",
                   "merlon network service-tags delete corp", remove_set,
                   [](Command& command, SetOptions& options) {
                     command.text("set", options.set, "Which set").required();
                   })};
}

}  // namespace merlon::cli
