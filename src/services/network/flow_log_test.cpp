// Flow logs: who may turn them on and for what, what machines are told, what becomes of their reports, and
// for whom a machine can speak.
#include "services/network/flow_log.h"

#include <fstream>
#include <sstream>

#include "services/network/flow_log_files.h"
#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

using machine::FlowReport;
using machine::FlowState;
using machine::ReportedFlow;

class FlowLogs : public NetworkFixture {
 protected:
  void SetUp() override { make(kWatcher, R"({"location":"local"})"); }
  static inline const std::string kWatcher = kProvider + "networkWatchers/w";
  static inline const std::string kLog = kWatcher + "/flowLogs/log";
  static inline const std::string kStorage = kGroup + "/providers/Microsoft.Storage/storageAccounts/logs01";
  static std::string log_body(const std::string& target, const std::string& more = R"(,"enabled":true)") {
    return R"({"location":"local","properties":{"targetResourceId":")" + target + R"(","storageId":")" +
           kStorage + '"' + more + "}}";
  }
  static std::string group(const std::string& machine) {
    return kProvider + "networkSecurityGroups/" + machine + "-nsg";
  }
  static std::string nic(const std::string& machine) {
    return kProvider + "networkInterfaces/" + machine + "-nic";
  }
  static ReportedFlow flow(size_t rule, FlowState state, uint16_t port, uint8_t protocol = 6) {
    ReportedFlow made;
    made.rule = rule;
    made.state = state;
    made.protocol = protocol;
    made.source = *IpAddress::parse("192.0.2.7");
    made.destination = *IpAddress::parse("10.9.0.5");
    made.source_port = 50'000;
    made.destination_port = port;
    return made;
  }
  // As the machine's agent would, with its own key.
  void report(const std::string& name, const FlowReport& report) {
    const auto vm =
        must(resource::ResourceId::parse(kGroup + "/providers/Microsoft.Compute/virtualMachines/" + name));
    machine::SyncRequest said;
    machine::Machine known;
    must(store_->read([&](store::Reader& reader) -> Result<void> {
      known = *TRY(machines_->by_resource(reader, vm.text()));
      return {};
    }));
    said.nonce = "n";
    said.boot_id = known.facts.boot_id;
    said.have = known.desired.version;
    said.observations.push_back({"flows", Duration(0), report.to_json()});
    net::Request request;
    request.method = "POST";
    request.path = request.target = "/agent/v1/sync";
    request.plane = net::Plane::agents;
    request.client_certificate_pem = certificates_.at(name);
    request.body = to_text(said.to_json());
    request.request_id = Uuid::generate(random_).text();
    net::Response response;
    machines_->handle(std::move(request),
                      net::Responder([&](net::Response answer) { response = std::move(answer); }));
    ASSERT_EQ(response.status, 200) << response.body;
    network_->tick_flow_logs();
  }
  // Tokens end within the hour.
  void pass(std::chrono::hours time) {
    clock_.advance(time);
    owner_ = make_person("owner" + std::to_string(clock_.now().time_since_epoch().count()), kOwner, "/");
  }
  std::string logged(const std::string& query = "") {
    const Answer answer = get(kLog + "/providers/Merlon.Network/records?api-version=2024-05-01" + query);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.text;
  }
  size_t count(const std::string& query = "") {
    const Answer answer = get(kLog + "/providers/Merlon.Network/records?api-version=2024-05-01" + query);
    const JsonArray* values = array_at(answer.body, "value");
    return values == nullptr ? 0 : values->size();
  }
};

TEST_F(FlowLogs, AzuresShapeWithItsDefaults) {
  ASSERT_EQ(put_security_group("nsg", "").status, 201);
  const std::string target = kProvider + "networkSecurityGroups/nsg";
  const Answer made = put(kLog, log_body(target));
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.at("properties.targetResourceGuid"), get(target).at("properties.resourceGuid"));
  EXPECT_EQ(int_at(made.body, "properties.format.version"), 2);
  EXPECT_EQ(int_at(made.body, "properties.retentionPolicy.days"), 0);
  EXPECT_EQ(made.at("properties.provisioningState"), "Succeeded");
  EXPECT_EQ(string_at(array_at(get(target).body, "properties.flowLogs")->front().as_object(), "id"), kLog);
  EXPECT_EQ(put(kWatcher + "/flowLogs/second", log_body(target)).code(), "FlowLogTargetInUse");
  make_network("net", "10.1.0.0/24");
  EXPECT_EQ(put(kLog, log_body(kProvider + "virtualNetworks/net")).code(), "PropertyChangeNotAllowed");
  EXPECT_EQ(put(kLog, log_body(target)).status, 200);
  EXPECT_EQ(remove(kLog).status, 202);
  EXPECT_EQ(remove(kLog).status, 204);
  EXPECT_EQ(array_at(get(target).body, "properties.flowLogs"), nullptr);
  ASSERT_EQ(put(kLog, log_body(target)).status, 201);
  ASSERT_EQ(remove(target).status, 200);
  EXPECT_EQ(get(kLog).status, 404) << "with its target it goes";
}

TEST_F(FlowLogs, WhatCannotBeLoggedIsRefused) {
  EXPECT_EQ(put(kLog, log_body(kWatcher)).code(), "InvalidTargetResourceId");
  EXPECT_EQ(put(kLog, log_body(kProvider + "networkSecurityGroups/none")).code(), "InvalidResourceReference");
  ASSERT_EQ(put_security_group("nsg", "").status, 201);
  const std::string target = kProvider + "networkSecurityGroups/nsg";
  std::string body = log_body(target);
  body.replace(body.find("logs01"), 6, "Logs_01");
  EXPECT_EQ(put(kLog, body).code(), "InvalidStorageId");
  EXPECT_EQ(put(kLog, log_body(target, R"(,"retentionPolicy":{"days":366,"enabled":true})")).status, 400);
  EXPECT_EQ(put(kLog, log_body(target,
                               R"(,"flowAnalyticsConfiguration":{"networkWatcherFlowAnalyticsConfiguration":)"
                               R"({"enabled":true}})"))
                .code(),
            "TrafficAnalyticsNotSupported");
  EXPECT_EQ(get(kLog).status, 404);
  const std::string blind = make_person("blind", "4d97b98b-1d4f-4787-a291-c67834d212e7", kWatcher);
  const Answer unseen = send_as(blind, "PUT", kLog, log_body(target));
  EXPECT_EQ(unseen.status, 403) << "who may not read the target may not have its flows";
}

TEST_F(FlowLogs, TheOlderActionsSpeakOfTheSameFlowLog) {
  ASSERT_EQ(put_security_group("nsg", "").status, 201);
  const std::string target = kProvider + "networkSecurityGroups/nsg";
  const std::string ask = R"({"targetResourceId":")" + target + R"("})";
  EXPECT_EQ(bool_at(post(kWatcher + "/queryFlowLogStatus", ask).body, "properties.enabled"), false);
  const Answer on = post(kWatcher + "/configureFlowLog",
                         R"({"targetResourceId":")" + target + R"(","properties":{"storageId":")" + kStorage +
                             R"(","enabled":true,"retentionPolicy":{"days":7,"enabled":true}}})");
  ASSERT_EQ(on.status, 200) << on.text;
  const Answer asked = post(kWatcher + "/queryFlowLogStatus", ask);
  EXPECT_EQ(bool_at(asked.body, "properties.enabled"), true) << asked.text;
  EXPECT_EQ(int_at(asked.body, "properties.retentionPolicy.days"), 7);
  EXPECT_EQ(get(kWatcher + "/flowLogs/Microsoft.Networkrg1nsg").status, 200);
  EXPECT_EQ(post(kWatcher + "/queryFlowLogStatus", R"({"targetResourceId":"/subscriptions/x"})").code(),
            "InvalidParameter");
}

TEST_F(FlowLogs, AnotherGroupsFlowLogIsChangedAndShownByItsOwnRights) {
  constexpr const char* kNetworkContributor = "4d97b98b-1d4f-4787-a291-c67834d212e7";
  ASSERT_EQ(put_security_group("nsg", "").status, 201);
  const std::string target = kProvider + "networkSecurityGroups/nsg";
  ASSERT_EQ(put(kLog, log_body(target, R"(,"enabled":true)")).status, 201);
  const std::string mine = kSubscription + "/resourceGroups/rg-mine";
  make(mine, R"({"location":"local"})");
  const std::string watcher = mine + "/providers/Microsoft.Network/networkWatchers/mine";
  make(watcher, R"({"location":"local"})");
  const std::string mallory = make_person("mallory", kNetworkContributor, mine);
  assign(person("mallory"), kReader, target);
  const std::string off = R"({"targetResourceId":")" + target + R"(","properties":{"storageId":")" +
                          kStorage + R"(","enabled":false,"retentionPolicy":{"enabled":true,"days":1}}})";
  EXPECT_EQ(send_as(mallory, "POST", watcher + "/configureFlowLog", off).status, 403);
  EXPECT_EQ(bool_at(get(kLog).body, "properties.enabled"), true);
  const std::string ask = R"({"targetResourceId":")" + target + R"("})";
  const Answer status = send_as(mallory, "POST", watcher + "/queryFlowLogStatus", ask);
  EXPECT_EQ(status.status, 200) << status.text;
  EXPECT_EQ(status.at("properties.storageId"), "") << "not shown to who may not read it";
  EXPECT_EQ(post(watcher + "/queryFlowLogStatus", ask).at("properties.storageId"), kStorage);

  // Nor is a flow log of one's own made of what one may only read.
  ASSERT_EQ(remove(kLog).status, 202);
  EXPECT_EQ(send_as(mallory, "POST", watcher + "/configureFlowLog", off).status, 403);
  EXPECT_EQ(send_as(mallory, "PUT", watcher + "/flowLogs/log", log_body(target)).status, 403);
  assign(person("mallory"), kNetworkContributor, target);
  EXPECT_EQ(send_as(mallory, "PUT", watcher + "/flowLogs/log", log_body(target)).status, 201);
}

TEST_F(FlowLogs, TwoDoNotWriteToOneFolder) {
  make_network("one", "10.1.0.0/24");
  make_network("two", "10.2.0.0/24");
  make(kProvider + "networkWatchers/a_b", R"({"location":"local"})");
  make(kProvider + "networkWatchers/a", R"({"location":"local"})");
  const auto body = [](const std::string& network) {
    return log_body(kProvider + "virtualNetworks/" + network);
  };
  ASSERT_EQ(put(kProvider + "networkWatchers/a_b/flowLogs/c", body("one")).status, 201);
  EXPECT_EQ(put(kProvider + "networkWatchers/a/flowLogs/b_c", body("two")).code(), "FlowLogNameInUse");
}

TEST_F(FlowLogs, MachinesAreToldForWhomTheyReport) {
  const auto m1 = enrol("m1", "10.9.0.5");
  const auto m2 = enrol("m2", "10.9.0.6");
  const auto told = [&](const auto& vm) { return desired(vm).interfaces.at(0).flow_log; };
  EXPECT_FALSE(told(m1));
  ASSERT_EQ(put(kLog, log_body(group("m1"))).status, 201);
  EXPECT_TRUE(told(m1));
  EXPECT_FALSE(told(m2));
  ASSERT_EQ(put(kLog, log_body(group("m1"), R"(,"enabled":false)")).status, 200);
  EXPECT_FALSE(told(m1));
  ASSERT_EQ(remove(kLog).status, 202);
  for (const std::string& target : {kProvider + "virtualNetworks/onlink-10.9.0.0-24",
                                    kProvider + "virtualNetworks/onlink-10.9.0.0-24/subnets/default"}) {
    ASSERT_EQ(put(kLog, log_body(target)).status, 201) << target;
    EXPECT_TRUE(told(m1) && told(m2)) << target;
    ASSERT_EQ(remove(kLog).status, 202);
    EXPECT_FALSE(told(m1) || told(m2)) << target;
  }
  ASSERT_EQ(put(kLog, log_body(nic("m2"))).status, 201);
  EXPECT_FALSE(told(m1));
  EXPECT_TRUE(told(m2));
}

TEST_F(FlowLogs, AReportIsWrittenInAzuresFormOnceAndCanBeRead) {
  enrol("m1", "10.9.0.5");
  ASSERT_EQ(put(kLog, log_body(group("m1"))).status, 201);
  FlowReport sent;
  sent.batch = 5;
  sent.rules = {{nic("m1"), group("m1"), "web", false, false},
                {nic("m1"), group("m1"), "DenyAllInBound", true, false}};
  ReportedFlow end = flow(0, FlowState::end, 443);
  end.packets_sent = 5;
  end.bytes_sent = 500;
  end.packets_back = 4;
  end.bytes_back = 4000;
  sent.flows = {flow(0, FlowState::begin, 443), end, flow(1, FlowState::denied, 22),
                flow(1, FlowState::denied, 0, 1)};
  report("m1", sent);
  const std::string text = logged();
  const auto seconds =
      std::to_string(std::chrono::floor<std::chrono::seconds>(clock_.now()).time_since_epoch().count());
  EXPECT_NE(text.find(seconds + ",192.0.2.7,10.9.0.5,50000,443,T,I,A,B,,,,"), std::string::npos) << text;
  EXPECT_NE(text.find(seconds + ",192.0.2.7,10.9.0.5,50000,443,T,I,A,E,5,500,4,4000"), std::string::npos)
      << text;
  EXPECT_NE(text.find(seconds + ",192.0.2.7,10.9.0.5,50000,22,T,I,D,B,,,,"), std::string::npos) << text;
  EXPECT_NE(text.find("UserRule_web"), std::string::npos);
  EXPECT_NE(text.find("DefaultRule_DenyAllInBound"), std::string::npos);
  EXPECT_EQ(count(), 3U) << "NSG flow logs have no ICMP";
  report("m1", sent);
  EXPECT_EQ(count(), 3U) << "sent again it counts once";
  ++sent.batch;
  report("m1", sent);
  EXPECT_EQ(count(), 6U);
  EXPECT_EQ(count("&$top=2"), 2U);
  pass(std::chrono::hours(2));
  ++sent.batch;
  report("m1", sent);
  EXPECT_EQ(count(), 9U) << "of several hours";
  EXPECT_EQ(count("&since=2099-01-01T00:00:00Z"), 0U);
  EXPECT_EQ(get(kLog + "/providers/Merlon.Network/records?api-version=2024-05-01&since=never").status, 400);

  std::string folder =
      flow_log_directory() + "/logs01/insights-logs-networksecuritygroupflowevent/resourceId=";
  for (const char c : group("m1")) folder += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::ifstream file(folder + "/" + hour_path(clock_.now()) + "/macAddress=020000000001/PT1H.json");
  std::ostringstream whole;
  whole << file.rdbuf();
  const auto json = parse_json_object(whole.str());
  ASSERT_TRUE(json) << folder << ": " << whole.str();
  const JsonObject& record = array_at(*json, "records")->front().as_object();
  EXPECT_EQ(string_at(record, "category"), "NetworkSecurityGroupFlowEvent");
  EXPECT_EQ(int_at(record, "properties.Version"), 2);
  EXPECT_EQ(string_at(record, "systemId"), get(group("m1")).at("properties.resourceGuid"));
}

TEST_F(FlowLogs, ANetworksLogNamesTheGroupThatDecided) {
  enrol("m1", "10.9.0.5");
  ASSERT_EQ(put(kLog, log_body(kProvider + "virtualNetworks/onlink-10.9.0.0-24")).status, 201);
  FlowReport sent;
  sent.batch = 1;
  sent.rules = {{nic("m1"), group("m1"), "web", false, false}};
  sent.flows = {flow(0, FlowState::begin, 443), flow(0, FlowState::denied, 0, 1)};
  report("m1", sent);
  const std::string text = logged();
  const auto ms = std::to_string(clock_.now().time_since_epoch().count());
  EXPECT_NE(text.find(ms + ",192.0.2.7,10.9.0.5,50000,443,6,I,B,NX,0,0,0,0"), std::string::npos) << text;
  EXPECT_NE(text.find(",1,I,D,NX,0,0,0,0"), std::string::npos) << text;
  EXPECT_NE(text.find(get(group("m1")).at("properties.resourceGuid")), std::string::npos) << text;
}

TEST_F(FlowLogs, AMachineSpeaksForItselfAlone) {
  enrol("m1", "10.9.0.5");
  enrol("m2", "10.9.0.6");
  ASSERT_EQ(put(kLog, log_body(group("m1"))).status, 201);
  FlowReport sent;
  sent.batch = 1;
  sent.rules = {{nic("m1"), group("m1"), "web", false, false},
                {nic("m2"), group("m1"), "web", false, false},
                {nic("m2"), group("m2"), "web", false, false}};
  sent.flows = {flow(0, FlowState::begin, 443), flow(1, FlowState::begin, 443),
                flow(2, FlowState::begin, 443)};
  report("m2", sent);
  EXPECT_EQ(count(), 0U);
  sent.rules = {{nic("m1"), group("m1"), "a\",\"x", false, false}};
  sent.flows = {flow(0, FlowState::begin, 443)};
  report("m1", sent);
  EXPECT_EQ(count(), 0U) << "a name that no rule can have";
}

TEST_F(FlowLogs, WhoMayReadRecords) {
  enrol("m1", "10.9.0.5");
  ASSERT_EQ(put(kLog, log_body(group("m1"))).status, 201);
  const std::string path = kLog + "/providers/Merlon.Network/records";
  const std::string stranger = make_person("stranger", kReader, kProvider + "networkSecurityGroups/m1-nsg");
  EXPECT_EQ(send_as(stranger, "GET", path).status, 403);
  const std::string reader = make_person("reader", kReader, kLog);
  EXPECT_EQ(send_as(reader, "GET", path).status, 200);
  EXPECT_EQ(get(kWatcher + "/flowLogs/none/providers/Merlon.Network/records").status, 404);
}

TEST_F(FlowLogs, OldDaysGo) {
  enrol("m1", "10.9.0.5");
  ASSERT_EQ(put(kLog, log_body(group("m1"), R"(,"enabled":true,"retentionPolicy":{"days":2,"enabled":true})"))
                .status,
            201);
  FlowReport sent;
  sent.rules = {{nic("m1"), group("m1"), "web", false, false}};
  sent.flows = {flow(0, FlowState::begin, 443)};
  for (int day = 0; day < 4; ++day) {
    ++sent.batch;
    report("m1", sent);
    pass(std::chrono::hours(24));
  }
  network_->tick_flow_logs();
  EXPECT_EQ(count("&since=2000-01-01T00:00:00Z"), 2U) << logged("&since=2000-01-01T00:00:00Z");
}

TEST(FlowLogFilesOnDisk, AHalfWrittenRecordIsCutOffAndTheListGoesOn) {
  std::string directory = (std::filesystem::temp_directory_path() / "merlon-flow-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const Timestamp now{std::chrono::hours(24 * 365 * 56)};
  FlowLogFiles files(directory);
  const auto record = [&](int n) {
    return R"({"time":"2099-01-01T00:00:00Z","n":)" + std::to_string(n) + "}";
  };
  files.add("a/b", "02:00:00:00:00:01", now, record(1));
  files.add("a/b", "02:00:00:00:00:01", now, record(2));
  files.flush();
  const std::string path = directory + "/a/b/" + hour_path(now) + "/macAddress=020000000001/PT1H.json";
  const auto numbers = [&] {
    std::ifstream file(path);
    std::ostringstream whole;
    whole << file.rdbuf();
    const auto json = parse_json_object(whole.str());
    std::vector<int64_t> found;
    EXPECT_TRUE(json) << whole.str();
    if (json)
      for (const Json& each : *array_at(*json, "records")) found.push_back(*int_at(each.as_object(), "n"));
    return found;
  };
  EXPECT_EQ(numbers(), (std::vector<int64_t>{1, 2}));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 6);
  files.add("a/b", "02:00:00:00:00:01", now, record(3));
  files.flush();
  EXPECT_EQ(numbers(), (std::vector<int64_t>{1, 3}));
  std::filesystem::resize_file(path, 4);
  files.add("a/b", "02:00:00:00:00:01", now, record(4));
  files.flush();
  EXPECT_EQ(numbers(), (std::vector<int64_t>{4}));
  EXPECT_EQ(mac_path("../../etc"), "000000000000");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace merlon::network
