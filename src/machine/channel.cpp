// The agent channel over HTTP.
#include "machine/channel.h"

#include "base/log.h"
#include "base/time_text.h"
#include "crypto/x509.h"
#include "grant/clock_mark.h"
#include "machine/fields.h"
#include "resource/call.h"

namespace merlon::machine {
namespace {

constexpr std::string_view kEnrolPath = "/agent/v1/enrol";
constexpr std::string_view kSyncPath = "/agent/v1/sync";
constexpr std::string_view kRenewPath = "/agent/v1/renew";
constexpr std::string_view kTokenPath = "/agent/v1/token";
constexpr std::string_view kCallPath = "/agent/v1/call";
constexpr std::string_view kSyncAction = "Merlon.Machines/machines/sync/action";
constexpr Duration kWriteSeenEvery = std::chrono::seconds(1);
constexpr size_t kAgentsKept = 16'384;
constexpr Duration kLookEvery = std::chrono::milliseconds(150);

// Whether a poll has anything to write down; most polls have not.
bool has_news(const Machine& machine, const SyncRequest& said, const std::string& key_hash) {
  SyncRequest known;
  known.applied = machine.applied;
  SyncRequest told;
  told.applied = said.applied;
  return !said.observations.empty() || said.facts.has_value() || said.boot_id != machine.facts.boot_id ||
         Fleet::is_unconfirmed(machine, key_hash) || Fleet::is_ahead(machine, said) ||
         to_text(known.to_json()) != to_text(told.to_json());
}

}  // namespace

bool Channel::handles(const net::Request& request) const { return request.path.starts_with("/agent/v1/"); }

void Channel::handle(net::Request request, net::Responder respond) {
  const bool on_agents_plane = request.plane == net::Plane::agents;
  if (request.method != "POST" || !handles(request)) {
    respond(resource::error_response(no_such_operation(), request.request_id));
    return;
  }
  if (!on_agents_plane) {
    if (request.path != kEnrolPath) {
      respond(to_response(fail(ErrorKind::misdirected, "MisdirectedRequest",
                               "This operation is served on the agents' name alone."),
                          request.request_id));
      return;
    }
    respond(to_response(enrol(request), request.request_id));
    return;
  }
  const auto agent = agent_of(request.client_certificate_pem);
  if (!agent) {
    respond(to_response(not_enrolled(), request.request_id));
  } else if (request.path == kRenewPath) {
    respond(to_response(renew(request, *agent), request.request_id));
  } else if (request.path == kTokenPath) {
    respond(to_response(token(request, *agent), request.request_id));
  } else if (request.path == kCallPath) {
    respond(to_response(refuse_call(request), request.request_id));
  } else if (request.path == kSyncPath) {
    sync(request, *agent, std::move(respond));
  } else {
    respond(resource::error_response(no_such_operation(), request.request_id));
  }
}

Result<Channel::Agent> Channel::agent_of(const std::string& certificate_pem) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = agents_.find(certificate_pem); known != agents_.end()) return known->second;
  }
  const auto facts = TRY(crypto::read_certificate(certificate_pem));
  const Agent agent{.key_hash = facts.spki_hash_hex, .certificate_end = facts.not_after};
  const std::lock_guard lock(mutex_);
  if (agents_.size() >= kAgentsKept) agents_.clear();
  agents_.insert_or_assign(certificate_pem, agent);
  return agent;
}

Result<net::Response> Channel::enrol(const net::Request& request) {
  const EnrolRequest wanted = TRY(EnrolRequest::from_json(TRY(parse_json_object(request.body))));
  const crypto::PublicKey key = TRY(crypto::verify_request(wanted.certificate_request_pem));
  auto answer = store::write_value<EnrolAnswer>(
      fleet_.core.store, [&](store::Transaction& tx) { return fleet_.enrol(tx, wanted, key, request.peer); });
  if (!answer) {
    note_failure(request, "Merlon.Machines/machines/enrol/action", answer.error());
    return std::unexpected(std::move(answer).error());
  }
  const auto head = TRY(store::read_value<ledger::SignedHead>(
      fleet_.core.store, [&](store::Reader& reader) { return fleet_.core.ledger.head(reader); }));
  answer->head = to_text(head.to_json());
  return resource::json_response(201, answer->to_json());
}

// Summed up by the ledger, one entry a minute: whoever looks after the machine finds it there.
void Channel::note_throttled(const net::Request& request, const Machine& machine, std::string_view action) {
  ledger::Entry entry = fleet_.entry_of(machine, action, {});
  entry.actor.address = request.peer.text();
  entry.decision = ledger::Decision::denied;
  entry.reason = "MachineThrottled";
  entry.request_id = request.request_id;
  fleet_.core.ledger.note_denial(entry);
}

void Channel::note_failure(const net::Request& request, std::string_view action, const Error& error) {
  ledger::Entry entry;
  entry.time = fleet_.core.clock.now();
  entry.actor = {.kind = "Anonymous", .object_id = {}, .name = {}, .address = request.peer.text()};
  entry.action = action;
  entry.decision = ledger::Decision::denied;
  entry.reason = error.code;
  entry.request_id = request.request_id;
  fleet_.core.ledger.note_denial(entry);
}

Result<Channel::Heard> Channel::hear(const Agent& agent, const SyncRequest& said, const IpAddress& from,
                                     size_t bytes) {
  Heard heard{.machine = TRY(machine_of(agent.key_hash, from))};
  // Whoever holds the key of a removed machine is told so as often as it asks, and can report nothing more.
  if (heard.machine.removed) {
    if (said.gone)
      TRY(fleet_.core.store.write([&](store::Transaction& tx) { return fleet_.forget(tx, heard.machine); }));
    seen_.forget(heard.machine.id);
    return heard;
  }
  // An expired certificate of a key that is still enrolled may only renew (trust.md, Keys).
  if (agent.certificate_end <= fleet_.core.clock.now())
    return fail(ErrorKind::unauthenticated, "CertificateExpired",
                "The agent's certificate has expired: it may only be renewed.");
  // Nothing of it is believed, nor written down.
  if (heard.machine.quarantined) return quarantined_error(heard.machine);
  if (said.gone)
    return fail(ErrorKind::conflict, "MachineNotRemoved",
                "The machine '" + heard.machine.name +
                    "' has not been removed from Merlon: its agent may not leave by itself.");
  bool is_news = has_news(heard.machine, said, agent.key_hash);
  std::optional<SyncRequest> bare;
  if (is_news && !budgets_.afford(heard.machine, said, bytes)) {
    bare = without_reports(heard.machine, said);
    is_news = has_news(heard.machine, *bare, agent.key_hash);
  }
  heard.throttled = bare.has_value();
  // A report can wait for its budget, and for room on the disk; what the machine must do can not.
  heard.unheard = heard.throttled;
  if (!is_news) {
    TRY(note_seen(heard.machine, from));
  } else {
    const SyncRequest& taken = bare ? *bare : said;
    auto written = store::write_value<Machine>(fleet_.core.store, [&](store::Transaction& tx) {
      return fleet_.hear(tx, agent.key_hash, taken, from);
    });
    const bool is_full = !written && written.error().code == "StorageFull";
    heard.unheard = heard.unheard || is_full;
    if (!is_full) {
      heard.machine = TRY(std::move(written));
      seen_.written({.machine = heard.machine.id, .at = fleet_.core.clock.now(), .from = from});
    }
  }
  if (heard.machine.quarantined) return quarantined_error(heard.machine);
  return heard;
}

// That it spoke is all that is new: kept in memory until tick() writes it, with that of others.
Result<void> Channel::note_seen(const Machine& machine, const IpAddress& from) {
  const Seen seen{.machine = machine.id, .at = fleet_.core.clock.now(), .from = from};
  if (seen_.note(seen)) return {};
  const auto written = fleet_.core.store.write(
      [&](store::Transaction& tx) { return store::put(tx, fleet_.core.tenant, seen); });
  if (written) seen_.written(seen);
  // It can wait for room on the disk.
  if (!written && written.error().code != "StorageFull") return std::unexpected(written.error());
  return {};
}

void Channel::write_seen() {
  const Duration now = fleet_.core.clock.boottime();
  if (now - seen_written_ < kWriteSeenEvery) return;
  seen_written_ = now;
  const auto due = seen_.due(fleet_.core.clock.now());
  if (due.empty()) return;
  const auto written = fleet_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    for (const Seen& seen : due)
      // One that was removed meanwhile leaves nothing behind.
      if (TRY(tx.get(Machine::table(), fleet_.core.tenant, seen.key())))
        TRY(store::put(tx, fleet_.core.tenant, seen));
    return {};
  });
  if (!written) {
    log_error("when machines were seen could not be written; it is tried again", written.error());
    return;
  }
  for (const Seen& seen : due) seen_.written(seen);
}

void Channel::sync(const net::Request& request, const Agent& agent, net::Responder respond) {
  const Duration arrived = fleet_.core.clock.boottime();
  const auto body = parse_json_object(request.body);
  const auto said = body ? SyncRequest::from_json(*body) : Result<SyncRequest>(std::unexpected(body.error()));
  if (!said) {
    respond(resource::error_response(said.error(), request.request_id));
    return;
  }
  const auto heard = hear(agent, *said, request.peer, request.body.size());
  if (!heard) {
    if (heard.error().kind != ErrorKind::internal) note_failure(request, kSyncAction, heard.error());
    respond(to_response(std::unexpected(heard.error()), request.request_id));
    return;
  }
  const Machine& machine = heard->machine;
  if (heard->throttled) note_throttled(request, machine, kSyncAction);
  switchboard_.seen_at(machine, request.peer);
  if (said->gone) {
    SyncAnswer farewell;
    farewell.nonce = said->nonce;
    farewell.server_time = fleet_.grants.now();
    farewell.released = true;
    respond(resource::json_response(200, farewell.to_json()));
    return;
  }
  if (machine.removed || machine.desired.version != said->have || said->wait_ms == 0 ||
      switchboard_.has_calls(machine.id.text())) {
    respond(to_response(answer(*said, agent.key_hash, heard->unheard, arrived), request.request_id));
    return;
  }
  const Duration until = fleet_.core.clock.boottime() + Duration(said->wait_ms);
  park(machine.id.text(), {std::move(respond), *said, agent.key_hash, heard->unheard, arrived, until});
}

void Channel::park(const std::string& machine_id, Waiting waiting) {
  std::optional<Waiting> replaced;
  bool stopped = false;
  {
    const std::lock_guard lock(mutex_);
    stopped = stopped_;
    if (const auto old = waiting_.find(machine_id); old != waiting_.end()) {
      replaced.emplace(std::move(old->second));
      waiting_.erase(old);
    }
    if (!stopped) waiting_.emplace(machine_id, waiting);
  }
  if (replaced) replaced->respond(answer(*replaced));
  if (stopped) {
    waiting.respond(answer(waiting));
    return;
  }
  // A change that committed between the look at the record and the parking has found nobody to wake: look
  // once more.
  const auto now = store::read_value<std::optional<Machine>>(
      fleet_.core.store, [&](store::Reader& reader) { return fleet_.by_key(reader, waiting.key_hash); });
  if (!now || !*now || (*now)->removed || (*now)->desired.version != waiting.request.have ||
      switchboard_.has_calls(machine_id)) {
    std::optional<Waiting> mine;
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = waiting_.find(machine_id);
          it != waiting_.end() && it->second.request.nonce == waiting.request.nonce) {
        mine.emplace(std::move(it->second));
        waiting_.erase(it);
      }
    }
    if (mine) mine->respond(answer(*mine));
  }
}

Result<std::pair<std::string, std::vector<std::string>>> Channel::newest_head(store::Reader& reader,
                                                                              const std::string& seen) {
  const ledger::SignedHead head = TRY(fleet_.core.ledger.head(reader));
  std::vector<std::string> proof;
  if (!seen.empty()) {
    const auto json = parse_json_object(seen);
    const auto old = json ? ledger::SignedHead::from_json(*json)
                          : Result<ledger::SignedHead>(std::unexpected(json.error()));
    if (old && old->size > 0 && old->size < head.size)
      for (const ledger::Hash& hash : TRY(fleet_.core.ledger.consistency(reader, old->size, head.size)))
        proof.push_back(to_hex(hash));
  }
  return std::pair(to_text(head.to_json()), std::move(proof));
}

Result<net::Response> Channel::answer(const SyncRequest& said, const std::string& key_hash, bool unheard,
                                      Duration arrived) {
  SyncAnswer answer;
  answer.nonce = said.nonce;
  answer.unheard = unheard;
  std::optional<Machine> machine;
  Timestamp marked{};
  TRY(fleet_.core.store.read([&](store::Reader& reader) -> Result<void> {
    machine = TRY(fleet_.by_key(reader, key_hash));
    if (!machine) return not_enrolled();
    // Another server whose clock is ahead may have granted what this state has: a machine that were told an
    // earlier time with it would let in for longer. Whether something is open this server hears a moment
    // later.
    if (machine->desired.version != said.have) marked = TRY(grant::stored_mark(reader, fleet_.core.tenant));
    std::tie(answer.head, answer.consistency) = TRY(newest_head(reader, said.head));
    return {};
  }));
  answer.server = server_;
  answer.server_time = fleet_.grants.now_after(marked);
  answer.held = fleet_.core.clock.boottime() - arrived;
  answer.released = machine->removed;
  if (!machine->removed && machine->desired.version != said.have) answer.state = machine->desired;
  JsonObject body = answer.to_json();
  // Beside the state, which is what the machine must look like; a call is good for seconds.
  if (!machine->removed && !machine->quarantined)
    if (const auto calls = switchboard_.take_calls(machine->id.text()); !calls.empty())
      body["calls"] = calls_json(calls);
  return resource::json_response(200, body);
}

void Channel::hurry(const std::string& machine_id) {
  std::optional<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = waiting_.find(machine_id); it != waiting_.end()) {
      waiting.emplace(std::move(it->second));
      waiting_.erase(it);
    }
  }
  if (waiting) waiting->respond(answer(*waiting));
}

net::Response Channel::answer(const Waiting& waiting) {
  return to_response(answer(waiting.request, waiting.key_hash, waiting.unheard, waiting.arrived), {});
}

void Channel::others_wrote() { others_wrote_ = true; }

// Another server's commits do not say which machines they concern, so those that wait here are read again; at
// most a few times a second, however much the others write.
std::set<std::string> Channel::changed_elsewhere() {
  const std::lock_guard looking(looking_);
  const Duration now = fleet_.core.clock.boottime();
  if (now - looked_ < kLookEvery || !others_wrote_.exchange(false)) return {};
  looked_ = now;
  std::map<std::string, Version> have;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, waiting] : waiting_) have.emplace(id, waiting.request.have);
  }
  std::set<std::string> changed;
  std::vector<LeftCall> left;
  const auto read = fleet_.core.store.read([&](store::Reader& reader) -> Result<void> {
    for (const auto& [id, version] : have) {
      const auto machine = TRY(store::get<Machine>(reader, fleet_.core.tenant, id));
      if (!machine || machine->removed || machine->desired.version != version) changed.insert(id);
    }
    left = TRY(store::scan_all<LeftCall>(reader, fleet_.core.tenant));
    return {};
  });
  if (!read) {
    others_wrote_ = true;
    log_error("what other servers changed could not be read; trying again", read.error());
    return changed;
  }
  changed.merge(switchboard_.follow(left));
  return changed;
}

void Channel::tick() {
  answer_waits();
  switchboard_.tick();
  write_seen();
}

void Channel::answer_waits() {
  std::set<std::string> changed = fleet_.take_changed();
  changed.merge(changed_elsewhere());
  std::vector<Waiting> over;
  const Duration now = fleet_.core.clock.boottime();
  {
    const std::lock_guard lock(mutex_);
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (changed.contains(it->first) || it->second.until <= now) {
        over.push_back(std::move(it->second));
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const Waiting& waiting : over) waiting.respond(answer(waiting));
}

void Channel::stop() {
  std::map<std::string, Waiting> all;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    all.swap(waiting_);
  }
  for (const auto& [id, waiting] : all) waiting.respond(answer(waiting));
}

}  // namespace merlon::machine
