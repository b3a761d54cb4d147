// merlon ledger: see the record, take it elsewhere, prove that nothing in it was changed.
#include "ledger/ledger.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "cli/api.h"
#include "cli/ledger_trust.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/until_signal.h"
#include "ledger/export_part.h"

namespace merlon::cli {
namespace {

constexpr std::string_view kEntries = "/providers/Merlon.Ledger/entries";
constexpr auto kFollowEvery = std::chrono::seconds(1);
constexpr int64_t kPageMax = 100;

enum class Pages { first, until_full };

struct TailOptions {
  std::string count = "20", action, resource;
  bool follow = false;
};

// "18:23:35  allowed  ada@…  Microsoft.Network/…/write  /subscriptions/…"
std::string entry_line(const JsonObject& entry) {
  std::string line = text_at(entry, "index") + "  " + text_at(entry, "time") + "  " +
                     text_at(entry, "decision") + "  " + text_at(entry, "action");
  const std::string name = text_at(entry, "actor.name");
  const std::string address = text_at(entry, "actor.address");
  line += "  by " + (name.empty() ? text_at(entry, "actor.kind") : name);
  if (!address.empty()) line += " from " + address;
  if (const std::string resource = text_at(entry, "resource"); !resource.empty()) line += "  " + resource;
  if (text_at(entry, "decision") != "allowed")
    if (const std::string reason = text_at(entry, "reason"); !reason.empty()) line += "  (" + reason + ")";
  if (int_at(entry, "count").value_or(1) > 1) line += "  ×" + text_at(entry, "count");
  if (const std::string why = text_at(entry, "justification"); !why.empty()) line += "  \"" + why + "\"";
  return printable(line) + "\n";
}

void show_entry(Context& context, const JsonObject& entry) {
  // One line for each in both forms: a stream that other programs can follow.
  context.out << (context.output == OutputForm::json ? to_text(entry) + "\n" : entry_line(entry))
              << std::flush;
}

Result<std::string> filter_query(const TailOptions& options) {
  std::vector<std::string> terms;
  if (!options.action.empty()) terms.push_back("startswith(action," + quoted_term(options.action) + ")");
  if (!options.resource.empty())
    terms.push_back("startswith(resource," + quoted_term(options.resource) + ")");
  if (terms.empty()) return std::string();
  return "&$filter=" + join(terms, "%20and%20");
}

// Where the list goes on, out of its nextLink; it has base64url alone.
std::string place_of(const JsonObject& page) {
  static constexpr std::string_view kName = "skiptoken=";
  const std::string link = string_at(page, "nextLink").value_or("");
  const size_t at = link.find(kName);
  if (at == std::string::npos) return {};
  const size_t begin = at + kName.size();
  return link.substr(begin, link.find('&', begin) - begin);
}

// The newest `count`, oldest first. Pages are short where the filter takes few of those that were looked at.
Result<std::vector<JsonObject>> newest(Api& api, int64_t count, const std::string& filter, Pages pages) {
  std::vector<JsonObject> entries;
  const std::string query = "$top=" + std::to_string(count) + filter;
  std::string place;
  do {
    const Answer answer = TRY(api.get(std::string(kEntries), kMerlonVersion,
                                      place.empty() ? query : query + "&$skiptoken=" + place));
    if (const JsonArray* values = array_at(answer.body, "value"))
      for (const Json& value : *values)
        if (value.is_object()) entries.push_back(value.get_object());
    place = place_of(answer.body);
  } while (pages == Pages::until_full && !place.empty() && entries.size() < static_cast<size_t>(count));
  if (entries.size() > static_cast<size_t>(count)) entries.resize(static_cast<size_t>(count));
  std::reverse(entries.begin(), entries.end());
  return entries;
}

// Looks again and again; a server that restarts meanwhile is waited for.
Result<int> follow(Context& context, const SignalWatch& signals, Api& api, int64_t last,
                   const std::string& filter) {
  while (!signals.wait(kFollowEvery)) {
    const auto entries = newest(api, kPageMax, filter, Pages::first);
    if (!entries && entries.error().kind == ErrorKind::unavailable) continue;
    if (!entries) return std::unexpected(entries.error());
    const int64_t first = entries->empty() ? last + 1 : int_at(entries->front(), "index").value_or(0);
    if (filter.empty() && last >= 0 && first > last + 1)
      context.err << "merlon: " << first - last - 1
                  << " entries came too fast to be shown; 'merlon ledger export' has them all.\n";
    for (const JsonObject& entry : *entries) {
      const int64_t index = int_at(entry, "index").value_or(-1);
      if (index <= last) continue;
      show_entry(context, entry);
      last = index;
    }
    if (!context.out) return kFailed;
  }
  return kDone;
}

Result<int> tail(Context& context, const TailOptions& options) {
  int64_t count = 0;
  const char* end = options.count.data() + options.count.size();
  const auto read = std::from_chars(options.count.data(), end, count);
  if (read.ec != std::errc() || read.ptr != end || count < 1 || count > 1000)
    return wrong_usage("The number '" + options.count + "' is not one from 1 to 1000.");
  std::optional<SignalWatch> signals;
  if (options.follow) signals.emplace();  // before the first connection makes its thread
  Api api = TRY(Api::open(context));
  const std::string filter = TRY(filter_query(options));
  int64_t last = -1;
  for (const JsonObject& entry : TRY(newest(api, count, filter, Pages::until_full))) {
    show_entry(context, entry);
    last = int_at(entry, "index").value_or(last);
  }
  return signals ? follow(context, *signals, api, last, filter) : Result<int>(kDone);
}

struct NoOptions {};

Result<int> export_ledger(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  for (std::string from = "0";;) {
    const net::Response part =
        TRY(api.raw("/providers/Merlon.Ledger/export", kMerlonVersion, "from=" + net::percent_encode(from)));
    context.out << part.body;
    const std::string* next = part.headers.find(ledger::kContinuedAtHeader);
    if (next == nullptr || !context.out) return kDone;
    from = *next;
  }
}

Result<int> head(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(api.get("/providers/Merlon.Ledger/head", kMerlonVersion));
  const JsonObject* signed_head = object_at(answer.body, "head");
  if (signed_head == nullptr)
    return fail(ErrorKind::internal, "AnswerNotUnderstood", "The server's answer holds no signed head.");
  show(context, answer.body, to_text(*signed_head) + "\n");
  return kDone;
}

struct VerifyOptions {
  std::string file;
  LedgerTrust trust;
};

Result<int> verify(Context& context, const VerifyOptions& given) {
  const ledger::VerifyOptions options = TRY(read_ledger_trust(given.trust));
  std::ifstream file(given.file, std::ios::binary);
  if (!file)
    return fail(ErrorKind::invalid, "FileError", "The file '" + given.file + "' could not be opened.");
  const ledger::VerifyReport report = TRY(ledger::verify_export(file, options));
  std::string text = facts_text({{"Verified", std::to_string(report.entries) + " entries"},
                                 {"Head of", to_rfc3339(report.head.time)},
                                 {"Root", to_hex(report.head.root)},
                                 {"Signed by", report.head.key_id},
                                 {"Witnesses confirmed", std::to_string(report.witnesses_confirmed)}});
  text += words_on_ledger_trust(given.trust);
  show(context,
       {{"entries", report.entries},
        {"head", report.head.to_json()},
        {"keyWasGiven", report.key_was_given},
        {"witnessesConfirmed", report.witnesses_confirmed}},
       text);
  return kDone;
}

}  // namespace

std::vector<Command> ledger_commands() {
  return {make_command("ledger tail", "Show the newest entries", "merlon ledger tail --follow", tail,
                       [](Command& command, TailOptions& options) {
                         command.flag("--follow,-f", options.follow, "Go on with what comes, until Ctrl-C")
                             .text("--count,-n", options.count, "How many to begin with; 20 when not given")
                             .text("--action", options.action, "Only actions that begin so: Merlon.Jit/")
                             .text("--resource", options.resource, "Only resources whose id begins so");
                       }),
          make_command("ledger export", "Write the whole ledger to standard output, as JSON lines",
                       "merlon ledger export > ledger.jsonl", export_ledger, [](Command&, NoOptions&) {}),
          make_command("ledger head", "Print the newest signed head: keep it elsewhere, as a witness",
                       "merlon ledger head >> heads.jsonl", head, [](Command&, NoOptions&) {}),
          make_command("ledger verify", "Prove an exported ledger whole and unchanged, without any server",
                       "merlon ledger verify ledger.jsonl --key ledger-key.pem --witness heads.jsonl", verify,
                       [](Command& command, VerifyOptions& options) {
                         command.text("file", options.file, "What 'merlon ledger export' wrote").required();
                         add_ledger_trust(command, options.trust);
                       })};
}

}  // namespace merlon::cli
