// merlon recording play and watch: the picture as it was, and nothing that would act on the viewer's own side
// (recording/terminal_guard.h).
#include <cstdlib>
#include <optional>
#include <ostream>

#include "base/text.h"
#include "cli/bastion_tunnel.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/recording_lookup.h"
#include "cli/until_signal.h"
#include "recording/asciicast.h"
#include "recording/terminal_guard.h"

namespace merlon::cli {
namespace {

constexpr auto kWatchEvery = std::chrono::milliseconds(300);
constexpr Duration kSayEvery = std::chrono::seconds(4);
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
  // For whoever looks on: commands and files as well, and what is sent where nothing echoes it.
  void tells_what_no_screen_shows() { tells_ = true; }

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
    if (tells_ && event.code == 'i') tell("input", event.data);
    if (tells_ && event.code == 'e') tell_fact(event.data);
    return static_cast<bool>(context_.out);
  }

  void tell_fact(const std::string& data) {
    auto fact = parse_json_object(data);
    if (!fact) return;
    const std::string kind = text_at(*fact, "kind");
    const std::string command = text_at(*fact, "command");
    fact->erase("kind");
    tell(kind, kind == "command" && !command.empty() ? command : to_text(*fact));
  }

  void tell(std::string_view what, std::string_view text) {
    context_.out << std::flush;
    for (const std::string_view line : split(text, '\n'))
      if (!line.empty()) context_.err << "\r\n[" << printable(what) << "] " << printable(line);
    context_.err << "\r\n" << std::flush;
  }

  Context& context_;
  const SignalWatch& signals_;
  Pace pace_;
  recording::CastForm form_ = recording::CastForm::v3;
  double seconds_ = 0;
  bool shown_ = false;
  bool tells_ = false;
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

// Shows what is written to a recording, until the session or the person's patience ends.
Result<int> follow(Context& context, Api& api, Player& player, const SignalWatch& signals,
                   const std::string& path, const std::function<Result<void>()>& each_turn) {
  bool goes_on = true;
  std::string from;
  Result<Content> read = Content{};
  do {
    TRY(each_turn());
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

struct WatchOptions {
  std::string recording, scope;
};

Result<int> watch(Context& context, const WatchOptions& options) {
  const SignalWatch signals;
  Player player(context, signals, {.at_once = true});
  player.tells_what_no_screen_shows();
  Api api = TRY(Api::open(context));
  const std::string path = TRY(recording_path(api, options.recording, options.scope));
  return follow(context, api, player, signals, path, [] { return Result<void>(); });
}

struct JoinOptions {
  std::string session, bastion;
};

// Looks on as the moderator whom the session waits for, for as long as this runs.
Result<int> join(Context& context, const JoinOptions& options) {
  const SignalWatch signals;
  Player player(context, signals, {.at_once = true});
  player.tells_what_no_screen_shows();
  Api api = TRY(Api::open(context));
  const JsonObject host = TRY(bastion_or_only(api, options.bastion));
  const std::string scope = TRY(scope_path(text_at(host, "id")));
  const std::string session = scope + "/providers/Merlon.Bastion/sessions/" + part(options.session);
  const Answer joined = TRY(api.post(session + "/join", kBastionVersion));
  context.err << "You look on at " << printable(text_at(joined.body, "properties.userName")) << " on "
              << printable(text_at(joined.body, "properties.targetHostName"))
              << ". The session waits or ends when you go (Ctrl-C).\n"
              << std::flush;
  std::string recording;
  const JsonObject known = TRY(api.list(scope + "/providers/Merlon.Bastion/recordings", kMerlonVersion));
  for (const Json& value : known.at("value").get_array())
    if (text_at(value.get_object(), "properties.session") == options.session)
      recording = text_at(value.get_object(), "id");
  if (recording.empty()) {
    TRY(api.post(session + "/leave", kBastionVersion));
    return fail(ErrorKind::not_found, "RecordingNotFound",
                "The recording of the session is not there, or is not yours to see "
                "(Merlon.Bastion/recordings/read at the bastion).");
  }
  Duration said = context.clock.boottime();
  const auto still_here = [&]() -> Result<void> {
    if (context.clock.boottime() - said < kSayEvery) return {};
    said = context.clock.boottime();
    const auto again = api.post(session + "/join", kBastionVersion);
    // One that has ended is seen to end where it is followed.
    if (!again && again.error().kind != ErrorKind::not_found) return std::unexpected(again.error());
    return {};
  };
  const auto seen = follow(context, api, player, signals, TRY(scope_path(recording)), still_here);
  if (const auto left = api.post(session + "/leave", kBastionVersion);
      !left && left.error().kind != ErrorKind::not_found)
    context.err << "merlon: the bastion was not told that you have left: " << printable(left.error().message)
                << "\n";
  return seen;
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
  return {
      play_command("recording play"),
      make_command("bastion session join", "Moderate a session: it waits for you, and you see what is done",
                   "merlon bastion session join ID", join,
                   [](Command& command, JoinOptions& options) {
                     command.without_output()
                         .text("session", options.session, "Its id, as the person who waits is told it")
                         .required()
                         .text("--bastion,-b", options.bastion, "The bastion, when there are several");
                   }),
      make_command("recording watch", "Watch a running session", "merlon recording watch 8f0e6b0e-…", watch,
                   [](Command& command, WatchOptions& options) {
                     command.without_output()
                         .text("recording", options.recording, "Id of the recording, from recording list")
                         .required()
                         .text("--scope", options.scope,
                               "Where your rights are, when not at the whole subscription");
                   })};
}

}  // namespace merlon::cli
