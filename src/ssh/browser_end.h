// The person's end of a session that comes from a browser: in place of an SSH server there are the page's
// frames (browser_frames.h). Who it is and where they go was settled by the server; from there on it is a
// session like any other, with the same end towards the machine, the same limits and the same recording.
#pragma once

#include <poll.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "ssh/browser_frames.h"
#include "ssh/machine_end.h"
#include "ssh/parent_link.h"
#include "ssh/relay.h"

namespace merlon::ssh {

// One channel between the page and the machine.
class BrowserChannel {
 public:
  // Takes `machine`.
  BrowserChannel(uint32_t number, ssh_channel machine, bool is_shell);
  ~BrowserChannel();
  BrowserChannel(const BrowserChannel&) = delete;
  BrowserChannel& operator=(const BrowserChannel&) = delete;

  void record(std::function<void(std::string_view)> output) { output_ = std::move(output); }
  void watch(std::unique_ptr<StreamWatch> watch) { watch_ = std::move(watch); }
  void from_page(std::string_view bytes);
  void taken(uint32_t count);
  // Moves what can be moved; frames for the page are appended to `out`. True when something was. Never waits.
  bool pump(std::string& out);
  bool has_room() const { return up_.size() < kBrowserWindow && down_.size() < 2 * kBrowserWindow; }
  bool is_shell() const { return is_shell_; }
  bool is_over() const { return over_; }
  ssh_channel machine() const { return machine_; }
  void close();

  std::optional<int> exit_status;
  uint64_t to_machine_bytes = 0, to_person_bytes = 0;

 private:
  bool read_machine();
  bool show(std::string& out);
  bool write_machine();

  const uint32_t number_;
  ssh_channel machine_;
  const bool is_shell_;
  ssh_channel_callbacks_struct calls_{};
  std::function<void(std::string_view)> output_;
  std::unique_ptr<StreamWatch> watch_;
  std::string up_, down_;
  size_t not_taken_ = 0;  // bytes that the page has not dealt with
  bool at_end_ = false, over_ = false;
};

class BrowserEnd {
 public:
  BrowserEnd(ParentLink& link, const Clock& clock, int socket)
      : link_(link), clock_(clock), socket_(socket) {}
  ~BrowserEnd() { shut(); }
  BrowserEnd(const BrowserEnd&) = delete;
  BrowserEnd& operator=(const BrowserEnd&) = delete;

  // Asks to be let in, and connects. `begun`: "machine", "login", "bastion", "port" as the server has settled
  // them.
  void enter(const JsonObject& begun);
  bool step();  // true when something was done
  bool is_over() const { return over_; }
  void shut();
  void add_polls(std::vector<pollfd>& polls) const;
  // Of the server, for `session`; 0 for all.
  void heed(uint32_t session, const JsonObject& notice);

 private:
  bool read_page();
  bool write_page();
  void take(BrowserFrame frame);
  void handle(const BrowserFrame& frame);
  void open_channel(const BrowserFrame& frame);
  std::string start(BrowserChannel& channel, const TerminalSize& size);
  void refuse_channel(uint32_t number, const std::string& message);
  void resize(BrowserChannel& channel, const BrowserFrame& frame);
  void end(const std::string& code, const std::string& message);
  void drop_ended();
  void check_time();
  bool passes(std::string_view what) const;
  bool has_room() const;
  void fact(std::string_view kind, JsonObject facts);
  void say(BrowserFrameKind kind, uint32_t channel, const JsonObject& json);

  ParentLink& link_;
  const Clock& clock_;
  const int socket_;
  BrowserFrameBuffer in_;
  std::string out_;
  std::string login_;
  uint32_t passage_ = 0;
  JsonObject allowed_;
  std::optional<MachineEnd> machine_;
  std::map<uint32_t, std::unique_ptr<BrowserChannel>> channels_;
  uint32_t last_channel_ = 0;
  bool had_shell_ = false;
  bool held_ = false;                 // nothing passes: there is no moderator
  std::deque<BrowserFrame> waiting_;  // what the page has sent meanwhile
  size_t waiting_bytes_ = 0;
  bool over_ = false;
  Duration moved_{};
  std::string reason_ = "ClientClosed", message_;
  std::optional<int> exit_status_;
  uint64_t to_machine_bytes_ = 0, to_person_bytes_ = 0;
};

}  // namespace merlon::ssh
