// Whatever waits for the disk with flow logs is not what ends openings.
#include "machine/flow_report.h"
#include "server/assembly_fixture.h"

namespace merlon::server {
namespace {

class FlowLogDiskTest : public AssemblyTest {
 protected:
  void log_flows() {
    const std::string watcher =
        subscription_ + std::string(kGroup) + "/providers/Microsoft.Network/networkWatchers/w";
    call("PUT", watcher + "?api-version=2024-05-01", {{"location", "local"}}, 201);
    call("PUT", watcher + "/flowLogs/log?api-version=2024-05-01",
         {{"location", "local"},
          {"properties", JsonObject{{"targetResourceId", group_path().substr(0, group_path().find('?'))},
                                    {"storageId", subscription_ + std::string(kGroup) +
                                                      "/providers/Microsoft.Storage/storageAccounts/logs01"},
                                    {"enabled", true}}}},
         201);
  }
  void report_a_flow() {
    machine::FlowReport report;
    report.batch = 1;
    report.rules.push_back({.nic = subscription_ + std::string(kGroup) +
                                   "/providers/Microsoft.Network/networkInterfaces/web-1-nic",
                            .group = group_path(),
                            .name = "DenyAllInBound",
                            .is_default = true});
    machine::ReportedFlow flow;
    flow.state = machine::FlowState::denied;
    flow.source = *IpAddress::parse("192.0.2.7");
    flow.destination = *IpAddress::parse("10.7.0.4");
    flow.source_port = 50'000;
    flow.destination_port = 22;
    report.flows = {flow};
    machine::SyncRequest said;
    said.nonce = "n";
    said.boot_id = "boot-1";
    said.observations.push_back({"flows", Duration(0), report.to_json()});
    EXPECT_EQ(
        send("POST", "/agent/v1/sync", to_text(said.to_json()), {}, net::Plane::agents, certificate_).status,
        200);
  }
  size_t files() const {
    std::error_code none;
    size_t count = 0;
    for (auto it = std::filesystem::recursive_directory_iterator(directory_ + "/flow-logs", none);
         !none && it != std::filesystem::recursive_directory_iterator(); it.increment(none))
      if (it->path().filename() == "PT1H.json") ++count;
    return count;
  }
};

TEST_F(FlowLogDiskTest, WhatEndsOpeningsWritesNoFlowLog) {
  enrol();
  log_flows();
  report_a_flow();
  assembly_->tick();
  EXPECT_EQ(files(), 0U);
  assembly_->tick_flow_logs();
  EXPECT_EQ(files(), 1U);
}

TEST_F(FlowLogDiskTest, WhatWaitsIsWrittenBeforeTheServerStops) {
  enrol();
  log_flows();
  report_a_flow();
  assembly_->stop();
  EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace merlon::server
