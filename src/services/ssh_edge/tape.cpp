// One recorder for each session.
#include "services/ssh_edge/tape.h"

#include "base/log.h"
#include "identity/directory.h"

namespace merlon::ssh_edge {
namespace {

class RecorderTape final : public Tape {
 public:
  explicit RecorderTape(std::unique_ptr<recording::Recorder> recorder) : recorder_(std::move(recorder)) {}
  Result<void> output(std::string_view bytes) override { return recorder_->output(bytes); }
  Result<void> input(std::string_view bytes) override { return recorder_->input(bytes); }
  Result<void> resize(int64_t columns, int64_t rows) override { return recorder_->resize(columns, rows); }
  Result<void> fact(std::string_view kind, JsonObject facts) override {
    return recorder_->fact(kind, std::move(facts));
  }
  Duration wait() const override { return recorder_->wait(); }
  void on_failure(std::function<void(const Error&)> tell) override { recorder_->on_failure(std::move(tell)); }
  void close(std::string_view reason, std::optional<int> exit_status) override {
    recorder_->on_failure({});
    if (const auto closed = recorder_->close(reason, exit_status); !closed)
      log_error("the end of a recording could not be written", closed.error());
  }

 private:
  const std::unique_ptr<recording::Recorder> recorder_;
};

}  // namespace

Result<std::unique_ptr<Tape>> begin_tape(const resource::Core& core, recording::Recordings& recordings,
                                         const identity::Principal& person,
                                         const bastion::Admission& admission) {
  recording::Opening opening;
  opening.session = admission.session.text();
  opening.scope = admission.bastion_id;
  opening.machine = admission.target_id;
  opening.kind = "shell";
  opening.login = admission.login;
  opening.signed_in_by = bastion::signed_in_by_text(admission.signed_in_by);
  opening.title = person.name + " as " + admission.login + " on " +
                  admission.target_id.substr(admission.target_id.rfind('/') + 1);
  opening.person = person.actor();
  // A link is whoever's that has it, however much its maker may do.
  if (admission.signed_in_by != bastion::SignedInBy::link)
    opening.may_use_reserve = TRY(store::read_value<bool>(core.store, [&](store::Reader& reader) {
      return core.directory.has_directory_role(reader, *Uuid::parse(identity::kGlobalAdministrator),
                                               person.object_id);
    }));
  opening.keep = admission.recording_kept;
  return std::make_unique<RecorderTape>(TRY(recordings.start(opening)));
}

}  // namespace merlon::ssh_edge
