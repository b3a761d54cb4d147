// Whole commands against a scripted server: exit codes, what is sent, what is shown.
#include "cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/test_world.h"

namespace merlon::cli {
namespace {

using test::json_answer;
using test::list_of;
using test::refusal;
using test::Server;
using test::World;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

const std::string kGroup = "/subscriptions/sub/resourceGroups/web";
const std::string kAuthorization = kGroup + "/providers/Microsoft.Authorization/";
constexpr const char* kEntries = "GET /providers/Merlon.Ledger/entries";

TEST(Run, ExitCodes) {
  World world;
  EXPECT_EQ(world.run({}), kWrongUsage);
  EXPECT_EQ(world.run({"--version"}), kDone);
  EXPECT_EQ(world.run({"--help"}), kDone);
  EXPECT_EQ(world.run({"machine", "list"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("merlon login"));
  EXPECT_EQ(world.out.str(), "");
  world.environment["MERLON_ENDPOINT"] = "not a url";
  EXPECT_EQ(world.run({"machine", "list"}), kWrongUsage);
  EXPECT_EQ(world.run({"ledger", "verify", "/nonexistent"}), kFailed);
}

TEST(Run, NobodyListening) {
  World world;
  world.environment = {{"HOME", world.directory},
                       {"MERLON_ENDPOINT", "https://127.0.0.1:1"},
                       {"MERLON_CLIENT_ID", "a"},
                       {"MERLON_CLIENT_SECRET", "s"},
                       {"MERLON_TENANT", "t"}};
  EXPECT_EQ(world.run({"status"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("hint: Is the server running"));
}

class CommandTest : public testing::Test {
 protected:
  World world;
  Server server{world};
  std::string sent(const std::string& what) {
    const auto requests = server.requests(what);
    return requests.empty() ? "(nothing)" : requests.back().body;
  }
  JsonObject sent_json(const std::string& what) {
    return parse_json_object(sent(what)).value_or(JsonObject());
  }
  std::string asked(const std::string& what, std::string_view parameter) {
    const auto requests = server.requests(what);
    const std::string* value = requests.empty() ? nullptr : requests.back().query.find(parameter);
    return value == nullptr ? "(nothing)" : *value;
  }
};

TEST_F(CommandTest, ARefusalShowsCodeFieldDetailsAndNoEscapes) {
  const JsonObject detail = {{"code", "c"}, {"message", "more"}, {"target", "t"}};
  const JsonObject error = {
      {"code", "Bad"}, {"message", "No\x1b[31m."}, {"target", "field"}, {"details", JsonArray{detail}}};
  server.on("GET /subscriptions/sub/providers/Merlon.Machines/machines",
            [error](const net::Request&) { return json_answer(400, {{"error", error}}); });
  EXPECT_EQ(world.run({"machine", "list"}), kFailed);
  EXPECT_EQ(world.err.str(), "merlon: No?[31m.\n  code: Bad (field)\n  - t: more\n");
}

TEST_F(CommandTest, TheTokenIsTheLastWordOfTheLastLine) {
  const std::string path = "POST " + kGroup + "/providers/Merlon.Machines/enrolmentTokens";
  server.on(path, JsonObject{{"token", "mrl1.a.b"}, {"expires", "2026-01-01T00:00:00Z"}});
  ASSERT_EQ(world.run({"machine", "token", "--resource-group", "web", "--name", "web-1", "--enforce",
                       "--lifetime", "1h30m"}),
            kDone)
      << world.err.str();
  std::string text = world.out.str();
  ASSERT_EQ(text.back(), '\n');
  text.pop_back();
  const std::string last_line = text.substr(text.rfind('\n') + 1);
  EXPECT_EQ(last_line.substr(last_line.rfind(' ') + 1), "mrl1.a.b");
  EXPECT_EQ(sent(path), R"({"name":"web-1","enforce":true,"lifetime":"PT1H30M"})");
  EXPECT_EQ(world.run({"machine", "token", "-g", "web", "--name", "w", "--lifetime", "long"}), kWrongUsage);
}

TEST_F(CommandTest, MachinesAsTableAndAsJson) {
  ASSERT_EQ(world.run({"machine", "list"}), kDone);
  EXPECT_THAT(world.out.str(), testing::StartsWith("NAME "));
  EXPECT_THAT(world.out.str(), HasSubstr("\nweb-1  web "));
  ASSERT_EQ(world.run({"machine", "list", "--output", "json"}), kDone);
  const auto json = parse_json_object(world.out.str());
  ASSERT_TRUE(json.has_value());
  EXPECT_THAT(*array_at(*json, "value"), SizeIs(1));
}

TEST_F(CommandTest, AnAppWithASecretAnswersTheThreeThings) {
  server.on("POST /v1.0/applications", JsonObject{{"id", "a1"}, {"appId", "c1"}});
  server.on("POST /v1.0/servicePrincipals", JsonObject{{"id", "o1"}, {"appId", "c1"}});
  server.on("POST /v1.0/applications/a1/addPassword", JsonObject{{"secretText", "shh"}});
  ASSERT_EQ(world.run({"app", "create", "--name", "deploy", "--secret", "--output", "json"}), kDone)
      << world.err.str();
  const auto json = parse_json_object(world.out.str());
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(string_at(*json, "clientId"), "c1");
  EXPECT_EQ(string_at(*json, "objectId"), "o1");
  EXPECT_EQ(string_at(*json, "clientSecret"), "shh");
}

TEST_F(CommandTest, HalfAnAppIsTakenAway) {
  server.on("POST /v1.0/applications", JsonObject{{"id", "a1"}, {"appId", "c1"}});
  server.on("POST /v1.0/servicePrincipals",
            [](const net::Request&) { return refusal(403, "Denied", "No."); });
  server.on("DELETE /v1.0/applications/a1", JsonObject());
  EXPECT_EQ(world.run({"app", "create", "--name", "deploy"}), kFailed);
  EXPECT_THAT(server.requests("DELETE /v1.0/applications/a1"), SizeIs(1));
}

TEST_F(CommandTest, APrivateKeyIsNotSent) {
  const std::string path = world.write("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
  EXPECT_EQ(world.run({"app", "create", "--name", "deploy", "--certificate", path}), kWrongUsage);
  EXPECT_THAT(server.requests("POST /v1.0/applications"), SizeIs(0));
}

TEST_F(CommandTest, AUserGetsAPasswordOfTheirOwn) {
  const JsonObject domain = {{"name", "m.example"}, {"isDefault", true}};
  server.on("GET /v1.0/organization", list_of({JsonObject{{"verifiedDomains", JsonArray{domain}}}}));
  server.on("POST /v1.0/users", JsonObject{{"id", "u1"}});
  ASSERT_EQ(world.run({"user", "create", "--username", "ada"}), kDone) << world.err.str();
  const JsonObject body = sent_json("POST /v1.0/users");
  EXPECT_EQ(string_at(body, "userPrincipalName"), "ada@m.example");
  EXPECT_EQ(bool_at(body, "passwordProfile.forceChangePasswordNextSignIn"), true);
  const std::string password = string_at(body, "passwordProfile.password").value_or("");
  EXPECT_GE(password.size(), 20U);
  EXPECT_THAT(world.out.str(), HasSubstr(password));
  ASSERT_EQ(world.run({"user", "create", "--username", "ada"}), kDone);
  EXPECT_THAT(sent("POST /v1.0/users"), Not(HasSubstr(password)));
}

TEST_F(CommandTest, ARoleIsAssignedByNames) {
  server.on("GET /v1.0/users/ada@m.example",
            JsonObject{{"id", "u1"}, {"userPrincipalName", "ada@m.example"}});
  server.on("GET " + kAuthorization + "roleDefinitions",
            list_of({JsonObject{{"id", "/providers/Microsoft.Authorization/roleDefinitions/r1"}}}));
  // The assignment's name is new each time, so the test's server cannot know the path.
  EXPECT_EQ(world.run({"role", "assign", "--assignee", "ada@m.example", "--role", "Reader", "-g", "web"}),
            kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("PUT " + kAuthorization + "roleAssignments/"));
  EXPECT_EQ(asked("GET " + kAuthorization + "roleDefinitions", "$filter"), "roleName eq 'Reader'");
  EXPECT_EQ(world.run({"role", "assign", "--assignee", "a", "--role", "R", "--scope", "web"}), kWrongUsage);
  EXPECT_EQ(world.run({"role", "assign", "--assignee", "a", "--role", "R", "--scope", "/", "-g", "x"}),
            kWrongUsage);
}

TEST_F(CommandTest, WhySaysNoByItsExitCode) {
  const std::string path = "POST " + kGroup + "/providers/Merlon.Authorization/checkAccess";
  server.on(path, JsonObject{{"allowed", false}, {"reason", "no assignment"}, {"scope", kGroup}});
  EXPECT_EQ(world.run({"role", "why", "--action", "A/read", "-g", "web"}), kFailed);
  EXPECT_THAT(world.out.str(), HasSubstr("You may NOT do A/read"));
  EXPECT_EQ(sent(path), R"({"action":"A/read"})");
  server.on(path, JsonObject{{"allowed", true}, {"roleName", "Owner"}, {"scope", kGroup}});
  EXPECT_EQ(world.run({"role", "why", "--action", "A/read", "-g", "web"}), kDone);
}

TEST_F(CommandTest, ARuleIsAddedWithoutReplacingAnother) {
  const std::string rule =
      "PUT " + kGroup + "/providers/Microsoft.Network/networkSecurityGroups/n/securityRules/AllowHttps";
  server.on(rule, JsonObject());
  const std::vector<std::string> add = {"nsg",    "rule",     "add",    "--nsg",      "n",
                                        "-g",     "web",      "--name", "AllowHttps", "--priority",
                                        "200",    "--access", "allow",  "--from",     "10.0.0.0/8,192.0.2.1",
                                        "--port", "443"};
  ASSERT_EQ(world.run(add), kDone) << world.err.str();
  EXPECT_EQ(server.requests(rule).back().headers.value_or("If-None-Match", ""), "*");
  const JsonObject body = sent_json(rule);
  EXPECT_EQ(string_at(body, "properties.access"), "Allow");
  EXPECT_EQ(string_at(body, "properties.destinationPortRange"), "443");
  EXPECT_EQ(string_at(body, "properties.destinationAddressPrefix"), "*");
  ASSERT_NE(array_at(body, "properties.sourceAddressPrefixes"), nullptr);
  EXPECT_THAT(*array_at(body, "properties.sourceAddressPrefixes"), SizeIs(2));
  server.on(rule, [](const net::Request&) { return refusal(412, "PreconditionFailed", "There."); });
  EXPECT_EQ(world.run(add), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("--replace"));
}

TEST_F(CommandTest, ServiceTagsAreSentWithoutWhatTheServerDoesNotKeep) {
  const std::string file = world.write("tags.json",
                                       R"({"changeNumber": 7, "cloud": "Public", "values": [
      {"name": "Sql", "id": "Sql", "properties": {"region": "", "regionId": 0, "networkFeatures": ["NSG"],
       "addressPrefixes": ["192.0.2.0/24"]}}]})");
  const std::string path = "PUT /subscriptions/sub/providers/Merlon.Network/serviceTagSets/corp";
  server.on(path, JsonObject());
  ASSERT_EQ(world.run({"network", "service-tags", "import", file, "--set", "corp"}), kDone)
      << world.err.str();
  EXPECT_EQ(sent(path), R"({"changeNumber":7,"cloud":"Public","values":[{"name":"Sql","properties":)"
                        R"({"region":"","addressPrefixes":["192.0.2.0/24"]}}]})");
  EXPECT_EQ(world.run({"network", "service-tags", "import", file + "-missing"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("cannot be read"));
  EXPECT_EQ(world.run({"network", "service-tags", "import", world.write("empty.json", "{}")}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("no list 'values'"));
}

TEST_F(CommandTest, ExplainNeedsOneSide) {
  const std::vector<std::string> explain = {"nsg", "explain", "--machine", "web-1", "--port"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), explain.begin(), explain.end());
    return world.run(more);
  };
  EXPECT_EQ(with({"22"}), kWrongUsage);
  EXPECT_EQ(with({"22", "--from", "a", "--to", "b"}), kWrongUsage);
  EXPECT_EQ(with({"x", "--from", "a"}), kWrongUsage);
  server.on("POST " + kGroup + "/providers/Merlon.Machines/machines/web-1/explain",
            JsonObject{{"access", "deny"}, {"ruleName", "DenyAllInBound"}, {"enforced", false}});
  EXPECT_EQ(with({"22", "--from", "192.0.2.7"}), kDone);
  EXPECT_THAT(world.out.str(), testing::StartsWith("DENIED"));
  EXPECT_THAT(world.out.str(), HasSubstr("DenyAllInBound"));
  EXPECT_THAT(world.out.str(), HasSubstr("audit mode"));
}

TEST_F(CommandTest, ExplainJudgesBothEndsOfTwoMachines) {
  server.on("GET /subscriptions/sub/providers/Merlon.Machines/machines",
            list_of({Server::machine("web", "web-1"), Server::machine("web", "db-1")}));
  for (const auto& [name, address, access] :
       {std::tuple("web-1", "10.0.0.4", "Allow"), std::tuple("db-1", "10.0.0.5", "Deny")}) {
    const std::string nic =
        kGroup + "/providers/Microsoft.Network/networkInterfaces/" + std::string(name) + "-nic";
    const JsonArray interfaces = {JsonObject{{"id", nic}}};
    const JsonArray configurations = {JsonObject{{"properties", JsonObject{{"privateIPAddress", "fd00::9"}}}},
                                      JsonObject{{"properties", JsonObject{{"privateIPAddress", address}}}}};
    server.on("GET " + kGroup + "/providers/Microsoft.Compute/virtualMachines/" + name,
              JsonObject{{"properties",
                          JsonObject{{"networkProfile", JsonObject{{"networkInterfaces", interfaces}}}}}});
    server.on("GET " + nic, JsonObject{{"properties", JsonObject{{"ipConfigurations", configurations}}}});
    server.on(
        "POST " + kGroup + "/providers/Merlon.Machines/machines/" + name + "/explain",
        JsonObject{{"access", access}, {"ruleName", std::string("RuleOf-") + name}, {"enforced", true}});
  }
  ASSERT_EQ(world.run({"nsg", "explain", "--from", "web-1", "--to", "db-1", "--port", "5432"}), kDone)
      << world.err.str();
  EXPECT_THAT(world.out.str(), testing::StartsWith("DENIED"));
  EXPECT_THAT(world.out.str(), HasSubstr("RuleOf-web-1"));
  EXPECT_THAT(world.out.str(), HasSubstr("RuleOf-db-1"));
  const std::string machines = "POST " + kGroup + "/providers/Merlon.Machines/machines/";
  EXPECT_EQ(sent(machines + "web-1/explain"),
            R"({"port":5432,"protocol":"Tcp","to":"fd00::9","local":"fd00::9"})");
  EXPECT_EQ(sent(machines + "db-1/explain"),
            R"({"port":5432,"protocol":"Tcp","from":"fd00::9","local":"fd00::9"})");
  ASSERT_EQ(world.run({"nsg", "explain", "--from", "web-1", "--to", "192.0.2.1", "--port", "53", "--protocol",
                       "udp", "--output", "json"}),
            kDone)
      << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr(R"("access": "Allow")"));
  EXPECT_EQ(world.run({"nsg", "explain", "--from", "192.0.2.2", "--to", "192.0.2.1", "--port", "53"}),
            kWrongUsage);
}

TEST_F(CommandTest, APolicyKeepsItsOtherMachinesAndNoticesOthersChanges) {
  const std::string policy =
      kGroup + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
  const std::string vms = kGroup + "/providers/Microsoft.Compute/virtualMachines/";
  const JsonArray machines = {JsonObject{{"id", vms + "db-1"}, {"ports", JsonArray()}},
                              JsonObject{{"id", vms + "WEB-1"}, {"ports", JsonArray()}}};
  server.on("GET " + policy, [machines](const net::Request&) {
    const JsonObject properties = {{"virtualMachines", machines}, {"requests", JsonArray{JsonObject()}}};
    net::Response response = json_answer(200, {{"properties", properties}});
    response.headers.set("ETag", "\"v1\"");
    return response;
  });
  server.on("PUT " + policy, JsonObject());
  ASSERT_EQ(world.run({"jit", "policy", "set", "--machine", "web-1", "--max", "2h"}), kDone)
      << world.err.str();
  EXPECT_EQ(server.requests("PUT " + policy).back().headers.value_or("If-Match", ""), "\"v1\"");
  EXPECT_EQ(sent("PUT " + policy),
            R"({"kind":"Basic","properties":{"virtualMachines":[{"id":")" + vms +
                R"(db-1","ports":[]},{"id":")" + vms +
                R"(web-1","ports":[{"number":22,"protocol":"TCP",)"
                R"("maxRequestAccessDuration":"PT2H","allowedSourceAddressPrefix":"*"}]}]}})");
  server.on("GET " + policy, [](const net::Request&) { return refusal(404, "ResourceNotFound", "None."); });
  ASSERT_EQ(world.run({"jit", "policy", "set", "--machine", "web-1"}), kDone);
  EXPECT_EQ(server.requests("PUT " + policy).back().headers.value_or("If-None-Match", ""), "*");
}

TEST_F(CommandTest, TheLedgerIsShownOldestFirstWithoutEscapes) {
  const JsonObject newer = {
      {"index", 2}, {"action", "B"}, {"actor", JsonObject{{"name", std::string("x\x1b]0;")}}}};
  const JsonObject older = {{"index", 1}, {"action", "A"}, {"decision", "allowed"}};
  server.on(kEntries, list_of({newer, older}));
  ASSERT_EQ(world.run({"ledger", "tail"}), kDone);
  const std::string text = world.out.str();
  EXPECT_LT(text.find("  A  "), text.find("  B  "));
  EXPECT_NE(text.find("  B  "), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(asked(kEntries, "$top"), "20");
  EXPECT_EQ(world.run({"ledger", "tail", "-n", "0"}), kWrongUsage);
  ASSERT_EQ(world.run({"ledger", "tail", "--action", "Merlon.Jit/", "--resource", "/x"}), kDone);
  EXPECT_EQ(asked(kEntries, "$filter"), "startswith(action,'Merlon.Jit/') and startswith(resource,'/x')");
}

TEST_F(CommandTest, TheTailGoesOnWhereAPageIsShort) {
  server.on(kEntries, [](const net::Request& request) {
    const bool first = request.query.find("$skiptoken") == nullptr;
    net::Response response;
    response.headers.set("Content-Type", "application/json");
    response.body =
        first ? R"({"value":[],"nextLink":"https://x/providers/Merlon.Ledger/entries?$skiptoken=Nw&$top=20"})"
              : R"({"value":[{"index":1,"action":"Found","decision":"allowed"}]})";
    return response;
  });
  ASSERT_EQ(world.run({"ledger", "tail", "--action", "Found"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr("Found"));
  EXPECT_EQ(asked(kEntries, "$skiptoken"), "Nw");
}

TEST_F(CommandTest, AnExportIsWrittenAsItCame) {
  server.on("GET /providers/Merlon.Ledger/export", [](const net::Request&) {
    net::Response response;
    response.body = "{\"index\":0}\n{\"head\":{}}\n";
    return response;
  });
  ASSERT_EQ(world.run({"ledger", "export"}), kDone);
  EXPECT_EQ(world.out.str(), "{\"index\":0}\n{\"head\":{}}\n");
  const std::string path = world.write("bad.jsonl", world.out.str());
  EXPECT_EQ(world.run({"ledger", "verify", path}), kFailed);
  EXPECT_EQ(world.run({"ledger", "verify", path, "--witness", world.write("empty", "\n")}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("holds no signed head"));
}

TEST_F(CommandTest, AnExportGoesOnPartByPart) {
  server.on("GET /providers/Merlon.Ledger/export", [](const net::Request& request) {
    net::Response response;
    const bool is_first = *request.query.find("from") == "0";
    response.body = is_first ? "{\"index\":0}\n" : "{\"head\":{}}\n";
    if (is_first) response.headers.set("x-merlon-continued-at", "1");
    return response;
  });
  ASSERT_EQ(world.run({"ledger", "export"}), kDone);
  EXPECT_EQ(world.out.str(), "{\"index\":0}\n{\"head\":{}}\n");
}

TEST_F(CommandTest, StatusSaysWhatItMaySee) {
  server.on("GET /healthz", JsonObject{{"status", "ok"}});
  server.on("GET /subscriptions/sub/providers/Merlon.Jit/openings",
            [](const net::Request&) { return refusal(403, "AuthorizationFailed", "Not yours."); });
  ASSERT_EQ(world.run({"status"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr("1 enrolled, 1 connected, 0 enforcing"));
  EXPECT_THAT(world.out.str(), HasSubstr("Not yours."));
  EXPECT_THAT(world.out.str(), HasSubstr(server.endpoint + ", answers"));
}

TEST_F(CommandTest, StatusFailsWhenTheServerKnowsNoSuchSignIn) {
  server.on("GET /healthz", JsonObject{{"status", "ok"}});
  server.on("GET /subscriptions/sub/providers/Merlon.Jit/openings", [](const net::Request&) {
    return refusal(401, "InvalidAuthenticationToken", "The session has ended. Sign in again.");
  });
  EXPECT_EQ(world.run({"status"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("Sign in again."));
}

TEST_F(CommandTest, CloudConfigIsWhatAzTakes) {
  server.on("GET /metadata/endpoints", [](const net::Request&) {
    net::Response response;
    response.body = R"([{"suffixes":{"keyVaultDns":"vault.m.example:8443"}}])";
    return response;
  });
  ASSERT_EQ(world.run({"cloud-config"}), kDone) << world.err.str();
  const auto json = parse_json_object(world.out.str());
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(string_at(*json, "endpoints.activeDirectory"), server.endpoint + "/adfs");
  EXPECT_EQ(string_at(*json, "endpoints.activeDirectoryResourceId"), server.endpoint + "/");
  EXPECT_EQ(string_at(*json, "endpoints.resourceManager"), server.endpoint + "/");
  EXPECT_EQ(string_at(*json, "suffixes.keyvaultDns"), ".vault.m.example:8443");
}

}  // namespace
}  // namespace merlon::cli
