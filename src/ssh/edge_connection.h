// The server's side of one connection: what its process may still ask, judged by what it was granted before.
// Everything here runs on the edge's own thread; what waits goes to a worker and comes back by post().
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "ssh/apart.h"
#include "ssh/desk.h"
#include "ssh/edge.h"
#include "ssh/frames.h"

namespace merlon::ssh {

// What the process of a connection is given to go on with: its way to the machine.
struct WayOn {
  Connected connected;
  std::unique_ptr<Apart> apart;  // a process in between has signed in, and has the connection
};

// What connections are given by the edge.
struct EdgeContext {
  Desk& desk;
  const Clock& clock;
  const EdgeLimits& limits;
  const Program& program;  // EdgeParameters
  // Runs on a worker; false when there are too many already.
  std::function<bool(std::function<void()>)> work;
  // Runs on the edge's thread, soon. From any thread.
  std::function<void(std::function<void()>)> post;
  std::function<void(const Source&)> failed;   // a connection from there: nobody signed in
  std::function<void(int socket)> will_write;  // there is something to be written where nothing was
};

// Of a connection from a page or a tunnel: who it is and where they go, which its process is told and cannot
// change.
struct Appointment {
  std::shared_ptr<Person> person;
  Destination to;
  bool speaks_ssh = false;  // from a tunnel; the login is the process's to say, as the person says it there
};

class EdgeConnection : public std::enable_shared_from_this<EdgeConnection> {
 public:
  EdgeConnection(EdgeContext& context, Descriptor socket, Source source, pid_t process,
                 std::optional<Appointment> appointment = std::nullopt)
      : context_(context),
        socket_(std::move(socket)),
        source_(source),
        process_(process),
        appointment_(std::move(appointment)) {
    if (appointment_) person_ = appointment_->person;
  }

  int socket() const { return socket_.get(); }
  pid_t process() const { return process_; }
  const Source& source() const { return source_; }
  bool is_known() const { return person_ != nullptr; }
  bool wants_to_write() const { return !out_.empty(); }
  // False: it is over, and the process is to be killed. `space`: to read into.
  bool read(std::span<char> space);
  bool write();
  // Of bytes as they come from the process. False as above.
  bool take(std::string_view bytes);
  // How long nothing more should be read from the process: it waits meanwhile, and its sessions with it.
  // Never where one of them was told to end, which it must be able to.
  Duration wait() const;
  void notify(uint32_t session, const Notice& notice);
  // Why a session should have ended by now that its process was told to end: the process does not obey, and
  // is to be killed. Asked again and again; what it was told counts from the first time.
  std::optional<std::string> overstays(Duration now);
  // Ends what was admitted and not ended yet. `why` for the record.
  void close(std::string_view why);

 private:
  bool handle(const Frame& frame);
  bool ask(std::string_view payload);
  void carry_out(Question question);
  bool record(const Frame& frame);
  bool finish(const Frame& frame);
  void answer(const JsonObject& json, Descriptor descriptor = {});
  void send(const Frame& frame);
  void refuse(const Error& error);

  // On a worker; their results come back as what to do on the edge's thread.
  using Then = std::function<void()>;
  Then begin();
  Then by_key(const Question& question);
  Then start_device();
  Then poll_device();
  Then admit(const Question& question);
  Then admitted(const Question& question, const std::shared_ptr<Passage>& passage, WayOn way);
  // A session that was refused after all.
  Then let_down(const std::shared_ptr<Passage>& passage, std::string_view reason, const Error& error);
  void forget(uint32_t session);
  void end_passage(const std::shared_ptr<Passage>& passage, std::string reason, std::string message,
                   JsonObject facts);

  EdgeContext& context_;
  Descriptor socket_;
  const Source source_;
  const pid_t process_;
  const std::optional<Appointment> appointment_;
  FrameBuffer in_;
  std::string out_;
  std::vector<std::pair<size_t, Descriptor>> descriptors_;  // to be sent with the byte at that place of out_
  bool asking_ = false;
  bool closed_ = false;
  bool was_refused_ = false;  // a key or a code
  unsigned questions_ = 0;
  std::shared_ptr<Person> person_;
  std::shared_ptr<DeviceCode> device_;
  unsigned devices_ = 0;
  uint32_t last_session_ = 0;
  std::map<uint32_t, std::shared_ptr<Passage>> passages_;
  std::map<uint32_t, std::unique_ptr<Apart>> aparts_;  // of passages that are signed in to by a secret
  struct Ending {
    std::string reason;
    std::optional<Duration> until;  // CLOCK_BOOTTIME
  };
  std::map<uint32_t, Ending> endings_;  // sessions whose process was told to end them
};

}  // namespace merlon::ssh
