// One request for access on its way: asked for, agreed to by others when the policy wants that, open on the
// machine, closed again.
#pragma once

#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/command.h"
#include "cli/until_signal.h"

namespace merlon::cli {

class JitAccess {
 public:
  JitAccess(Context& context, Api& api, MachineName machine, std::string policy)
      : context_(context), api_(api), machine_(std::move(machine)), policy_(std::move(policy)) {}

  // Answers the request as the server shows it.
  Result<JsonObject> ask(const JsonObject& body);
  bool waits_for_approval() const { return waits_; }
  const std::string& request_id() const { return request_id_; }

  // Until somebody has said yes; no, a signal or the end of its time is an error, and nothing waits any more.
  Result<void> wait_until_approved(const SignalWatch& signals);
  Result<void> find_openings();
  // Until the machine's kernel lets it in. What the machine has to say about it is shown.
  Result<void> wait_until_open(const SignalWatch& signals);
  // "Port 22 of web-1 is open for 192.0.2.7 until …": as it was opened.
  std::string opened_text() const;
  // What cannot be closed is said; it ends by itself at its time.
  void close();

 private:
  Result<bool> is_approved();
  Result<bool> all_open();
  Result<bool> is_open(const JsonObject& opening) const;
  void take_back();
  std::string request_path() const { return policy_ + "/providers/Merlon.Jit/requests/" + request_id_; }

  Context& context_;
  Api& api_;
  MachineName machine_;
  std::string policy_, request_id_;
  bool waits_ = false;
  std::vector<std::string> paths_;  // of its openings
  std::vector<JsonObject> openings_;
  std::string said_;  // by the machine, last
};

Result<Answer> revoke_opening(Api& api, const std::string& opening_path);
// "2 of 3 have agreed" and the like; what one person sees of a request that waits.
std::string approvals_text(const JsonObject& request);

}  // namespace merlon::cli
