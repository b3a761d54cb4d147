// merlon recording export, import and verify: recordings as files.
#include <fmt/format.h>
#include <poll.h>

#include <fstream>
#include <iostream>
#include <ostream>

#include "base/text.h"
#include "cli/ledger_trust.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/recording_lookup.h"
#include "ledger/ledger.h"
#include "recording/asciicast.h"
#include "recording/verify.h"

namespace merlon::cli {
namespace {

constexpr size_t kLinesBytesMax = 512 * 1024;  // of an import, at once
constexpr size_t kLineBytesMax = 2 * 1024 * 1024;
constexpr int kTooFastMs = 300;

struct ExportOptions {
  std::string recording, scope, sealed_file, version = "2";
};

Result<int> export_sealed(Context& context, Api& api, const std::string& path, const std::string& name) {
  std::ofstream file(name, std::ios::binary | std::ios::trunc);
  int64_t offset = 0;
  for (bool more = true; more;) {
    const Answer answer = TRY(api.post(path + "/sealed", kMerlonVersion, {{"offset", offset}}));
    const auto bytes = from_base64(text_at(answer.body, "data"));
    if (!bytes) return fail(ErrorKind::internal, "AnswerNotUnderstood", "The server's answer holds no data.");
    file << as_text(*bytes);
    offset = int_at(answer.body, "next").value_or(offset);
    more = !bool_at(answer.body, "atEnd").value_or(true);
  }
  if (!file.flush())
    return fail(ErrorKind::invalid, "FileError", "The file '" + name + "' could not be written.");
  show(context, {{"file", name}, {"bytes", offset}},
       fmt::format("{} bytes in {}: 'merlon recording verify' takes it, with an export of the ledger.\n",
                   offset, printable(name)));
  return kDone;
}

Result<int> export_recording(Context& context, const ExportOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string path = TRY(recording_path(api, options.recording, options.scope));
  if (!options.sealed_file.empty()) return export_sealed(context, api, path, options.sealed_file);
  recording::CastV2 v2;
  TRY(read_content(api, path, {}, [&](std::string_view text) -> Result<void> {
    if (options.version == "3") {
      context.out << text;
      return {};
    }
    for (const std::string_view line : split(text, '\n'))
      if (!line.empty()) context.out << TRY(v2.convert(line));
    return {};
  }));
  return kDone;
}

struct ImportOptions {
  std::string file, scope;
};

Result<void> send_lines(Api& api, const std::string& path, std::string& lines) {
  if (lines.empty()) return {};
  for (;;) {
    const auto sent = api.post(path + "/append", kMerlonVersion, {{"events", lines}});
    if (sent) break;
    if (sent.error().code != "ImportTooFast") return std::unexpected(sent.error());
    static_cast<void>(::poll(nullptr, 0, kTooFastMs));
  }
  lines.clear();
  return {};
}

// Standard input is passed on as it comes: 'asciinema rec - | merlon recording import -' is recorded live.
Result<int> import(Context& context, const ImportOptions& options) {
  std::ifstream file;
  if (options.file != "-") {
    file.open(options.file, std::ios::binary);
    if (!file)
      return fail(ErrorKind::invalid, "FileError", "The file '" + options.file + "' could not be opened.");
  }
  std::istream& in = options.file == "-" ? std::cin : file;
  std::string line;
  std::getline(in, line);
  TRY(recording::parse_header(line));
  Api api = TRY(Api::open(context));
  const std::string scope = TRY(recordings_scope(api, options.scope));
  const Answer begun =
      TRY(api.post(scope + "/providers/Merlon.Bastion/importRecording", kMerlonVersion, {{"header", line}}));
  const std::string name = text_at(begun.body, "name");
  if (options.file == "-") context.err << "Recording " << name << "\n";
  const std::string path = TRY(recording_path(api, name, options.scope));
  std::string lines;
  while (std::getline(in, line)) {
    if (line.size() > kLineBytesMax)
      return fail(ErrorKind::invalid, "RecordingNotUnderstood", "A line of the file is longer than 2 MiB.");
    lines += line + "\n";
    if (lines.size() >= kLinesBytesMax || in.rdbuf()->in_avail() <= 0) TRY(send_lines(api, path, lines));
  }
  TRY(send_lines(api, path, lines));
  TRY(api.post(path + "/close", kMerlonVersion));
  show(context, begun.body, "Recording " + name + " is kept.\n");
  return kDone;
}

struct VerifyOptions {
  std::string recording, scope, ledger, file;
  LedgerTrust trust;
};

int tell(Context& context, const JsonObject& answer, const std::string& beside = {}) {
  const bool sound = bool_at(answer, "sound").value_or(false);
  std::string text = facts_text({{"Recording", sound ? "sound" : "NOT SOUND"},
                                 {"State", text_at(answer, "state")},
                                 {"Chunks", text_at(answer, "chunks")},
                                 {"In the ledger", text_at(answer, "chunksInLedger")},
                                 {"Hash of the last", text_at(answer, "hash")}});
  if (const JsonArray* problems = array_at(answer, "problems"))
    for (const Json& problem : *problems)
      text +=
          printable(text_at(problem.as_object(), "code") + ": " + text_at(problem.as_object(), "message")) +
          "\n";
  show(context, answer, text + beside);
  return sound ? kDone : kFailed;
}

// The entries of an export, which has been proven whole before.
Result<recording::LedgerFacts> facts_of(const std::string& path, const LedgerTrust& trust, const Uuid& id) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::invalid, "FileError", "The file '" + path + "' could not be opened.");
  TRY(ledger::verify_export(file, TRY(read_ledger_trust(trust))));
  file.clear();
  file.seekg(0);
  recording::LedgerFacts facts(id);
  for (std::string line; std::getline(file, line);) {
    const auto json = parse_json_object(line);
    const JsonObject* entry = json ? object_at(*json, "entry") : nullptr;
    if (entry == nullptr) continue;
    const JsonObject* details = object_at(*entry, "details");
    ledger::Entry of;
    of.action = text_at(*entry, "action");
    of.resource = text_at(*entry, "resource");
    if (details != nullptr) of.details = *details;
    facts.add(of);
  }
  return facts;
}

Result<int> verify_offline(Context& context, const VerifyOptions& options) {
  const auto id = Uuid::parse(last_segment(options.recording));
  if (!id) return wrong_usage("'" + options.recording + "' is no id of a recording.");
  const recording::LedgerFacts facts = TRY(facts_of(options.ledger, options.trust, *id));
  std::ifstream file(options.file, std::ios::binary);
  if (!file)
    return fail(ErrorKind::invalid, "FileError", "The file '" + options.file + "' could not be opened.");
  const recording::ReadAt read = [&file](uint64_t offset, size_t length) -> Result<Bytes> {
    Bytes bytes(length);
    file.clear();
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(length));
    bytes.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
    return bytes;
  };
  const recording::VerifyReport report = recording::verify_file(read, *id, facts);
  JsonArray problems;
  for (const auto& problem : report.problems)
    problems.push_back(JsonObject{{"code", problem.code}, {"message", problem.message}});
  return tell(context,
              {{"sound", report.sound()},
               {"state", report.state},
               {"chunks", report.chunks},
               {"bytes", report.bytes},
               {"hash", report.head},
               {"chunksInLedger", report.ledgered},
               {"keyWasGiven", !options.trust.key.empty()},
               {"witnessesWereGiven", !options.trust.witnesses.empty()},
               {"problems", std::move(problems)}},
              words_on_ledger_trust(options.trust));
}

Result<int> verify(Context& context, const VerifyOptions& options) {
  if (options.file.empty() != options.ledger.empty())
    return wrong_usage("To verify without a server give both: --sealed, the file, and --ledger, the export.");
  if (!options.file.empty()) return verify_offline(context, options);
  if (!options.trust.key.empty() || !options.trust.witnesses.empty())
    return wrong_usage("--key and --witness are for a file: give --sealed and --ledger as well.");
  Api api = TRY(Api::open(context));
  const Answer answer =
      TRY(api.post(TRY(recording_path(api, options.recording, options.scope)) + "/verify", kMerlonVersion));
  return tell(context, answer.body);
}

}  // namespace

std::vector<Command> recording_file_commands() {
  return {
      make_command(
          "recording export", "Write a recording to standard output, for asciinema",
          "merlon recording export 8f0e6b0e-… > session.cast", export_recording,
          [](Command& command, ExportOptions& options) {
            command.text("recording", options.recording, "Id of the recording, from recording list")
                .required()
                .choice("--cast-version", options.version, {"2", "3"},
                        "2, which every asciinema plays (when not given), or 3, with everything")
                .text("--sealed", options.sealed_file,
                      "Instead, write the sealed file as it is kept to this file, to be verified elsewhere")
                .text("--scope", options.scope, "Where your rights are, when not at the whole subscription");
          }),
      make_command(
          "recording import", "Keep a recording that asciinema made", "merlon recording import session.cast",
          import,
          [](Command& command, ImportOptions& options) {
            command
                .text("file", options.file, "asciicast of version 2 or 3; - is standard input, as it comes")
                .required()
                .text("--scope", options.scope, "The resource group or bastion that it is to belong to");
          }),
      make_command(
          "recording verify", "Prove that a recording is what was recorded",
          "merlon recording verify 8f0e6b0e-… --sealed session.sealed --ledger ledger.jsonl --key "
          "ledger-key.pem",
          verify, [](Command& command, VerifyOptions& options) {
            command.text("recording", options.recording, "Id of the recording, from recording list")
                .required()
                .text("--sealed", options.file, "Without a server: what 'recording export --sealed' wrote")
                .text("--ledger", options.ledger, "… and what 'ledger export' wrote")
                .text("--scope", options.scope, "Where your rights are, when not at the whole subscription");
            add_ledger_trust(command, options.trust);
          })};
}

}  // namespace merlon::cli
