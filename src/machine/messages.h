// The agent channel's messages: JSON over mTLS on the agents plane, except enrolment, which is on the control
// plane and is authenticated by its token alone.
//   POST /agent/v1/enrol   (control plane)  EnrolRequest  → EnrolAnswer
//   POST /agent/v1/sync    (agents plane)   SyncRequest   → SyncAnswer; waits up to `wait_ms` for a version
//   other than `have` POST /agent/v1/renew   (agents plane)   {"request": CSR PEM} → {"certificate": PEM};
//   same key or a new one
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "machine/desired_state.h"

namespace merlon::machine {

struct ReportedInterface {
  std::string name;  // "eth0"
  std::string mac;
  std::vector<std::pair<IpAddress, unsigned>> addresses;  // with their prefix length
  bool default_route = false;
};

struct MachineFacts {
  std::string hostname;
  std::string os_name, os_version, kernel, architecture;  // "debian", "12", "6.1.0", "x86_64"
  std::string
      machine_id_hash;  // SHA-256 of /etc/machine-id, hex: tells clones apart without giving the id away
  std::string boot_id;
  int64_t cpus = 0, memory_bytes = 0;
  std::vector<ReportedInterface> interfaces;
  std::optional<SshFacts> ssh;  // not of agents from before it
  JsonObject to_json() const;
  static Result<MachineFacts> from_json(const JsonObject& json);
};

struct EnrolRequest {
  std::string token;
  std::string certificate_request_pem;
  MachineFacts facts;
  JsonObject to_json() const;
  static Result<EnrolRequest> from_json(const JsonObject& json);
};

struct EnrolAnswer {
  std::string machine_id;   // uuid
  std::string resource_id;  // of the virtual machine
  std::string certificate_pem;
  std::string agents_name;  // SNI for the agents plane
  std::string head;         // newest signed ledger head, JSON text
  JsonObject to_json() const;
  static Result<EnrolAnswer> from_json(const JsonObject& json);
};

// What the kernel does right now, as far as the agent knows.
struct Applied {
  Version version;
  Mode mode = Mode::audit;
  bool confirmed = true;  // false: applied, waits for its contact with the server (30 s), else rolls back
  std::string error;      // why the last version could not be applied; empty = applied
  std::vector<std::string> open;  // ids of openings that are in the kernel
  std::vector<std::string>
      blockers;  // other base chains that may drop what we accept: "inet filter input (policy drop)"
};

// Something that happened on the machine since the last exchange; ledger entries and findings come from it.
struct Observation {
  std::string kind;  // "opened", "closed", "table-lost", "rolled-back", "released", "address-changed",
                     // "would-drop", "fork", "flows" (flow_report.h)
  Duration age{};    // how long before this message was sent
  JsonObject facts;
};

struct SyncRequest {
  std::string nonce;  // fresh for each exchange; comes back in the answer
  std::string boot_id;
  Version have;
  Applied applied;
  std::vector<Observation> observations;
  std::optional<MachineFacts> facts;  // when they changed
  std::string head;                   // newest ledger head the agent has seen
  int64_t wait_ms = 0;                // up to 30000
  bool gone = false;                  // the last word, after `released`: the rules are down
  JsonObject to_json() const;
  static Result<SyncRequest> from_json(const JsonObject& json);
};

struct SyncAnswer {
  std::string nonce;
  std::string server;  // the process that answers, by a word that it chose when it started; empty from before
  Timestamp server_time;
  Duration held{};                       // that the request had waited at the server by then
  std::optional<DesiredState> state;     // only when it differs from `have`
  std::string head;                      // newest signed head, JSON text
  std::vector<std::string> consistency;  // hex hashes: proof from the agent's head to this one
  bool released = false;                 // machine was removed from Merlon: take the rules down and stop
  bool unheard = false;  // there is no room to write the report down: keep it, and say it again
  JsonObject to_json() const;
  static Result<SyncAnswer> from_json(const JsonObject& json);
};

}  // namespace merlon::machine
