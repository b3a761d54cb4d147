// The privileged half by itself, on a clock that the test holds; and what passes between the two halves.
#include "agent/warden.h"

#include "agent/frames.h"
#include "agent/http_exchange.h"
#include "agent/test_control_plane.h"
#include "agent/test_sockets.h"
#include "machine/call.h"
#include "machine/traffic.h"

namespace merlon::agent::testing {
namespace {

TEST(Warden, AChangeWithoutContactIsTakenBackAndOpeningsStay) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    const auto files = [&] { return StateFiles::open(room.state_dir()).value(); };
    ASSERT_TRUE(files().write_json(file::kRules, KeptRules{}.to_json()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    settings.server_port = 8443;
    const auto warden = Warden::start(files(), clock, settings).value();
    const auto ask = [&](std::string_view name, JsonObject body) {
      body["ask"] = name;
      return warden->answer(parse_json_object(to_text(body)).value());
    };
    const auto status = [&] { return ask("status", {{"seen", 0}}).at("answer").as_object(); };
    EXPECT_TRUE(room.ssh_passes());
    EXPECT_TRUE(ask("apply", {{"state", sealed_machine(3).to_json()}}).contains("answer"));
    DesiredState shell;
    shell.openings = {opening(hours(1))};
    const JsonObject order = {{"opening", shell.to_json().at("openings").as_array()[0]},
                              {"remainingMs", 600'000},
                              {"remainingMostMs", 600'000}};
    EXPECT_TRUE(ask("openings", {{"epoch", 1},
                                 {"number", 3},
                                 {"countedMs", clock.boottime().count()},
                                 {"orders", JsonArray{order}}})
                    .contains("answer"));
    EXPECT_TRUE(room.ssh_passes());
    EXPECT_FALSE(room.ssh_passes("192.0.2.8"));
    EXPECT_EQ(bool_at(status(), "confirmed"), false);
    clock.advance(Duration(29'900));
    warden->tick();
    EXPECT_FALSE(room.ssh_passes("192.0.2.8"));
    clock.advance(Duration(200));
    warden->tick();
    EXPECT_TRUE(room.ssh_passes("192.0.2.8")) << "the rules of before are back";
    EXPECT_EQ(int_at(status(), "version.number"), 0);
    EXPECT_NE(string_at(status(), "error").value().find("taken back"), std::string::npos);
    EXPECT_EQ(array_at(status(), "open")->size(), 1U) << "the opening is not a rule";
    // Confirmed, it stays.
    EXPECT_TRUE(ask("apply", {{"state", sealed_machine(4).to_json()}}).contains("answer"));
    EXPECT_TRUE(ask("confirm", {{"epoch", 1}, {"number", 4}}).contains("answer"));
    clock.advance(hours(5));
    warden->tick();
    EXPECT_FALSE(room.ssh_passes("192.0.2.8"));
    // What the table does not list, and what is malformed, is refused.
    for (const std::string_view name : {"exec", "", "read-file", "../status"})
      EXPECT_TRUE(ask(name, {}).contains("error")) << name;
    EXPECT_TRUE(ask("apply", {{"state", "all"}}).contains("error"));
    EXPECT_TRUE(ask("apply", {{"state", sealed_machine(1).to_json()}}).contains("error"))
        << "an older version";
    EXPECT_TRUE(ask("openings", {{"epoch", 1}, {"number", 5}, {"countedMs", 0}, {"orders", JsonArray{7}}})
                    .contains("error"));
    EXPECT_TRUE(ask("keep-certificate", {{"certificate", "none"}}).contains("error"));
  });
}

TEST(Warden, LeadsOnlyWhereItsOwnerSays) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    auto files = StateFiles::open(room.state_dir()).value();
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{}.to_json()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    settings.server_port = 8443;
    settings.cap.servers = {*ServerRange::parse("198.51.100.0/28:8444")};
    const auto warden = Warden::start(std::move(files), clock, settings).value();
    const auto ask = [&](std::string_view name, JsonObject body) {
      body["ask"] = name;
      return warden->answer(parse_json_object(to_text(body)).value());
    };
    // Where somebody may be led: to the ports that the owner names, at an address of this machine's own.
    const auto led = [&](std::string_view address, int port, std::string_view server = {}) {
      const machine::AgentCall call{"id", *IpAddress::parse(address), static_cast<uint16_t>(port),
                                    machine::ServerAddress::parse(server)};
      return ask("call", call.to_json()).contains("answer");
    };
    EXPECT_TRUE(led("10.1.0.4", 22));
    EXPECT_FALSE(led("10.1.0.4", 23));
    EXPECT_FALSE(led("127.0.0.1", 22));
    EXPECT_FALSE(led("192.0.2.254", 22)) << "another machine's";
    // For a server where its name leads, or where the owner says that more are; for nobody else.
    EXPECT_TRUE(ask("contact", {{"addresses", JsonArray{"203.0.113.5"}}}).contains("answer"));
    EXPECT_TRUE(led("10.1.0.4", 22, "203.0.113.5:8443"));
    EXPECT_FALSE(led("10.1.0.4", 22, "203.0.113.5:8444"));
    EXPECT_FALSE(led("10.1.0.4", 22, "203.0.113.6:8443"));
    EXPECT_TRUE(led("10.1.0.4", 22, "198.51.100.15:8444"));
    EXPECT_FALSE(led("10.1.0.4", 22, "198.51.100.16:8444"));
  });
}

TEST(Warden, WhatThereIsNoRoomForIsCountedAndToldAndWhatMattersMostStays) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    auto files = StateFiles::open(room.state_dir()).value();
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{}.to_json()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    settings.cap.widest_v4 = 16;
    const auto warden = Warden::start(std::move(files), clock, settings).value();
    const auto ask = [&](JsonObject body) {
      return warden->answer(parse_json_object(to_text(body)).value()).at("answer").as_object();
    };
    const auto order = [](const std::string& id, const std::string& source) {
      DesiredState shell;
      shell.openings = {opening(hours(1))};
      shell.openings.front().id = id;
      shell.openings.front().source = IpPrefix::parse(source).value();
      return JsonObject{{"opening", shell.to_json().at("openings").as_array()[0]},
                        {"remainingMs", 600'000},
                        {"remainingMostMs", 600'000}};
    };
    JsonArray orders = {order("too wide", "10.0.0.0/8")};
    for (int i = 0; i < 600; ++i) orders.push_back(order(std::to_string(i), "192.0.2.7"));
    ask({{"ask", "openings"},
         {"epoch", 1},
         {"number", 3},
         {"countedMs", clock.boottime().count()},
         {"orders", std::move(orders)}});
    const auto events = [&](int64_t seen) {
      return *array_at(ask({{"ask", "status"}, {"seen", seen}}), "events");
    };
    const JsonArray first = events(0);
    ASSERT_EQ(first.size(), 512U);
    EXPECT_EQ(string_at(first.front().as_object(), "kind"), "refused") << "older than what was dropped";
    EXPECT_EQ(string_at(first.back().as_object(), "kind"), "reports-dropped");
    EXPECT_EQ(int_at(first.back().as_object(), "facts.sinceTheAgentStarted.opened"), 90);
    int64_t last = 0;
    for (const Json& event : first) {
      EXPECT_GT(int_at(event.as_object(), "number"), last);
      last = *int_at(event.as_object(), "number");
    }
    EXPECT_TRUE(events(last).empty());
  });
}

// A machine with as many sessions as a report holds.
class BusyMachine final : public Surroundings {
 public:
  std::vector<IpAddress> resolvers() const override { return {}; }
  std::set<std::string> uplinks(const std::vector<IpAddress>&) const override { return {}; }
  Result<Sockets> sockets() const override {
    Sockets found;
    const IpAddress own = address("2001:db8:1111:2222:3333:4444:5555:6666");
    for (uint16_t i = 0; i < machine::kReportedMax; ++i)
      found.listening.push_back({machine::Protocol::tcp, own, static_cast<uint16_t>(2000 + i)});
    for (uint32_t i = 0; i < machine::kReportedMax; ++i)
      found.connected.push_back(
          {own, address(fmt::format("2001:db8:7777:8888:9999:aaaa:{:x}:{:x}", *round, i + 1)), 2022, 50'000});
    return found;
  }
  std::pair<int64_t, int64_t> tracked_connections() const override { return {1, 2}; }
  Duration running() const override { return {}; }

  std::shared_ptr<int> round = std::make_shared<int>(1);
};

TEST(Warden, WhatAuditSeesWithoutItsServerForHoursStaysAsSmallAsAnAnswer) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    auto files = StateFiles::open(room.state_dir()).value();
    DesiredState audit = sealed_machine(1);
    audit.mode = Mode::audit;
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{audit, {}, {}}.to_json()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    auto busy = std::make_unique<BusyMachine>();
    const auto round = busy->round;
    const auto warden =
        Warden::start(std::move(files), clock, settings, Firewall::open(clock).value(), std::move(busy))
            .value();
    const auto pass = [&](int minutes, int others) {
      for (int i = 0; i < minutes; ++i) {
        *round += others;
        clock.advance(Duration(61'000));
        warden->tick();
      }
      return warden->answer({{"ask", "status"}, {"seen", 0}}).at("answer").as_object();
    };
    const auto count = [](const JsonObject& status, std::string_view kind) {
      int64_t found = 0;
      for (const Json& event : *array_at(status, "events"))
        found += string_at(event.as_object(), "kind") == kind ? 1 : 0;
      return found;
    };
    // The same are there all the while: what they have said once they say no more.
    JsonObject status = pass(8, 0);
    EXPECT_EQ(count(status, "traffic"), 1);
    EXPECT_EQ(count(status, "reports-dropped"), 0);
    // Each is told as long as there is room, and the newest report in full.
    status = pass(3, 1);
    EXPECT_EQ(count(status, "traffic"), 4);
    size_t sessions = 0;
    size_t listeners = 0;
    for (const Json& event : *array_at(status, "events")) {
      const auto report = machine::TrafficReport::from_json(*object_at(event.as_object(), "facts"));
      ASSERT_TRUE(report);
      sessions += report->sessions.size();
      listeners += report->listeners.size();
    }
    EXPECT_EQ(sessions, 4 * machine::kReportedMax);
    EXPECT_EQ(listeners, machine::kReportedMax);
    // And there is an end.
    status = pass(45, 1);
    EXPECT_LT(to_text(status).size(), 1'200'000U);
    const JsonArray& kept = *array_at(status, "events");
    const Json& newest = kept[kept.size() - 2];  // before what tells of those that went
    EXPECT_EQ(array_at(newest.as_object(), "facts.listeners")->size(), machine::kReportedMax);
    for (const Json& event : kept)
      if (string_at(event.as_object(), "kind") == "reports-dropped")
        EXPECT_EQ(int_at(event.as_object(), "facts.sinceTheAgentStarted.traffic"),
                  49 - count(status, "traffic"));
    EXPECT_EQ(count(status, "reports-dropped"), 1);
  });
}

TEST(Warden, AnOpeningThatNeedsALiveServerGoesWithItAndComesBack) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    auto files = StateFiles::open(room.state_dir()).value();
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{sealed_machine(1), {}, {}}.to_json()));
    const SystemClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    const auto warden = Warden::start(std::move(files), clock, settings).value();
    const auto ask = [&](std::string_view name, JsonObject body) {
      body["ask"] = name;
      return warden->answer(parse_json_object(to_text(body)).value());
    };
    const auto kinds = [&] {
      std::vector<std::string> out;
      const JsonObject status = ask("status", {{"seen", 0}}).at("answer").as_object();
      for (const Json& event : *array_at(status, "events"))
        out.push_back(string_at(event.as_object(), "kind").value());
      return out;
    };
    DesiredState shell;
    shell.openings = {opening(hours(1))};
    shell.openings.front().live_server = true;
    const JsonObject order = {{"opening", shell.to_json().at("openings").as_array()[0]},
                              {"remainingMs", 600'000},
                              {"remainingMostMs", 600'000}};
    EXPECT_TRUE(ask("heard", {{"sentMs", (clock.boottime() + hours(1)).count()}}).contains("error"))
        << "a moment that has not been yet";
    // Nobody has been heard: it is known, and not open.
    EXPECT_TRUE(ask("openings", {{"epoch", 1},
                                 {"number", 2},
                                 {"countedMs", clock.boottime().count()},
                                 {"orders", JsonArray{order}}})
                    .contains("answer"));
    EXPECT_FALSE(room.ssh_passes());
    // An answer to a request of 12 s ago leaves 3.
    const Duration sent = clock.boottime() - seconds(12);
    EXPECT_TRUE(ask("heard", {{"sentMs", sent.count()}}).contains("answer"));
    EXPECT_TRUE(room.ssh_passes());
    while (clock.boottime() < sent + kServerLease) ::usleep(1000);
    EXPECT_FALSE(room.ssh_passes()) << "the kernel ends it, whoever is alive here";
    warden->tick();
    EXPECT_EQ(kinds().back(), "suspended");
    EXPECT_TRUE(ask("heard", {{"sentMs", clock.boottime().count()}}).contains("answer"));
    EXPECT_TRUE(room.ssh_passes());
    EXPECT_EQ(kinds().back(), "resumed");
    EXPECT_EQ(std::ranges::count(kinds(), "closed"), 0) << "it has not ended";
  });
}

TEST(Warden, EnforcementBeginsWithoutCuttingWhatWasThereBefore) {
  in_fresh_namespace([] {
    Room room;
    const Socket listener = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    const Talk session = talk(room.peer, listener, address("10.1.0.4"), 22);
    ASSERT_TRUE(session);
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    auto files = StateFiles::open(room.state_dir()).value();
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{}.to_json()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    const auto warden = Warden::start(std::move(files), clock, settings).value();
    const auto ask = [&](std::string_view name, JsonObject body) {
      body["ask"] = name;
      return warden->answer(parse_json_object(to_text(body)).value());
    };
    const auto facts_of = [&](std::string_view kind) {
      JsonObject found;
      const JsonObject status = ask("status", {{"seen", 0}}).at("answer").as_object();
      for (const Json& event : *array_at(status, "events"))
        if (string_at(event.as_object(), "kind") == kind) found = *object_at(event.as_object(), "facts");
      return found;
    };
    DesiredState audit = sealed_machine(2);
    audit.mode = Mode::audit;
    EXPECT_TRUE(ask("apply", {{"state", audit.to_json()}}).contains("answer"));
    EXPECT_TRUE(ask("confirm", {{"epoch", 1}, {"number", 2}}).contains("answer"));
    warden->tick();
    EXPECT_TRUE(warden->take_news());
    EXPECT_FALSE(warden->take_news());
    const auto report = machine::TrafficReport::from_json(facts_of("traffic"));
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->sessions.size(), 1U);
    EXPECT_EQ(report->sessions[0].peer, address("10.1.0.254"));
    EXPECT_EQ(report->sessions[0].port, 22);
    EXPECT_TRUE(std::ranges::any_of(report->listeners, [](const auto& l) { return l.port == 22; }));
    EXPECT_TRUE(ask("apply", {{"state", sealed_machine(3).to_json()}}).contains("answer"));
    EXPECT_EQ(int_at(facts_of("sessions-kept"), "kept"), 1);
    EXPECT_TRUE(session.flows()) << "silent since before there was a table, and kept";
    EXPECT_FALSE(talk(room.peer, listener, address("10.1.0.4"), 22));
  });
}

TEST(Warden, EnforcingWithoutAnInterfaceIsClosedNotOpen) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    const auto files = [&] { return StateFiles::open(room.state_dir()).value(); };
    ASSERT_TRUE(files().write_json(file::kRules, KeptRules{sealed_machine(3), {}, {}}.to_json()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    DesiredState bare = sealed_machine(4);
    bare.interfaces.clear();
    {
      const auto warden = Warden::start(files(), clock, settings).value();
      const JsonObject apply = {{"ask", "apply"}, {"state", bare.to_json()}};
      EXPECT_TRUE(warden->answer(parse_json_object(to_text(apply)).value()).contains("answer"));
      EXPECT_FALSE(room.ssh_passes()) << "no interface is named: nothing would guard the port";
    }
    ASSERT_TRUE(files().write_json(file::kRules, KeptRules{bare, {}, {}}.to_json()));
    ASSERT_EQ(run_command("nft flush ruleset"), 0);
    {
      const auto warden = Warden::start(files(), clock, settings).value();
      EXPECT_FALSE(room.ssh_passes()) << "nor after a start";
    }
    bare.mode = Mode::audit;
    ASSERT_TRUE(files().write_json(file::kRules, KeptRules{bare, {}, {}}.to_json()));
    const auto warden = Warden::start(files(), clock, settings).value();
    EXPECT_TRUE(room.ssh_passes()) << "audit lets everything pass";
  });
}

TEST(Warden, ATableThatWentWhileItWasAwayIsMadeAnewAndTold) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    const auto files = [&] { return StateFiles::open(room.state_dir()).value(); };
    ASSERT_TRUE(files().write_json(file::kRules, KeptRules{sealed_machine(3), {}, {}}.to_json()));
    const SystemClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    DesiredState shell;
    shell.openings = {opening(hours(1))};
    const JsonObject order = {{"opening", shell.to_json().at("openings").as_array()[0]},
                              {"remainingMs", 3'000},
                              {"remainingMostMs", 3'000}};
    Duration end{};
    {
      const auto warden = Warden::start(files(), clock, settings).value();
      const JsonObject request = {{"ask", "openings"},
                                  {"epoch", 1},
                                  {"number", 3},
                                  {"countedMs", clock.boottime().count()},
                                  {"orders", JsonArray{order}}};
      EXPECT_TRUE(warden->answer(parse_json_object(to_text(request)).value()).contains("answer"));
      end = clock.boottime() + seconds(3);
    }
    ASSERT_EQ(run_command("nft flush ruleset"), 0);  // or: another namespace under the same name
    const auto warden = Warden::start(files(), clock, settings).value();
    const JsonObject status = warden->answer({{"ask", "status"}, {"seen", 0}}).at("answer").as_object();
    EXPECT_NE(to_text(status).find("table-lost"), std::string::npos);
    EXPECT_FALSE(room.ssh_passes("192.0.2.8"));
    while (clock.boottime() < end) ::usleep(1000);
    EXPECT_FALSE(room.ssh_passes()) << "put back for no longer than it had";
  });
}

TEST(Warden, ALocalCapWithoutTheFirewallLetsNothingChange) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    ManualClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    settings.cap.capabilities.clear();
    auto files = StateFiles::open(room.state_dir()).value();
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{}.to_json()));
    const auto warden = Warden::start(std::move(files), clock, settings).value();
    const JsonObject request = {{"ask", "apply"}, {"state", sealed_machine(3).to_json()}};
    const JsonObject answer = warden->answer(parse_json_object(to_text(request)).value());
    EXPECT_EQ(string_at(answer, "error.code"), "LocalCap");
    EXPECT_TRUE(room.ssh_passes());
  });
}

// Whoever has the server may say of any machine that it was removed.
TEST(Warden, ALocalCapWithoutTheFirewallKeepsTheRulesOfAMachineThatTheServerRemoves) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(StateFiles::create(room.state_dir()));
    const SystemClock clock;
    WardenSettings settings;
    settings.boot_id = "boot";
    settings.cap.capabilities = {"identity"};
    auto files = StateFiles::open(room.state_dir()).value();
    ASSERT_TRUE(files.write_json(file::kRules, KeptRules{sealed_machine(3), {}, {}}.to_json()));
    ASSERT_TRUE(files.write(file::kKey, "key"));
    const auto warden = Warden::start(std::move(files), clock, settings).value();
    const auto ask = [&](std::string_view name, JsonObject body) {
      body["ask"] = name;
      return warden->answer(parse_json_object(to_text(body)).value());
    };
    IdentityDoors doors;
    doors.doors = {{.port = 50'081, .users = {"0"}, .units = {}}};
    ASSERT_TRUE(ask("identity", doors.to_json()).contains("answer"));
    const auto redirects = [] { return run_command("nft list table inet merlon_identity") == 0; };
    ASSERT_TRUE(redirects());
    EXPECT_EQ(string_at(ask("remove", {}), "error.code"), "LocalCap");
    EXPECT_FALSE(room.ssh_passes()) << "its owner says what becomes of the rules";
    EXPECT_TRUE(StateFiles::open(room.state_dir()).value().has(file::kKey));
    EXPECT_TRUE(StateFiles::open(room.state_dir()).value().has(file::kRules));
    warden->tick();
    EXPECT_FALSE(redirects()) << "nobody is led to a server that has no identity for this machine";
    ASSERT_EQ(run_command("nft flush ruleset"), 0);
    warden->tick();
    EXPECT_FALSE(room.ssh_passes()) << "and they are still looked after";
  });
}

TEST(Frames, AreWholeBoundedAndEndWithTheirSocket) {
  auto [left, right] = make_frame_pipe().value();
  FrameReader reader(right.get());
  EXPECT_FALSE(reader.poll().value().has_value());
  ASSERT_TRUE(send_frame(left.get(), {{"a", 1}}));
  ASSERT_TRUE(send_frame(left.get(), {{"b", std::string(1000, 'x')}}));
  EXPECT_TRUE(reader.poll().value()->contains("a"));
  EXPECT_TRUE(reader.next().value().contains("b"));
  const std::string half("\0\0\0\5{", 5);
  ASSERT_EQ(::send(left.get(), half.data(), half.size(), 0), 5);
  EXPECT_FALSE(reader.poll().value().has_value());
  left = {};
  EXPECT_EQ(reader.poll().error().code, "AgentHalfGone");
  for (const std::string& bad : {std::string("\xff\xff\xff\xff{}", 6), std::string("\0\0\0\2[]", 6)}) {
    auto [from, to] = make_frame_pipe().value();
    ASSERT_EQ(::send(from.get(), bad.data(), bad.size(), 0), static_cast<ssize_t>(bad.size()));
    EXPECT_FALSE(FrameReader(to.get()).next());
  }
}

TEST(Frames, AnAnswerThatIsTooLongIsSaidToBe) {
  auto [left, right] = make_frame_pipe().value();
  FrameReader reader(right.get());
  ASSERT_TRUE(send_answer(left.get(), {{"answer", JsonObject{{"x", std::string(kFrameBytesMax, 'x')}}}}));
  EXPECT_EQ(string_at(reader.next().value(), "error.code"), "AnswerTooLong");
  ASSERT_TRUE(send_answer(left.get(), {{"answer", JsonObject()}}));
  EXPECT_TRUE(reader.next().value().contains("answer")) << "and the next one comes";
  right = {};
  EXPECT_FALSE(send_answer(left.get(), {{"answer", JsonObject()}}));
}

TEST(SyncAnswers, AreBoundedAndStrict) {
  EXPECT_FALSE(read_sync_answer(""));
  EXPECT_FALSE(read_sync_answer("[]"));
  EXPECT_FALSE(read_sync_answer(R"({"nonce":"n","serverTime":"yesterday","released":false})"));
  EXPECT_FALSE(read_sync_answer(R"({"nonce":"n","serverTime":"2026-11-22T00:00:00Z","released":false,
      "state":{"epoch":1,"number":-1,"mode":"audit"}})"));
  EXPECT_TRUE(read_sync_answer(R"({"nonce":"n","serverTime":"2026-11-22T00:00:00Z","released":false})"));
}

}  // namespace
}  // namespace merlon::agent::testing
