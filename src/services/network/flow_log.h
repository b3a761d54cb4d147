// Flow logs: what is to be logged, and where. Azure's type networkWatchers/flowLogs. Of a security group the
// form is Azure's NSG flow log (version 1 or 2); of a network, subnet or interface its virtual network flow
// log.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "machine/flow_report.h"
#include "resource/manager.h"
#include "store/table.h"

namespace merlon::network {

inline constexpr std::string_view kFlowLogType = "Microsoft.Network/networkWatchers/flowLogs";
inline constexpr int64_t kRetentionDaysMax = 365;

struct FlowLog {
  resource::ResourceId id, target;
  std::string guid, target_guid;
  std::string account;  // the storage account's name
  bool enabled = false;
  int64_t version = 2;
  int64_t retention_days = 0;  // 0: for ever
  bool is_of_group() const;
  // Relative to the directory of all flow logs, up to the date.
  std::string folder() const;
};

FlowLog read_flow_log(const resource::Resource& document);

// One flow, as the log's form has it: "1542110402,192.0.2.190,10.5.16.4,28746,443,U,I,D,B,,,,". Nothing when
// the form has no place for it: NSG flow logs know TCP and UDP alone.
std::optional<std::string> flow_tuple(const FlowLog& log, const machine::ReportedFlow& flow, Timestamp time);
// "UserRule_web", "DefaultRule_DenyAllInBound".
std::string logged_rule_name(const machine::FlowReport::Rule& rule);

// Of one report, what goes to one flow log as of one interface.
struct LoggedFlows {
  struct Group {
    std::string group_guid;  // of the security group that decided
    std::string rule;
    std::vector<std::string> tuples;
  };
  std::vector<Group> groups;
  void add(const std::string& group_guid, const std::string& rule, std::string tuple);
  JsonObject record(const FlowLog& log, const std::string& mac, Timestamp now) const;
};

// The last report that counted of a machine: one that is sent again counts once.
struct FlowMark {
  Uuid machine;
  std::string boot_id;
  int64_t batch = 0;
  static const store::TableSpec& table();
  std::string key() const { return machine.text(); }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<FlowMark> from_json(const JsonObject& json);
};

}  // namespace merlon::network
