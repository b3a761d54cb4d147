// The unprivileged half of the agent: exchanges with the server, one after the other, and what follows from
// each. Knows no socket and no kernel: both are passed in, so that a test plays server, warden and time.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/server_time.h"
#include "base/random.h"
#include "machine/messages.h"

namespace merlon::agent {

// The server, over mutual TLS.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // May give a wait up with the code RequestStopped, when the privileged half has news.
  virtual Result<machine::SyncAnswer> sync(const machine::SyncRequest& request) = 0;
  virtual Result<std::string> renew() = 0;    // the new certificate, PEM; used from then on
  virtual Timestamp renew_after() const = 0;  // half of the certificate's life
};

// The privileged half: its request table (warden.h).
class WardenPort {
 public:
  virtual ~WardenPort() = default;
  // The answer; an error of code AgentHalfGone when it is gone, any other is a refusal.
  virtual Result<JsonObject> ask(std::string_view name, JsonObject body) = 0;
};

// Whoever serves this machine's identities to its programs.
class IdentityPort {
 public:
  virtual ~IdentityPort() = default;
  // Serves these from now on; what the privileged half must be asked for it ("identity").
  virtual Result<JsonObject> follow(const machine::IdentityEndpoint& endpoint) = 0;
  // The privileged half has done so: nobody is brought to where they were brought before.
  virtual void settle() = 0;
};

class Session {
 public:
  struct Step {
    Duration pause{};      // before the next
    bool removed = false;  // from Merlon: nothing is left to do
  };
  Session(const Clock& clock, Random& random, Exchange& exchange, WardenPort& warden,
          std::function<machine::MachineFacts()> facts, std::string head)
      : clock_(clock),
        random_(random),
        exchange_(exchange),
        warden_(warden),
        facts_(std::move(facts)),
        head_(std::move(head)) {}

  // Without it no identity is served.
  void serve_identities(IdentityPort& identities) { identities_ = &identities; }

  // One exchange. Fails only when the privileged half is gone.
  Result<Step> step();

  // The two halves of a step, for whoever carries messages by itself: what to send now, and what follows from
  // the answer, or from there being none.
  struct Asked {
    machine::SyncRequest request;
    Duration sent{};
  };
  Result<Asked> ask();
  Result<Step> hear(const Asked& asked, const Result<machine::SyncAnswer>& answer);

 private:
  Result<machine::SyncRequest> next_request();
  Result<void> add_observations(machine::SyncRequest& request, const JsonObject& status);
  Result<void> take_state(const machine::DesiredState& state, const ServerTime::Answer& told);
  Result<void> order_openings();
  Result<void> order_anew();
  Result<void> serve(const machine::IdentityEndpoint& endpoint);
  // `had`: the version before this answer's.
  Result<void> check_head(const machine::SyncAnswer& answer, const machine::Version& had);
  Result<void> renew_when_due(bool refused);
  // Asks; a refusal is logged and answered false.
  Result<bool> tell(std::string_view name, JsonObject body);
  void observe(std::string kind, JsonObject facts);
  Step after_failure(const Error& error);
  void take_as_heard(const machine::SyncAnswer& answer);
  Result<Step> leave(const Asked& asked);
  bool needs_live_server() const;
  Duration wait_for(std::optional<int64_t> next_deadline_ms) const;

  const Clock& clock_;
  Random& random_;
  Exchange& exchange_;
  WardenPort& warden_;
  const std::function<machine::MachineFacts()> facts_;
  std::string head_;        // newest ledger head that proved consistent, JSON text
  ServerTime server_time_;  // by the last answer
  machine::Version have_;   // nothing at the start: the openings of this boot are asked for anew
  std::optional<machine::DesiredState> openings_;  // the last state, for its openings
  ServerTime openings_time_;                       // by which they are counted
  struct Bounds {
    Timestamp latest, earliest;  // at our boot
  };
  std::optional<Bounds> ordered_by_;
  bool confirm_due_ = false;
  bool contact_due_ = true;  // at once, without waiting for news
  bool unheard_ =
      false;  // the server has no room for reports: they go along with each poll, and hurry nothing
  bool was_released_ = false;
  std::optional<Duration> apply_again_;
  int64_t seen_ = 0;                       // the warden's events up to here have reached the server
  int64_t sending_ = 0;                    // and up to here with this request
  std::vector<machine::Observation> own_;  // ours: age is the moment until they are sent
  size_t own_sending_ = 0;
  int64_t own_dropped_ = 0;
  std::string interfaces_;                // as last reported
  std::optional<machine::SshFacts> ssh_;  // likewise
  machine::SshTrust ssh_trust_;           // as the privileged half was told
  std::optional<machine::MachineFacts> new_facts_;
  std::string fork_told_;
  Duration renew_again_{};
  unsigned failures_ = 0;
  IdentityPort* identities_ = nullptr;
  std::string identities_failed_;  // the code that was told; empty while they are served
};

}  // namespace merlon::agent
