// What can be said on the command line, and what is wrong usage.
#include "cli/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace merlon::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Values {
  std::string name, kind;
  std::vector<std::string> ports, tail;
  bool quick = false;
};

Result<int> nothing(Context&, const Values&) { return kDone; }

class ParseTest : public testing::Test {
 protected:
  ParseTest() {
    commands.push_back(make_command("door open", "Open it", "merlon door open web-1", nothing,
                                    [this](Command& command, Values& given) {
                                      values = &given;
                                      command.text("name", given.name, "Which").required();
                                      command.texts("--port,-p", given.ports, "Ports");
                                      command.choice("--kind", given.kind, {"Tcp", "Udp"}, "What");
                                      command.flag("--quick", given.quick, "Now");
                                      command.tail = &given.tail;
                                    }));
    commands.push_back(
        make_command("list", "List", "merlon list", nothing, [this](Command& command, Values& given) {
          list_values = &given;
          command.texts("--port", given.ports, "Ports");
        }));
  }
  Parsed parse(std::vector<std::string> arguments) { return cli::parse(commands, std::move(arguments)); }
  std::vector<Command> commands;
  Values* values = nullptr;
  Values* list_values = nullptr;
};

TEST_F(ParseTest, FillsOptionsOfTheChosenCommand) {
  const Parsed parsed =
      parse({"door", "open", "--port", "22", "-p", "80,443", "web-1", "--quick", "-o", "json"});
  ASSERT_NE(parsed.command, nullptr) << parsed.text;
  EXPECT_EQ(parsed.command->path, "door open");
  EXPECT_EQ(parsed.output, OutputForm::json);
  EXPECT_EQ(values->name, "web-1");
  EXPECT_THAT(values->ports, ElementsAre("22", "80", "443"));
  EXPECT_TRUE(values->quick);
}

TEST_F(ParseTest, AListTakesNoArgumentThatBelongsToTheCommand) {
  ASSERT_NE(parse({"door", "open", "--port", "22", "web-1"}).command, nullptr);
  EXPECT_EQ(values->name, "web-1");
  EXPECT_THAT(values->ports, ElementsAre("22"));
}

TEST_F(ParseTest, AListTakesSeveralWhereNothingElseCanFollow) {
  ASSERT_NE(parse({"list", "--port", "22", "80"}).command, nullptr);
  EXPECT_THAT(list_values->ports, ElementsAre("22", "80"));
}

TEST_F(ParseTest, WhatFollowsTwoDashesIsNotRead) {
  const Parsed parsed = parse({"door", "open", "web-1", "--", "ssh", "-p", "22", "--", "--help"});
  ASSERT_NE(parsed.command, nullptr) << parsed.text;
  EXPECT_THAT(values->tail, ElementsAre("ssh", "-p", "22", "--", "--help"));
  EXPECT_THAT(values->ports, IsEmpty());
}

TEST_F(ParseTest, TwoDashesNeedACommandAndOneThatTakesIt) {
  EXPECT_EQ(parse({"door", "open", "web-1", "--"}).exit_code, kWrongUsage);
  EXPECT_EQ(parse({"list", "--", "ssh"}).exit_code, kWrongUsage);
}

TEST_F(ParseTest, ChoicesAreTakenInAnyCaseAndWrittenInOne) {
  ASSERT_NE(parse({"door", "open", "web-1", "--kind", "uDP"}).command, nullptr);
  EXPECT_EQ(values->kind, "Udp");
  const Parsed wrong = parse({"door", "open", "web-1", "--kind", "smoke"});
  EXPECT_EQ(wrong.exit_code, kWrongUsage);
  EXPECT_THAT(wrong.text, HasSubstr("Tcp, Udp"));
}

TEST_F(ParseTest, WrongUsageIsTwo) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"door"},
                                                       {"door", "open"},
                                                       {"door", "close"},
                                                       {"nothing"},
                                                       {"door", "open", "web-1", "--unknown"},
                                                       {"door", "open", "web-1", "extra"},
                                                       {"list", "--output", "xml"},
                                                       {"door", "open", "web-1", "--port"}};
  for (const auto& arguments : wrong) {
    const Parsed parsed = parse(arguments);
    EXPECT_EQ(parsed.command, nullptr);
    EXPECT_EQ(parsed.exit_code, kWrongUsage) << testing::PrintToString(arguments);
    EXPECT_FALSE(parsed.text.empty());
  }
}

TEST_F(ParseTest, VersionAndHelpAreDone) {
  EXPECT_THAT(parse({"--version"}).text, testing::StartsWith("merlon "));
  EXPECT_EQ(parse({"--version"}).exit_code, kDone);
  const Parsed help = parse({"door", "open", "--help"});
  EXPECT_EQ(help.exit_code, kDone);
  EXPECT_THAT(help.text, HasSubstr("Open it"));
  EXPECT_THAT(help.text, HasSubstr("Example:\n  merlon door open web-1"));
}

TEST(AllCommands, EachHasAHelpWithAnExampleThatNamesIt) {
  const std::vector<Command> commands = all_commands();
  for (const Command& command : commands) {
    EXPECT_THAT(command.example, HasSubstr("merlon " + command.path));
    EXPECT_FALSE(command.summary.empty());
    std::vector<std::string> arguments;
    std::istringstream words(command.path);
    for (std::string word; words >> word;) arguments.push_back(word);
    arguments.emplace_back("--help");
    const Parsed parsed = parse(commands, arguments);
    EXPECT_EQ(parsed.exit_code, kDone) << command.path;
    EXPECT_THAT(parsed.text, HasSubstr(command.summary));
    for (const Option& option : command.options) EXPECT_FALSE(option.help.empty()) << option.names;
  }
}

TEST(AllCommands, NoneIsMissingOrThereTwice) {
  std::set<std::string> paths;
  for (const Command& command : all_commands())
    EXPECT_TRUE(paths.insert(command.path).second) << command.path;
  for (const char* path : {"server",
                           "agent enrol",
                           "agent run",
                           "agent release",
                           "agent restore",
                           "login",
                           "logout",
                           "admin create",
                           "admin recover",
                           "user create",
                           "user list",
                           "user disable",
                           "group create",
                           "group list",
                           "group add-member",
                           "app create",
                           "app list",
                           "app disable",
                           "role assign",
                           "role list",
                           "role why",
                           "machine token",
                           "machine list",
                           "machine show",
                           "machine enforce",
                           "machine audit",
                           "machine remove",
                           "nsg show",
                           "nsg rule add",
                           "nsg rule delete",
                           "nsg explain",
                           "jit policy set",
                           "jit policy show",
                           "jit request",
                           "jit list",
                           "jit revoke",
                           "ledger tail",
                           "ledger export",
                           "ledger head",
                           "ledger verify",
                           "status",
                           "cloud-config",
                           "network service-tags import",
                           "network service-tags list",
                           "network service-tags delete"})
    EXPECT_TRUE(paths.contains(path)) << path;
}

TEST(AllCommands, NoOptionTakesAPasswordOrSecretFromTheArguments) {
  for (const Command& command : all_commands())
    for (const Option& option : command.options) {
      // "--password-from" names one in a vault.
      const bool names_one = option.names.ends_with("-from");
      EXPECT_TRUE(names_one || option.names.find("password") == std::string::npos) << command.path;
      // Of "merlon run" it names secrets in a vault.
      if (option.names == "--secret" && command.path != "run") {
        EXPECT_TRUE(std::holds_alternative<bool*>(option.target)) << command.path;
      }
    }
}

}  // namespace
}  // namespace merlon::cli
