// merlon recording: sessions as they were recorded. See docs/recording.md.
#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "cli/output.h"
#include "cli/recording_lookup.h"

namespace merlon::cli {
namespace {

struct ListOptions {
  std::string scope, machine, user;
};

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  std::string query;
  const auto add = [&query](std::string_view name, const std::string& value) {
    if (!value.empty()) query += (query.empty() ? "" : "&") + std::string(name) + "=" + part(value);
  };
  add("machine", options.machine);
  add("user", options.user);
  const JsonObject answer =
      TRY(api.list(TRY(recordings_scope(api, options.scope)) + "/providers/Merlon.Bastion/recordings",
                   kMerlonVersion, query));
  Table table({"RECORDING", "STARTED", "LENGTH", "USER", "LOGIN", "MACHINE", "KIND", "STATE"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& one = value.get_object();
    table.add(
        {text_at(one, "name"), text_at(one, "properties.startTime"),
         play_time(int_at(one, "properties.durationMs").value_or(0)), text_at(one, "properties.userName"),
         text_at(one, "properties.login"), last_segment(text_at(one, "properties.machine")),
         text_at(one, "properties.kind"),
         bool_at(one, "properties.running").value_or(false) ? "running" : text_at(one, "properties.state")});
  }
  show(context, answer, table.size() == 0 ? "There are no recordings that you may see.\n" : table.text());
  return kDone;
}

struct OneOptions {
  std::string recording, scope;
};

void declare_one(Command& command, OneOptions& options) {
  command.text("recording", options.recording, "Id of the recording, from recording list")
      .required()
      .text("--scope", options.scope,
            "Where your rights are: the id of a resource group, bastion or machine; the subscription when "
            "not given");
}

Result<int> show_one(Context& context, const OneOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer =
      TRY(api.get(TRY(recording_path(api, options.recording, options.scope)), kMerlonVersion));
  const auto at = [&](const std::string& name) { return text_at(answer.body, "properties." + name); };
  show(context, answer.body,
       facts_text({{"Recording", text_at(answer.body, "name")},
                   {"State", at("running") == "true" ? "running" : at("state")},
                   {"Ended because", at("reason")},
                   {"User", at("userName")},
                   {"Signed in by", at("signedInBy")},
                   {"From", at("clientAddress")},
                   {"Login", at("login")},
                   {"Machine", at("machine")},
                   {"Bastion", at("bastion")},
                   {"Kind", at("kind")},
                   {"Title", at("title")},
                   {"Started", at("startTime")},
                   {"Ended", at("endTime")},
                   {"Length", play_time(int_at(answer.body, "properties.durationMs").value_or(0))},
                   {"Chunks", at("chunks")},
                   {"Hash of the last", at("hash")},
                   {"Kept until", at("keepUntil")},
                   {"Thread in the ledger", at("correlationId")}}));
  return kDone;
}

struct SearchOptions {
  std::string text, scope, count = "50";
};

Result<int> search(Context& context, const SearchOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string path =
      TRY(recordings_scope(api, options.scope)) + "/providers/Merlon.Bastion/searchRecordings";
  const auto most = static_cast<size_t>(std::max(1, std::atoi(options.count.c_str())));
  JsonArray hits;
  std::string after;
  int64_t unreadable = 0;
  do {
    const Answer answer = TRY(api.post(path, kMerlonVersion, {{"text", options.text}, {"after", after}}));
    for (const Json& hit : answer.body.at("value").as_array())
      if (hits.size() < most) hits.push_back(hit);
    unreadable += int_at(answer.body, "unreadable").value_or(0);
    after = text_at(answer.body, "next");
  } while (!after.empty() && hits.size() < most);
  Table table({"RECORDING", "STARTED", "AT", "USER", "MACHINE", "LINE"});
  for (const Json& value : hits) {
    const JsonObject& hit = value.get_object();
    table.add({text_at(hit, "name"), text_at(hit, "startTime"), play_time(int_at(hit, "atMs").value_or(0)),
               text_at(hit, "userName"), last_segment(text_at(hit, "machine")), text_at(hit, "line")});
  }
  if (unreadable > 0)
    context.err << fmt::format(
        "merlon: {} recordings could not be read to their end: 'merlon recording verify' says why.\n",
        unreadable);
  show(context, {{"value", hits}, {"unreadable", unreadable}},
       table.size() == 0 ? "Nothing was found.\n" : table.text());
  return kDone;
}

Result<int> remove(Context& context, const OneOptions& options) {
  Api api = TRY(Api::open(context));
  TRY(api.remove(TRY(recording_path(api, options.recording, options.scope)), kMerlonVersion));
  show(context, {{"name", options.recording}, {"deleted", true}},
       "The recording is deleted: its key is gone, and the ledger says so.\n");
  return kDone;
}

}  // namespace

Result<std::string> recordings_scope(Api& api, const std::string& scope) {
  return scope.empty() ? api.subscription_id() : scope_path(scope);
}

Result<std::string> recording_path(Api& api, const std::string& recording, const std::string& scope) {
  return TRY(recordings_scope(api, scope)) + "/providers/Merlon.Bastion/recordings/" +
         part(last_segment(recording));
}

Result<Content> read_content(Api& api, const std::string& path, const std::string& from,
                             const std::function<Result<void>(std::string_view text)>& take) {
  Content content{from, false};
  for (;;) {
    const Answer answer = TRY(api.post(path + "/content", kMerlonVersion, {{"from", content.next}}));
    content.next = text_at(answer.body, "next");
    content.ended = bool_at(answer.body, "ended").value_or(false);
    TRY(take(text_at(answer.body, "text")));
    if (bool_at(answer.body, "atEnd").value_or(true)) return content;
  }
}

std::string play_time(int64_t milliseconds) {
  const int64_t seconds = milliseconds / 1000;
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::vector<Command> recording_commands() {
  std::vector<Command> all{
      make_command("recording list", "List the recordings that you may see, newest first",
                   "merlon recording list --machine web-1", list,
                   [](Command& command, ListOptions& options) {
                     command.text("--machine", options.machine, "Of one machine, by name or id")
                         .text("--user", options.user, "Of one person, by user principal name")
                         .text("--scope", options.scope,
                               "Within this resource group, bastion or machine (its id)");
                   }),
      make_command("recording show", "Show what is known of a recording", "merlon recording show 8f0e6b0e-…",
                   show_one, declare_one),
      make_command(
          "recording search", "Search the text of all recordings", "merlon recording search 'rm -rf'", search,
          [](Command& command, SearchOptions& options) {
            command.text("text", options.text, "At least three letters of what was to be seen")
                .required()
                .text("--count,-n", options.count, "How many places to show; 50 when not given")
                .text("--scope", options.scope, "Within this resource group, bastion or machine (its id)");
          }),
      make_command("recording delete", "Delete a recording for good", "merlon recording delete 8f0e6b0e-…",
                   remove, declare_one)};
  for (Command& command : recording_play_commands()) all.push_back(std::move(command));
  for (Command& command : recording_file_commands()) all.push_back(std::move(command));
  return all;
}

}  // namespace merlon::cli
