// The network between agents and server: requests and answers are delayed, lost, doubled; an old answer turns
// up again.
#include <fmt/format.h>

#include "crypto/x509.h"
#include "machine/fields.h"
#include "simulate/world.h"

namespace merlon::simulate {
namespace {

constexpr Duration kAnswerWithin{10'000};  // beyond the wait, as http_exchange.cpp has it

Result<machine::SyncAnswer> read(const net::Response& response) {
  TRY(agent::body_of(response));
  return agent::read_sync_answer(response.body);
}

Ask sync_of(const SimMachine& machine, const machine::SyncRequest& request) {
  return {.method = "POST",
          .target = "/agent/v1/sync",
          .body = to_text(request.to_json()),
          .token = {},
          .if_match = {},
          .peer = machine.addresses().front(),
          .plane = net::Plane::agents,
          .certificate = machine.certificate};
}

}  // namespace

void World::send_sync(size_t i) {
  SimMachine& m = machine(i);
  guard_agent(i, [&] {
    auto asked = m.ask();
    if (!asked) violated("7: the agent's halves talk", asked.error().message);
    // A process that the machine gives no time to: between two moments nothing is lost but the polls.
    if (stride_ > Duration(0)) asked->request.wait_ms = 0;
    flight_[i] = Flight{*asked, ++flights_, now_, false, host_for(i)};
  });
  if (!flight_[i]) return;
  const uint64_t id = flight_[i]->id;
  const Duration patience = Duration(flight_[i]->asked.request.wait_ms) + kAnswerWithin;
  if (m.cut) {
    fail_sync(i, id, "ConnectionFailed",
              calm_ ? Duration(10) : chance_.between(Duration(1), Duration(10'000)));
    return;
  }
  fail_sync(i, id, "Timeout", patience);  // unless the answer comes first
  if (!calm_ && chance_.chance(30)) {
    note(names_[i] + ": a request is lost");
    return;
  }
  const bool slow = !calm_ && chance_.chance(50);
  const bool doubled = !calm_ && chance_.chance(30);
  at(chance_.between(Duration(1), Duration(slow ? 8000 : 40)), [this, i, id, doubled] {
    if (doubled) reach_server(i, id, true);
    reach_server(i, id, false);
  });
}

void World::fail_sync(size_t i, uint64_t id, const std::string& code, Duration after) {
  at(after, [this, i, id, code] {
    if (!flight_[i] || flight_[i]->id != id) return;
    hear(i, id, fail(ErrorKind::unavailable, code, "The simulated network carried no answer."), now_);
  });
}

// `again`: a first copy of the request, whose answer finds nobody.
void World::reach_server(size_t i, uint64_t id, bool again) {
  if (!flight_[i] || flight_[i]->id != id) return;
  if (machine(i).cut) return;
  const size_t h = flight_[i]->host;
  if (!host(h).is_up()) {
    fail_sync(i, id, "ConnectionRefused", Duration(5));
    return;
  }
  flight_[i]->at_server = true;
  flight_[i]->until = now_ + Duration(flight_[i]->asked.request.wait_ms);
  const Ask ask = sync_of(machine(i), flight_[i]->asked.request);
  guard_server(h, [&] {
    host(h).deliver(ask, [this, i, id, again](const net::Response& response) {
      if (!again) answer_sync(i, id, response, now_);
    });
  });
}

void World::answer_sync(size_t i, uint64_t id, const net::Response& response, Timestamp answered) {
  if (flight_[i] && flight_[i]->id == id) flight_[i]->at_server = false;
  if (machine(i).cut) return;
  if (!calm_ && chance_.chance(30)) {
    note(names_[i] + ": an answer is lost");
    return;
  }
  const std::string old = std::exchange(old_answer_[i], response.body);
  net::Response carried = response;
  if (!calm_ && !old.empty() && chance_.chance(20)) {
    note(names_[i] + ": an old answer comes instead");
    carried = {.status = 200, .headers = {}, .body = old};
  }
  const bool slow = !calm_ && chance_.chance(50);
  at(chance_.between(Duration(1), Duration(slow ? 8000 : 40)),
     [this, i, id, carried, answered] { hear(i, id, read(carried), answered); });
}

void World::hear(size_t i, uint64_t id, const Result<machine::SyncAnswer>& answer, Timestamp answered) {
  if (!flight_[i] || flight_[i]->id != id) return;
  SimMachine& m = machine(i);
  if (!m.agent_runs()) return;
  if (!awake(i)) {
    on_waking_[i].push_back([this, i, id, answer, answered] { hear(i, id, answer, answered); });
    return;
  }
  const Flight flight = *std::exchange(flight_[i], std::nullopt);
  guard_agent(i, [&] {
    const auto step = m.hear(flight.asked, answer, answered);
    if (!step) violated("7: the agent's halves talk", step.error().message);
    const auto v = m.version();
    note(fmt::format("{}: hears {} at {}.{}", names_[i], answer ? "the server" : answer.error().code, v.epoch,
                     v.number));
    if (step->removed) {
      note(names_[i] + ": has heard that it was removed");
      if (documents_.machines[i].enrolled && !instead_)
        violated("7: a machine keeps its rules", names_[i] + " was told to go, and nobody removed it");
      m.forget_enrolment();
      return;
    }
    ask_at_[i] = now_ + std::max({stride_, Duration(1), step->pause});
  });
  check_machine(i, 3);
}

Result<machine::SyncAnswer> World::say_farewell(size_t i, const machine::SyncRequest& request) {
  const bool lost = !calm_ && chance_.chance(200);
  const size_t h = host_for(i);
  if (lost || machine(i).cut || !host(h).is_up())
    return fail(ErrorKind::unavailable, "ConnectionLost", "lost");
  net::Response answer{.status = 0, .headers = {}, .body = {}};
  guard_server(h, [&] { answer = host(h).call(sync_of(machine(i), request)); });
  return read(answer);
}

Result<std::string> World::renew(size_t i) {
  SimMachine& m = machine(i);
  const size_t h = host_for(i);
  if (m.cut || !host(h).is_up()) return fail(ErrorKind::unavailable, "ConnectionFailed", "cut");
  const auto files = TRY(agent::StateFiles::open(m.directory()));
  const auto key = TRY(crypto::PrivateKey::from_pem(Secret(TRY(files.read(agent::file::kKey)))));
  const std::string wanted = TRY(crypto::make_request(key, m.name()));
  net::Response answer{.status = 0, .headers = {}, .body = {}};
  bool died = false;
  guard_server(h, [&] {
    died = true;
    answer = host(h).call({.method = "POST",
                           .target = "/agent/v1/renew",
                           .body = to_text(JsonObject{{"request", wanted}}),
                           .token = {},
                           .if_match = {},
                           .peer = m.addresses().front(),
                           .plane = net::Plane::agents,
                           .certificate = m.certificate});
    died = false;
  });
  if (died) return fail(ErrorKind::unavailable, "ConnectionLost", "lost");
  const JsonObject body = TRY(agent::body_of(answer));
  m.certificate = TRY(machine::text_field(body, "certificate", machine::kPemMax));
  note(names_[i] + ": has a new certificate");
  return m.certificate;
}

}  // namespace merlon::simulate
