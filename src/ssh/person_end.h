// The session towards the person: an SSH server that says who they are (with the server's help), and joins
// their channels to the machine's. The outer one is on the socket; an inner one is inside a "direct-tcpip"
// channel of an outer one, as ssh -J opens it, so that what goes through it is ended here too.
//
// Messages are taken from libssh's queue one by one and answered in one place: each is judged by the state
// that this class keeps, whatever libssh believes. A message that comes out of order ends the session.
#pragma once

#include <poll.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "ssh/machine_end.h"
#include "ssh/parent_link.h"
#include "ssh/relay.h"

namespace merlon::ssh {

// What all sessions of the process share.
struct Site {
  ParentLink& link;
  ssh_bind bind;  // has the host key
  const Clock& clock;
  Duration grace = std::chrono::minutes(2);
};

class JumpWay;

struct Target {
  std::string machine, bastion;
  uint16_t port = 22;
};

class PersonEnd {
 public:
  enum class Place { outer, inner };

  // On an accepted socket, or (inner) on one end of a socket pair, towards `target`.
  static Result<std::unique_ptr<PersonEnd>> accept(Site& site, int socket, Place place, Target target = {});
  // Inner, and signed in at the machine already: what comes in was judged, and is recorded, by the process of
  // the person's connection.
  static Result<std::unique_ptr<PersonEnd>> lead_on(Site& site, int socket, MachineEnd machine);
  ~PersonEnd();
  PersonEnd(const PersonEnd&) = delete;
  PersonEnd& operator=(const PersonEnd&) = delete;

  bool step();  // true when something was done
  bool is_over() const { return over_; }
  void shut();  // the other end hears that it is over
  void add_polls(std::vector<pollfd>& polls) const;
  // Of the server, for `session`; 0 for all.
  void heed(uint32_t session, const JsonObject& notice);

 private:
  PersonEnd(Site& site, SessionHandle session, Place place, Target target);

  enum class State { key_exchange, signing_in, open };
  bool exchange_keys();
  bool take_messages();
  bool waits_for_moderator(ssh_message message);
  void handle(ssh_message message);
  void check_time();
  void end(const std::string& reason, const std::string& message);
  void tell_ended();

  // Who is it?
  void handle_auth(ssh_message message);
  void auth_key(ssh_message message);
  void auth_interactive(ssh_message message);
  void show_device_code(ssh_message message, const std::string& first_line);
  void let_in(ssh_message message);
  bool read_user(const std::string& user);

  // What do they want?
  void handle_open(ssh_message message);
  void open_forward(ssh_message message);
  void refuse_shell(const std::string& host, int port);
  bool leads_off_the_record(int port) const;
  void handle_request(ssh_message message);
  void request_terminal(ssh_message message, Relay& relay);
  void request_variable(ssh_message message, Relay& relay);
  void request_start(ssh_message message, Relay& relay);
  std::string refusal_of(int type, const std::string& what) const;
  void tell_command(const std::string& command, bool terminal);
  void prepare_start(int type, const std::string& what, Relay& relay);
  Relay* relay_of(ssh_channel channel);
  // The machine's channel for the relay; a sentence when there is none.
  std::optional<std::string> reach(Relay& relay);
  std::optional<std::string> admit();
  void fact(std::string_view kind, JsonObject facts);
  void tell(FrameKind kind, std::string_view payload);

  Site& site_;
  SessionHandle session_;
  const Place place_;
  Target target_;
  std::string login_;
  std::string user_;  // as it was first asked for
  State state_ = State::key_exchange;
  bool service_asked_ = false;
  bool over_ = false;
  unsigned attempts_ = 0;
  struct Device {
    std::string page, code;
    unsigned asked = 0;
  };
  std::optional<Device> device_;

  uint32_t passage_ = 0;  // the server's number for what was admitted; 0 for lead_on(), too
  std::optional<std::string> refused_;
  JsonObject allowed_;
  // Nothing passes: whoever must look on is not there. What was asked for meanwhile waits.
  bool held_ = false;
  std::deque<MessageHandle> waiting_;
  std::optional<MachineEnd> machine_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::vector<std::unique_ptr<JumpWay>> ways_;
  Duration began_;
  Duration moved_;  // when a byte last went either way
  std::string reason_ = "ClientClosed", message_;
  std::optional<int> exit_status_;
  uint64_t to_machine_bytes_ = 0, to_person_bytes_ = 0;
};

// A channel of an outer session with an inner one inside.
class JumpWay {
 public:
  static Result<std::unique_ptr<JumpWay>> open(Site& site, ssh_channel channel, Target target);
  ~JumpWay();
  JumpWay(const JumpWay&) = delete;
  JumpWay& operator=(const JumpWay&) = delete;
  bool step();
  bool is_over() const { return over_; }
  void add_polls(std::vector<pollfd>& polls) const;
  PersonEnd& inner() { return *inner_; }

 private:
  JumpWay(ssh_channel channel, Descriptor feed, std::unique_ptr<PersonEnd> inner)
      : channel_(channel), feed_(std::move(feed)), inner_(std::move(inner)) {}
  bool move_in();
  bool move_out();

  ssh_channel channel_;
  Descriptor feed_;
  std::unique_ptr<PersonEnd> inner_;
  std::string in_, out_;
  bool in_ended_ = false, out_ended_ = false;
  bool over_ = false;
};

}  // namespace merlon::ssh
