// Reaching the machine, keeping the record, and ending once.
#include "services/ssh_edge/session.h"

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "machine/reach.h"
#include "ssh/connect.h"

namespace merlon::ssh_edge {
namespace {

constexpr Duration kReachWithin = std::chrono::seconds(30);

ssh::Allowed allowed_of(const bastion::Admission& admission, bool recorded) {
  return {.shell = admission.channels.shell,
          .commands = admission.channels.commands,
          .forwarding = admission.channels.forwarding,
          .upload = admission.channels.upload,
          .download = admission.channels.download,
          .clipboard = admission.channels.clipboard,
          .recorded = recorded,
          .idle_max = admission.idle_max,
          .deadline = admission.deadline,
          .held_because = admission.held_because};
}

class Session final : public ssh::Passage {
 public:
  Session(const SessionParts& parts, identity::Principal caller, bastion::Admission admission,
          std::unique_ptr<Tape> tape)
      : parts_(parts),
        caller_(std::move(caller)),
        admission_(std::move(admission)),
        allowed_(allowed_of(admission_, tape != nullptr)),
        tape_(std::move(tape)) {}
  ~Session() override { end("Abandoned", "", {}); }

  const ssh::Allowed& allowed() const override { return allowed_; }

  Result<ssh::Connected> connect() override {
    const std::string name = resource_name();
    ssh::Connected connected;
    connected.host_keys =
        TRY(store::read_value<std::vector<std::string>>(parts_.core.store, [&](store::Reader& reader) {
          return parts_.identities.host_keys(reader, admission_.target_id);
        }));
    if (connected.host_keys.empty())
      return fail(
          ErrorKind::unavailable, "HostKeyNotKnown",
          "The host key of '" + name +
              "' is not known, and the bastion trusts none at first sight. Its agent "
              "reports it ('merlon machine show'), or, for an sshd of its own: merlon ssh host-keys " +
              name + " --file ssh_host_ed25519_key.pub");
    // Which of the two it is is settled here: who is refused by the one does not come in by the other.
    const auto found = TRY(find_credential(connected.host_keys));
    const auto waits = std::make_shared<ReachLimit::Place>(
        TRY(parts_.reach_limit.take(caller_.object_id.text(), admission_.target_id)));
    connected.socket = TRY(connect_to_machine(name));
    if (found) {
      connected.host_keys = found->host_keys;
      // Whoever signs in there waits for the machine, too: the place is given up with this function.
      connected.secret = [this, found = *found, waits] {
        return parts_.credentials.secret(found, {.person = caller_,
                                                 .session = admission_.session.text(),
                                                 .machine = admission_.target_id,
                                                 .login = admission_.login});
      };
      return connected;
    }
    auto credential = TRY(parts_.identities.machine_credential(caller_, admission_.login, machine_id(),
                                                               admission_.session.text()));
    connected.private_key = std::move(credential.private_key);
    connected.certificate = std::move(credential.certificate);
    return connected;
  }

  void watch(std::function<void(const ssh::Notice&)> tell) override {
    // Who says nothing for hours hears of it all the same.
    if (tape_ && admission_.recording == bastion::Recording::require)
      tape_->on_failure([tell](const Error& error) {
        tell({.ends = true,
              .reason = "RecordingFailed",
              .message =
                  "this session must be recorded, and its recording cannot be written: " + error.message});
      });
    parts_.bastion.watch(admission_.session, [tell = std::move(tell)](const bastion::Notice& notice) {
      tell({.ends = notice.kind == bastion::Notice::Kind::end,
            .reason = notice.reason,
            .message = notice.message,
            .hold = notice.hold});
    });
  }

  Result<void> output(std::string_view bytes) override {
    return keep([&] { return tape_->output(bytes); });
  }
  Result<void> input(std::string_view bytes) override {
    return keep([&] { return tape_->input(bytes); });
  }
  Result<void> resize(int64_t columns, int64_t rows) override {
    return keep([&] { return tape_->resize(columns, rows); });
  }
  Result<void> fact(std::string_view kind, JsonObject facts) override {
    return keep([&] { return tape_->fact(kind, std::move(facts)); });
  }

  Duration wait() const override { return tape_ && !ended_.load() ? tape_->wait() : Duration(0); }

  void end(std::string_view reason, std::string_view message, const JsonObject& facts) override {
    if (ended_.exchange(true)) return;
    std::optional<int> status;
    if (const auto given = int_at(facts, "exitStatus")) status = static_cast<int>(*given);
    if (tape_) tape_->close(reason, status);
    bastion::Ended ended{.reason = std::string(reason), .message = std::string(message)};
    ended.bytes_to_machine = bytes(facts, "bytesToMachine");
    ended.bytes_to_client = bytes(facts, "bytesToClient");
    if (status) ended.details["exitStatus"] = *status;
    if (const auto done = parts_.bastion.ended(admission_.session, ended); !done)
      log_error("the end of a session could not be written", done.error(),
                {{"session", admission_.session.text()}});
  }

 private:
  Result<std::optional<credential::Found>> find_credential(const std::vector<std::string>& host_keys) {
    return store::read_value<std::optional<credential::Found>>(parts_.core.store, [&](store::Reader& reader) {
      return parts_.credentials.find(reader, admission_.target_id, admission_.login, host_keys);
    });
  }
  // By itself, or led by the machine's agent, as the gate has entered it.
  Result<ssh::Descriptor> connect_to_machine(const std::string& name) {
    std::optional<machine::Machine> led_by;
    TRY(parts_.core.store.read([&](store::Reader& reader) -> Result<void> {
      const auto session = TRY(parts_.bastion.session(reader, admission_.session));
      if (session && string_at(*session, "properties.reachedBy") == "agent")
        led_by = TRY(parts_.machines.by_resource(reader, admission_.target_id));
      return {};
    }));
    if (!led_by)
      return ssh::connect_to(admission_.address, admission_.port, name, kReachWithin, parts_.core.clock);
    auto& reach = machine::reach_of(parts_.machines);
    return ssh::Descriptor(TRY(reach.reach(*led_by, admission_.address, admission_.port)));
  }
  static uint64_t bytes(const JsonObject& facts, std::string_view name) {
    return static_cast<uint64_t>(std::max<int64_t>(0, int_at(facts, name).value_or(0)));
  }
  std::string resource_name() const {
    return admission_.target_id.substr(admission_.target_id.rfind('/') + 1);
  }
  std::string machine_id() const {
    return admission_.machine_id.empty() ? admission_.target_id : admission_.machine_id;
  }
  // What is recorded as well as can be goes on without; what must be recorded does not.
  template <class Work>
  Result<void> keep(const Work& work) {
    if (!tape_ || ended_.load()) return {};
    const Result<void> done = work();
    if (done || admission_.recording == bastion::Recording::require) return done;
    log_error("a session goes on without its recording", done.error(),
              {{"session", admission_.session.text()}});
    tape_->close("failed", std::nullopt);
    tape_.reset();
    return {};
  }

  const SessionParts parts_;
  const identity::Principal caller_;
  const bastion::Admission admission_;
  const ssh::Allowed allowed_;
  std::unique_ptr<Tape> tape_;
  std::atomic<bool> ended_ = false;
};

}  // namespace

std::unique_ptr<ssh::Passage> make_session(const SessionParts& parts, const identity::Principal& caller,
                                           const bastion::Admission& admission, std::unique_ptr<Tape> tape) {
  return std::make_unique<Session>(parts, caller, admission, std::move(tape));
}

}  // namespace merlon::ssh_edge
