// merlon recording play and watch: the picture as it was, and nothing that would act on the viewer's own side
// (recording/terminal_guard.h).
#include <cstdlib>
#include <optional>
#include <ostream>

#include "base/text.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/recording_lookup.h"
#include "cli/until_signal.h"
#include "recording/asciicast.h"
#include "recording/terminal_guard.h"

namespace merlon::cli {
namespace {

constexpr auto kWatchEvery = std::chrono::milliseconds(300);
constexpr size_t kFileBytesMax = 256 * 1024 * 1024;

struct PlayOptions {
  std::string recording, scope, speed = "1", idle = "2";
  bool at_once = false;
};

struct Pace {
  double speed = 1;
  double idle_s = 2;
  bool at_once = false;
};

Result<double> positive(const std::string& text, std::string_view option) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value > 0) || value > 1e6)
    return wrong_usage("'" + text + "' is no number for " + std::string(option) + "; try 2 or 0.5.");
  return value;
}

// Shows events, one after the other, at their pace.
class Player {
 public:
  Player(Context& context, const SignalWatch& signals, Pace pace)
      : context_(context), signals_(signals), pace_(pace) {}

  // False when the person has had enough.
  Result<bool> play(std::string_view text) {
    for (const std::string_view line : split(text, '\n')) {
      if (line.empty()) continue;
      if (line.starts_with('{')) {
        form_ = TRY(recording::parse_header(line)).form;
        continue;
      }
      const auto event = TRY(recording::parse_event(line));
      if (event && !TRY(show(*event))) return false;
    }
    context_.out << std::flush;
    return true;
  }

  void finish() {
    if (!shown_) return;
    context_.out << recording::TerminalGuard::reset() << std::flush;
  }
  void at_once(bool yes) { pace_.at_once = yes; }

 private:
  Result<bool> show(const recording::CastEvent& event) {
    double wait_s = event.seconds;
    if (form_ == recording::CastForm::v2) {
      wait_s -= seconds_;
      seconds_ = event.seconds;
    }
    if (!pace_.at_once && wait_s > 0) {
      context_.out << std::flush;
      const double shown_s = std::min(wait_s, pace_.idle_s) / pace_.speed;
      if (signals_.wait(std::chrono::milliseconds(static_cast<int64_t>(shown_s * 1000)))) return false;
    } else if (signals_.wait(std::chrono::milliseconds(0))) {
      return false;
    }
    shown_ = true;
    if (event.code == 'o') context_.out << guard_.pass(event.data);
    return static_cast<bool>(context_.out);
  }

  Context& context_;
  const SignalWatch& signals_;
  Pace pace_;
  recording::CastForm form_ = recording::CastForm::v3;
  double seconds_ = 0;
  bool shown_ = false;
  recording::TerminalGuard guard_;
};

bool is_file(const std::string& name) { return name.ends_with(".cast") || name == "-"; }

Result<int> play(Context& context, const PlayOptions& options) {
  Pace pace{TRY(positive(options.speed, "--speed")), TRY(positive(options.idle, "--idle")), options.at_once};
  const SignalWatch signals;
  Player player(context, signals, pace);
  if (is_file(options.recording)) {
    const std::string text = TRY(read_named_file(options.recording, kFileBytesMax));
    const auto shown = player.play(text);
    player.finish();
    return shown ? Result<int>(kDone) : std::unexpected(shown.error());
  }
  Api api = TRY(Api::open(context));
  bool goes_on = true;
  const auto read = read_content(api, TRY(recording_path(api, options.recording, options.scope)), {},
                                 [&](std::string_view text) -> Result<void> {
                                   if (goes_on) goes_on = TRY(player.play(text));
                                   return {};
                                 });
  player.finish();
  if (!read) return std::unexpected(read.error());
  return kDone;
}

struct WatchOptions {
  std::string recording, scope;
};

Result<int> watch(Context& context, const WatchOptions& options) {
  const SignalWatch signals;
  Player player(context, signals, {.at_once = true});
  Api api = TRY(Api::open(context));
  const std::string path = TRY(recording_path(api, options.recording, options.scope));
  bool goes_on = true;
  std::string from;
  Result<Content> read = Content{};
  do {
    read = read_content(api, path, from, [&](std::string_view text) -> Result<void> {
      if (goes_on) goes_on = TRY(player.play(text));
      return {};
    });
    if (!read) break;
    from = read->next;
    if (read->ended) break;
  } while (goes_on && !signals.wait(kWatchEvery));
  player.finish();
  if (!read) return std::unexpected(read.error());
  if (read->ended) context.err << "The session has ended.\n";
  return kDone;
}

}  // namespace

Command play_command(std::string path) {
  const std::string example = "merlon " + path + " 8f0e6b0e-… --speed 2";
  return make_command(
      std::move(path), "Play a recording in this terminal", example, play,
      [](Command& command, PlayOptions& options) {
        command.without_output()
            .text("recording", options.recording, "Id of the recording, or a file that ends in .cast")
            .required()
            .text("--speed", options.speed, "So many times as fast")
            .text("--idle", options.idle, "The longest pause that is kept, in seconds; 2 when not given")
            .flag("--at-once", options.at_once, "Without any pause")
            .text("--scope", options.scope, "Where your rights are, when not at the whole subscription");
      });
}

std::vector<Command> recording_play_commands() {
  return {play_command("recording play"),
          make_command("recording watch", "Watch a running session", "merlon recording watch 8f0e6b0e-…",
                       watch, [](Command& command, WatchOptions& options) {
                         command.without_output()
                             .text("recording", options.recording, "Id of the recording, from recording list")
                             .required()
                             .text("--scope", options.scope,
                                   "Where your rights are, when not at the whole subscription");
                       })};
}

}  // namespace merlon::cli
