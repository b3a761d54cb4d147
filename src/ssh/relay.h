// Two channels, one towards the person and one towards the machine, and what passes between them: bounded in
// both directions, recorded as it comes in, with ends and exit statuses passed on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ssh/libssh_handles.h"

#include <libssh/callbacks.h>

namespace merlon::ssh {

// Looks at bytes on their way; may hold some back, and answer in the other's place.
class StreamWatch {
 public:
  virtual ~StreamWatch() = default;
  // What goes on towards the machine; `answer` is appended to what goes to the person.
  virtual std::string from_person(std::string_view bytes, std::string& answer) = 0;
  virtual std::string from_machine(std::string_view bytes) = 0;
  virtual void ended() = 0;
  // Why nothing may go on any more; empty while it may. The person is told, and both channels are closed.
  virtual std::string_view objection() const { return {}; }
};

class Relay {
 public:
  // Takes both channels; `machine` may be added later.
  explicit Relay(ssh_channel person) : person_(person) { listen(person_, person_calls_); }
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  ssh_channel person() const { return person_; }
  ssh_channel machine() const { return machine_; }
  void join(ssh_channel machine);
  void record(std::function<void(std::string_view)> output) { output_ = std::move(output); }
  // What the person sends: all of it, or where somebody's terminal takes nothing, so that no echo is asked
  // for.
  enum class Inputs { all, unseen };
  void record_input(Inputs which, std::function<void(std::string_view)> input) {
    inputs_ = which;
    input_ = std::move(input);
  }
  void watch(std::unique_ptr<StreamWatch> watch) { watch_ = std::move(watch); }

  // Moves what can be moved; true when something was. Never waits.
  bool pump();
  // While held nothing is taken from either side: what comes waits in the channels' windows.
  void hold(bool held) { held_ = held; }
  bool is_over() const { return over_; }
  // Shows `text` to the person, and ends with `status`.
  void refuse(const std::string& text, int status);
  void say(const std::string& text);  // a line of ours in their terminal

  bool has_terminal = false;
  bool started = false;  // a shell, command or subsystem was asked for
  std::optional<int> exit_status;
  std::string exit_signal;
  uint64_t to_machine_bytes = 0, to_person_bytes = 0;

 private:
  struct Flow {
    std::string waiting;
    // libssh may have bytes that it has not offered, or that were not taken when it did.
    bool has_more = true;
    bool at_end = false, end_sent = false;
  };
  void listen(ssh_channel channel, ssh_channel_callbacks_struct& calls);
  // How much of what libssh offers, as soon as it has come, is taken.
  int offered(ssh_channel from, std::string_view bytes, bool is_error);
  bool has_room(const Flow& flow) const;
  bool takes_nothing() const;
  void take(Flow& flow, std::string_view bytes);
  bool read_rest(ssh_channel from, bool is_error, Flow& flow);
  void look_for_end(ssh_channel from, Flow& flow);
  bool write(ssh_channel to, bool is_error, Flow& flow);
  void pass_end(ssh_channel to, Flow& flow);
  void finish();

  ssh_channel person_ = nullptr;
  ssh_channel machine_ = nullptr;
  ssh_channel_callbacks_struct person_calls_{}, machine_calls_{};
  Flow up_, down_, down_error_;
  std::function<void(std::string_view)> output_, input_;
  Inputs inputs_ = Inputs::unseen;
  std::unique_ptr<StreamWatch> watch_;
  std::string signal_;  // from the person, not passed on yet
  bool held_ = false;
  bool over_ = false;
  bool refused_ = false;
};

}  // namespace merlon::ssh
