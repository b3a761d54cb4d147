// For tests of the channel loop, with everything played by the test: server, privileged half, time and
// chance.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "agent/session.h"

namespace merlon::agent::testing {

using machine::DesiredState;
using machine::SyncAnswer;
using machine::SyncRequest;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Counting final : public Random {
 public:
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = ++next_;
  }

 private:
  uint8_t next_ = 0;
};

// As it arrives at the other end of a wire.
inline JsonObject through_text(const JsonObject& json) { return parse_json_object(to_text(json)).value(); }

// A warden that does what it is told and remembers it.
class FakeWarden final : public WardenPort {
 public:
  Result<JsonObject> ask(std::string_view name, JsonObject question) override {
    JsonObject body = through_text(question);
    if (gone) return fail(ErrorKind::unavailable, "AgentHalfGone", "gone");
    if (name != "status") asked.emplace_back(name);
    if (name == refuse) return fail(ErrorKind::conflict, "Refused", "no");
    if (name == "status") return status(body);
    if (name == "apply") {
      const auto state = DesiredState::from_json(body["state"].as_object()).value();
      EXPECT_TRUE(state.openings.empty());
      confirmed = confirmed && state.version == version;
      version = state.version;
      return JsonObject{};
    }
    if (name == "openings") {
      remaining.clear();
      remaining_most.clear();
      for (const Json& order : body["orders"].as_array()) {
        remaining.push_back(order.as_object().at("remainingMs").as_int64());
        remaining_most.push_back(order.as_object().at("remainingMostMs").as_int64());
      }
      return JsonObject{};
    }
    if (name == "confirm") confirmed = true;
    if (name == "heard") heard = Duration(int_at(body, "sentMs").value());
    if (name == "keep-head") head = string_at(body, "head").value();
    return JsonObject{};
  }
  void happen(std::string kind, JsonObject facts = {}) {
    events.push_back({++number, std::move(kind), std::move(facts)});
  }

  std::vector<std::string> asked;
  std::vector<int64_t> remaining, remaining_most;
  machine::Version version;
  std::string head, refuse;
  std::optional<int64_t> next_deadline_ms;
  std::optional<machine::SshFacts> ssh;
  Duration heard{};
  bool confirmed = true, released = false, gone = false;

 private:
  JsonObject status(const JsonObject& body) {
    while (!events.empty() && events.front().number <= int_at(body, "seen").value()) events.pop_front();
    JsonArray list;
    for (const auto& [event, kind, happened] : events)
      list.push_back(JsonObject{{"number", event}, {"kind", kind}, {"ageMs", 5}, {"facts", happened}});
    JsonObject answer = {{"version", JsonObject{{"epoch", version.epoch}, {"number", version.number}}},
                         {"mode", "enforce"},
                         {"confirmed", confirmed},
                         {"error", ""},
                         {"released", released},
                         {"open", JsonArray()},
                         {"blockers", JsonArray{"inet filter input (policy drop)"}},
                         {"events", std::move(list)}};
    if (ssh) answer["ssh"] = ssh->to_json();
    if (next_deadline_ms) answer["nextDeadlineMs"] = *next_deadline_ms;
    return answer;
  }
  struct Event {
    int64_t number = 0;
    std::string kind;
    JsonObject facts;
  };
  std::deque<Event> events;
  int64_t number = 0;
};

class FakeServer final : public Exchange {
 public:
  explicit FakeServer(ManualClock& clock) : clock_(clock) {}
  Result<SyncAnswer> sync(const SyncRequest& request) override {
    // What goes over the wire must be readable at the other end.
    EXPECT_TRUE(SyncRequest::from_json(through_text(request.to_json())));
    requests.push_back(request);
    clock_.advance(takes);
    if (error) return std::unexpected(*error);
    SyncAnswer answer;
    answer.nonce = wrong_nonce ? "somebody else's" : request.nonce;
    answer.server = name;
    answer.server_time = clock_.now() + ahead;
    answer.held = held;
    answer.head = head;
    answer.consistency = proof;
    answer.released = removed;
    answer.unheard = full;
    if (state && state->version != request.have) answer.state = state;
    return SyncAnswer::from_json(through_text(answer.to_json()));
  }
  Result<std::string> renew() override {
    ++renewals;
    return std::string("certificate");
  }
  Timestamp renew_after() const override { return half_life; }
  const SyncRequest& last() const { return requests.back(); }

  std::vector<SyncRequest> requests;
  std::optional<DesiredState> state;
  std::optional<Error> error;
  std::string name;  // none: from before there was one
  Duration takes{10};
  Duration held{};   // as the server says; the rest of what it takes is the network's
  Duration ahead{};  // of our own wall clock, which must not matter
  std::string head;
  std::vector<std::string> proof;
  bool wrong_nonce = false, removed = false, full = false;
  int renewals = 0;
  Timestamp half_life = Timestamp::max();

 private:
  ManualClock& clock_;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { start(""); }
  void start(std::string head) {
    session.emplace(clock, random, server, warden, [this] { return facts; }, std::move(head));
    facts.boot_id = "boot";
  }
  Session::Step step() { return session->step().value(); }
  DesiredState state(int64_t number, std::vector<Duration> openings = {}) {
    DesiredState made;
    made.version = {1, number};
    for (const Duration left : openings) {
      machine::Opening opening;
      opening.id = "grant" + std::to_string(made.openings.size());
      opening.source = IpPrefix::parse("192.0.2.7").value();
      opening.destination = IpAddress::parse("10.0.0.4").value();
      opening.port = 22;
      opening.deadline = clock.now() + server.ahead + left;
      made.openings.push_back(opening);
    }
    return made;
  }
  std::vector<std::string> told() { return std::exchange(warden.asked, {}); }

  ManualClock clock;
  Counting random;
  FakeWarden warden;
  FakeServer server{clock};
  machine::MachineFacts facts;
  std::optional<Session> session;
};

}  // namespace merlon::agent::testing
