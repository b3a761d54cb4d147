// The beginning of every history.
#include "simulate/setting.h"

#include <stdlib.h>  // mkdtemp

#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/enrolment.h"
#include "agent/local_cap.h"
#include "agent/state_files.h"
#include "base/time_text.h"
#include "crypto/x509.h"

namespace merlon::simulate {
namespace {

namespace fs = std::filesystem;
namespace file = agent::file;

constexpr uint64_t kSettingSeed = 0x6d65726c6f6e;
constexpr std::string_view kContributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";
constexpr std::string_view kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

std::string content_of(const std::string& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

Result<JsonObject> expect(const net::Response& response, int status, std::string_view what) {
  if (response.status != status)
    return internal_error("the simulation could not be set up: " + std::string(what) + " was answered with " +
                          std::to_string(response.status) + ": " + response.body);
  if (response.body.empty()) return JsonObject();
  return parse_json_object(response.body);
}

Result<Client> make_client(SimServer& server, const Client& owner, const std::string& name,
                           std::string_view address) {
  const JsonObject app = TRY(expect(server.call(owner, "POST", "/v1.0/applications", {{"displayName", name}}),
                                    201, "an application"));
  Client client;
  client.name = name;
  client.client_id = string_at(app, "appId").value_or("");
  client.address = *IpAddress::parse(address);
  const JsonObject principal =
      TRY(expect(server.call(owner, "POST", "/v1.0/servicePrincipals", {{"appId", client.client_id}}), 201,
                 "a principal"));
  client.object_id = string_at(principal, "id").value_or("");
  const JsonObject secret = TRY(expect(
      server.call(owner, "POST", "/v1.0/applications/" + string_at(app, "id").value_or("") + "/addPassword",
                  {{"passwordCredential", JsonObject{{"displayName", "simulation"}}}}),
      200, "a secret"));
  client.secret = string_at(secret, "secretText").value_or("");
  return client;
}

JsonObject assignment(const std::string& role, const std::string& principal) {
  return {{"properties", JsonObject{{"roleDefinitionId", role},
                                    {"principalId", principal},
                                    {"principalType", "ServicePrincipal"}}}};
}

Result<void> make_people(SimServer& server, Setting& setting, const std::string& subscription) {
  const JsonObject bootstrap = TRY(parse_json_object(content_of(server.directory() + "/bootstrap.json")));
  setting.owner = {.name = "owner",
                   .client_id = string_at(bootstrap, "clientId").value_or(""),
                   .secret = string_at(bootstrap, "clientSecret").value_or(""),
                   .object_id = {},
                   .address = *IpAddress::parse("203.0.113.9")};
  setting.op = TRY(make_client(server, setting.owner, "operator", "198.51.100.7"));
  setting.stranger = TRY(make_client(server, setting.owner, "stranger", "192.0.2.66"));
  const std::string roles = subscription + "/providers/Microsoft.Authorization/roleDefinitions/";
  setting.contributor_role = roles + std::string(kContributor);
  TRY(expect(server.call(setting.owner, "PUT",
                         subscription + "/providers/Microsoft.Authorization/roleAssignments/" +
                             "00000000-0000-4000-8000-000000000002" + std::string(kRolesVersion),
                         assignment(roles + std::string(kReader), setting.stranger.object_id)),
             201, "the stranger's role"));
  return {};
}

}  // namespace

JsonObject Setting::operators_role() const { return assignment(contributor_role, op.object_id); }

JsonObject policy_port_json(uint16_t number, const std::string& source, Duration longest) {
  return {{"number", number},
          {"protocol", "TCP"},
          {"allowedSourceAddressPrefix", source},
          {"maxRequestAccessDuration", to_iso8601_duration(longest)}};
}

JsonObject policy_json(const std::vector<std::pair<std::string, JsonArray>>& machines) {
  JsonArray list;
  for (const auto& [vm, ports] : machines) list.push_back(JsonObject{{"id", vm}, {"ports", ports}});
  return {{"kind", "Basic"}, {"properties", JsonObject{{"virtualMachines", std::move(list)}}}};
}

Result<std::string> enrol_machine(SimServer& server, const Setting& setting, const Client& who,
                                  const SimMachine::Place& place, const machine::MachineFacts& facts,
                                  bool enforce) {
  const JsonObject token = TRY(expect(
      server.call(who, "POST",
                  setting.group + "/providers/Merlon.Machines/enrolmentTokens" + std::string(kMerlonVersion),
                  {{"name", place.name}, {"enforce", enforce}}),
      201, "an enrolment token"));
  fs::remove_all(place.directory);
  const auto files = TRY(agent::StateFiles::create(place.directory));
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  TRY(files.write(file::kKey, key.pem().expose_text()));
  machine::EnrolRequest request;
  request.token = string_at(token, "token").value_or("");
  request.certificate_request_pem = TRY(crypto::make_request(key, place.name));
  request.facts = facts;
  const JsonObject body = TRY(expect(server.call({.method = "POST",
                                                  .target = "/agent/v1/enrol",
                                                  .body = to_text(request.to_json()),
                                                  .token = {},
                                                  .if_match = {},
                                                  .peer = place.addresses.front(),
                                                  .certificate = {}}),
                                     201, "an enrolment"));
  const auto answer = TRY(machine::EnrolAnswer::from_json(body));
  agent::Enrolment enrolment;
  enrolment.server_url = "https://203.0.113.1:8443";
  enrolment.host = "203.0.113.1";
  enrolment.port = "8443";
  enrolment.machine_id = answer.machine_id;
  enrolment.resource_id = answer.resource_id;
  enrolment.authority_pem = server.assembly().settings().authority_pem;
  enrolment.agents_name = answer.agents_name;
  TRY(files.write_json(file::kLocalCap, agent::LocalCap().to_json()));
  TRY(files.write_json(file::kRules, agent::KeptRules{}.to_json()));
  TRY(files.write(file::kCertificate, answer.certificate_pem));
  TRY(files.write(file::kHead, answer.head));
  TRY(files.write_json(file::kEnrolment, enrolment.to_json()));
  return answer.certificate_pem;
}

Result<Setting> make_setting(const std::string& directory) {
  const Timestamp truth = kBeginning;
  SeededRandom random(kSettingSeed);
  RuleCache rules;
  Setting setting;
  setting.directory = directory;
  fs::create_directories(directory + "/server");
  fs::permissions(directory + "/server", fs::perms::owner_all);
  SimServer server(directory + "/server", std::make_shared<SimDisk>(), truth, random);
  TRY(server.start());
  const std::string subscription = "/subscriptions/" + server.assembly().settings().subscription.text();
  setting.group = subscription + "/resourceGroups/rg1";
  TRY(make_people(server, setting, subscription));
  std::vector<std::pair<std::string, JsonArray>> policy;
  for (const std::string name : {"web-1", "web-2"}) {
    const std::string last = name == "web-1" ? "4" : "5";
    setting.machines.push_back(
        {name, name, {*IpAddress::parse("10.1.0." + last), *IpAddress::parse("fd00:1::" + last)}});
    SimMachine::Place place = setting.machines.back();
    place.directory = directory + "/" + name;
    const SimMachine machine(place, truth, random, rules);
    setting.certificates.push_back(
        TRY(enrol_machine(server, setting, setting.owner, place, machine.facts(), name == "web-1")));
    policy.emplace_back(setting.vm(name), JsonArray{policy_port_json(22, "*", std::chrono::hours(3))});
  }
  TRY(expect(server.call(setting.owner, "PUT", setting.operators_assignment() + std::string(kRolesVersion),
                         setting.operators_role()),
             201, "the operator's role"));
  TRY(expect(
      server.call(setting.owner, "PUT", setting.policy() + std::string(kPolicyVersion), policy_json(policy)),
      200, "the policy"));
  server.stop();
  setting.disk = server.disk()->after_kill();
  return setting;
}

Result<std::unique_ptr<ScratchDirectory>> ScratchDirectory::make() {
  for (const std::string& place : {std::string("/dev/shm"), fs::temp_directory_path().string()}) {
    std::string pattern = place + "/merlon-simulate-XXXXXX";
    if (::mkdtemp(pattern.data()) != nullptr)
      return std::unique_ptr<ScratchDirectory>(new ScratchDirectory(pattern));
  }
  return fail(
      ErrorKind::unavailable, "ScratchDirectory",
      "No directory for the simulation could be made in /dev/shm or in the directory for temporary files. "
      "Name another one in TMPDIR.");
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace merlon::simulate
