// Polling, and cleaning up: whoever was told that it failed leaves nothing open, and nothing that may open
// later.
#include "cli/jit_access.h"

#include <ostream>

#include "cli/jit_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(250);
constexpr auto kAskEvery = std::chrono::milliseconds(1000);  // people take longer than machines
constexpr auto kOpenWithin = std::chrono::seconds(30);

std::unexpected<Error> interrupted(std::string what) {
  return fail(ErrorKind::invalid, "Interrupted", "Interrupted; " + std::move(what));
}

// "bob@example.org (go ahead)"
std::string verdict_text(const JsonObject& verdict) {
  const std::string why = text_at(verdict, "justification");
  return text_at(verdict, "name") + (why.empty() ? "" : " (" + why + ")");
}

}  // namespace

std::string approvals_text(const JsonObject& request) {
  const JsonArray* approvals = array_at(request, "properties.approvals");
  const size_t have = approvals == nullptr ? 0 : approvals->size();
  return std::to_string(have) + " of " + text_at(request, "properties.approvalsRequired");
}

Result<Answer> revoke_opening(Api& api, const std::string& opening_path) {
  return api.post(opening_path + "/revoke", kMerlonVersion);
}

Result<JsonObject> JitAccess::ask(const JsonObject& body) {
  auto answer = api_.post(policy_ + "/initiate", kJitVersion, body);
  if (!answer && answer.error().kind == ErrorKind::unavailable)
    answer.error().message += " Whether it was granted is not known: 'merlon jit list' shows what is open.";
  if (!answer) return std::unexpected(answer.error());
  request_id_ = text_at(answer->body, "id");
  if (request_id_.empty())
    return fail(ErrorKind::internal, "AnswerNotUnderstood", "The answer to the request names no request.");
  waits_ = text_at(answer->body, "approval.state") == "Pending";
  return std::move(answer->body);
}

Result<bool> JitAccess::is_approved() {
  const JsonObject request = TRY(api_.get(request_path(), kMerlonVersion)).body;
  const std::string state = text_at(request, "properties.state");
  if (state == "Pending") return false;
  if (state == "Approved") return true;
  if (state == "Denied") {
    const JsonObject* denial = object_at(request, "properties.denial");
    return fail(
        ErrorKind::forbidden, "RequestDenied",
        "The request was denied by " + (denial == nullptr ? "somebody" : verdict_text(*denial)) + ".");
  }
  if (state == "Expired")
    return fail(ErrorKind::conflict, "RequestExpired",
                "Nobody approved the request in time; nothing was opened. Ask again when somebody is there.");
  return fail(
      ErrorKind::conflict, "RequestCanceled",
      "The request was taken back (" + text_at(request, "properties.stateReason") + "); nothing was opened.");
}

Result<void> JitAccess::wait_until_approved(const SignalWatch& signals) {
  context_.err << "Request " << request_id_ << " waits for approval: merlon jit approve " << request_id_
               << "\n"
               << std::flush;
  const auto approved = [&]() -> Result<void> {
    for (;;) {
      const auto yes = is_approved();
      if (!yes && yes.error().kind != ErrorKind::unavailable) return std::unexpected(yes.error());
      // A server that is down for a while still has the request.
      const bool done = yes.value_or(false);
      if (signals.wait(done ? std::chrono::milliseconds(0) : kAskEvery)) {
        if (done) return interrupted("the request had been approved: see 'merlon jit list'.");
        take_back();
        return interrupted("the request is taken back.");
      }
      if (done) return {};
      if (context_.interactive) context_.err << "." << std::flush;
    }
  }();
  if (context_.interactive) context_.err << (approved ? " approved.\n" : "\n");
  return approved;
}

// Nobody waits for it any more, so it must not open later.
void JitAccess::take_back() {
  const auto canceled = api_.post(request_path() + "/cancel", kMerlonVersion);
  if (canceled) return;
  context_.err << "merlon: The request could not be taken back (" << printable(canceled.error().message)
               << "). Try: merlon jit cancel " << request_id_ << "\n";
}

Result<void> JitAccess::find_openings() {
  const JsonObject all = TRY(openings(api_, machine_.group));
  for (const Json& value : all.at("value").get_array()) {
    const JsonObject& opening = value.get_object();
    if (text_at(opening, "properties.requestId") != request_id_) continue;
    paths_.push_back(TRY(scope_path(text_at(opening, "id"))));
    openings_.push_back(opening);
  }
  if (!paths_.empty()) return {};
  return fail(
      ErrorKind::internal, "OpeningNotFound",
      "The request was granted, but its opening is not listed any more. 'merlon jit list' shows what is "
      "open.");
}

Result<bool> JitAccess::is_open(const JsonObject& opening) const {
  const std::string state = text_at(opening, "properties.machineState");
  const std::string message = text_at(opening, "properties.machineMessage");
  if (state == "open") return true;
  if (state.starts_with("blocked by"))
    return fail(ErrorKind::conflict, "BlockedOnTheMachine",
                "Merlon lets the connection pass, but something else on " + machine_.name +
                    " may drop it: " + state + ". Change that firewall, or remove it.");
  if (state == "refused")
    return fail(ErrorKind::conflict, "RefusedByTheMachine",
                machine_.name + " does not let it in. " + message +
                    " Its owner sets the cap in local.json beside the agent.");
  if (state == "no agent")
    return fail(ErrorKind::conflict, "NoAgent",
                machine_.name + " has no agent, so nothing opens it. Enrol it with 'merlon machine token'.");
  if (state == "closed" || state == "closing")
    return fail(ErrorKind::conflict, "ClosedAlready",
                "The opening has ended already: " + text_at(opening, "properties.statusReason") + ".");
  if (state == "closed by the machine") return fail(ErrorKind::conflict, "ClosedByTheMachine", message);
  return false;
}

Result<bool> JitAccess::all_open() {
  bool open = true;
  for (size_t i = 0; i < paths_.size(); ++i) {
    openings_[i] = TRY(api_.get(paths_[i], kMerlonVersion)).body;
    said_ = text_at(openings_[i], "properties.machineMessage");
    if (!TRY(is_open(openings_[i]))) open = false;
  }
  return open;
}

Result<void> JitAccess::wait_until_open(const SignalWatch& signals) {
  const Duration give_up = context_.clock.boottime() + kOpenWithin;
  if (context_.interactive) context_.err << "Waiting for " << printable(machine_.name) << " …" << std::flush;
  const auto opened = [&]() -> Result<void> {
    for (bool open = false; !open;) {
      open = TRY(all_open());
      if (signals.wait(open ? std::chrono::milliseconds(0) : kPollEvery))
        return interrupted("the port is closed again.");
      if (!open && context_.clock.boottime() > give_up)
        return fail(ErrorKind::unavailable, "MachineDidNotOpen",
                    machine_.name + " has not said within 30 s that the port is open. " + said_ +
                        (said_.empty() ? "" : " ") + "'merlon machine show " + machine_.name +
                        "' says whether its agent is connected.");
      if (!open && context_.interactive) context_.err << "." << std::flush;
    }
    return {};
  }();
  if (context_.interactive) context_.err << (opened ? " open.\n" : "\n");
  return opened;
}

std::string JitAccess::opened_text() const {
  std::string text;
  for (const JsonObject& opening : openings_) {
    text += printable("Port " + text_at(opening, "properties.port") + " of " + machine_.name +
                      " is open for " + joined_at(opening, "properties.sources") + " until " +
                      text_at(opening, "properties.endTimeUtc")) +
            ".\n";
    const std::string said = text_at(opening, "properties.machineMessage");
    if (text_at(opening, "properties.machineState") == "open" && !said.empty())
      text += printable(said) + "\n";
  }
  return text;
}

void JitAccess::close() {
  for (const std::string& path : paths_) {
    const auto revoked = revoke_opening(api_, path);
    if (!revoked && revoked.error().kind != ErrorKind::not_found)
      context_.err << "merlon: The opening could not be closed early (" << printable(revoked.error().message)
                   << "); it ends by itself at its time. Try: merlon jit revoke "
                   << printable(last_segment(path)) << "\n";
  }
  if (context_.interactive) context_.err << "Closed.\n";
}

}  // namespace merlon::cli
