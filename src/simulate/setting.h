// What every history begins with, made once for a process: a server that has started, three clients, two
// machines that are enrolled, a policy for port 22. Making it costs key generation; copying it costs a few
// files.
#pragma once

#include <string>
#include <vector>

#include "simulate/sim_machine.h"
#include "simulate/sim_server.h"

namespace merlon::simulate {

// True time at which every history begins.
inline constexpr Timestamp kBeginning = Timestamp(std::chrono::hours(24 * 20'783));

struct Setting {
  std::string directory;                // server/, web-1/, web-2/
  std::shared_ptr<const SimDisk> disk;  // the server's
  Client owner, op, stranger;  // everything, Contributor of the resource group, Reader of the subscription
  std::string group;           // "/subscriptions/…/resourceGroups/rg1"
  std::string contributor_role;
  std::vector<SimMachine::Place> machines;  // their directories are names under `directory`
  std::vector<std::string> certificates;

  std::string machine_path(const std::string& name) const {
    return group + "/providers/Merlon.Machines/machines/" + name;
  }
  std::string vm(const std::string& name) const {
    return group + "/providers/Microsoft.Compute/virtualMachines/" + name;
  }
  std::string security_group(const std::string& name) const {
    return group + "/providers/Microsoft.Network/networkSecurityGroups/" + name + "-nsg";
  }
  std::string policy() const {
    return group + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
  }
  std::string operators_assignment() const {
    return group + "/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-000000000001";
  }
  JsonObject operators_role() const;
};

// A directory of this process's own that goes with it; in memory where the system has such a place.
class ScratchDirectory {
 public:
  static Result<std::unique_ptr<ScratchDirectory>> make();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<Setting> make_setting(const std::string& directory);
// Enrols a machine as `merlon agent enrol` does: its files, and the certificate that it got. May throw
// ServerKilled.
Result<std::string> enrol_machine(SimServer& server, const Setting& setting, const Client& who,
                                  const SimMachine::Place& place, const machine::MachineFacts& facts,
                                  bool enforce);
JsonObject policy_json(const std::vector<std::pair<std::string, JsonArray>>& machines);
JsonObject policy_port_json(uint16_t number, const std::string& source, Duration longest);

inline constexpr std::string_view kPolicyVersion = "?api-version=2020-01-01";
inline constexpr std::string_view kNetworkVersion = "?api-version=2024-05-01";
inline constexpr std::string_view kMerlonVersion = "?api-version=2026-11-01";
inline constexpr std::string_view kRolesVersion = "?api-version=2022-04-01";

}  // namespace merlon::simulate
