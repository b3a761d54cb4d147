// What an agent asks beside its polls: another certificate, tokens of its identities, and to be let in where
// it was called to.
#include "base/log.h"
#include "crypto/x509.h"
#include "machine/channel.h"
#include "machine/fields.h"
#include "resource/call.h"

namespace merlon::machine {
namespace {

constexpr std::string_view kCallPath = "/agent/v1/call";
constexpr std::string_view kTokenAction = "Merlon.Machines/machines/token/action";
constexpr std::string_view kRenewAction = "Merlon.Machines/machines/renew/action";

}  // namespace

net::Response Channel::to_response(Result<net::Response> result, const std::string& request_id) {
  if (result) return *std::move(result);
  if (result.error().kind == ErrorKind::internal) log_error("agent channel", result.error());
  return resource::error_response(result.error(), request_id);
}

Error Channel::no_such_operation() {
  return fail(ErrorKind::not_found, "NotFound", "The agent channel has no such operation.").error();
}

Result<Machine> Channel::machine_of(const std::string& key_hash, const IpAddress& from) {
  std::optional<Machine> machine, former;
  TRY(fleet_.core.store.read([&](store::Reader& reader) -> Result<void> {
    machine = TRY(fleet_.by_key(reader, key_hash));
    if (!machine) former = TRY(fleet_.betrayed_by(reader, key_hash));
    return {};
  }));
  if (machine) return *std::move(machine);
  if (!former) return not_enrolled();
  if (!former->quarantined)
    former = TRY(store::write_value<Machine>(fleet_.core.store, [&](store::Transaction& tx) {
      return fleet_.retired_key_used(tx, key_hash, from);
    }));
  return quarantined_error(*former);
}

Result<net::Response> Channel::renew(const net::Request& request, const Agent& agent) {
  const JsonObject body = TRY(parse_json_object(request.body));
  const std::string wanted_pem = TRY(text_field(body, "request", kPemMax));
  const crypto::PublicKey wanted = TRY(crypto::verify_request(wanted_pem));
  const Machine machine = TRY(machine_of(agent.key_hash, request.peer));
  if (!budgets_.may_renew(machine)) {
    note_throttled(request, machine, kRenewAction);
    return fail(ErrorKind::throttled, "MachineThrottled",
                "This machine's certificate was renewed a moment ago. Renew it once in half of its life.");
  }
  const std::string pem = TRY(store::write_value<std::string>(
      fleet_.core.store, [&](store::Transaction& tx) { return fleet_.renew(tx, agent.key_hash, wanted); }));
  return resource::json_response(200, {{"certificate", pem}});
}

// The machine of an agent that may act for it: enrolled, in time, and the one that it was when it last spoke.
Result<Machine> Channel::working_machine(const Agent& agent, const std::string& boot_id,
                                         const IpAddress& from) {
  Machine machine = TRY(machine_of(agent.key_hash, from));
  if (machine.removed) return not_enrolled();
  if (agent.certificate_end <= fleet_.core.clock.now())
    return fail(ErrorKind::unauthenticated, "CertificateExpired",
                "The agent's certificate has expired: it may only be renewed.");
  if (machine.quarantined) return quarantined_error(machine);
  if (Fleet::is_unconfirmed(machine, agent.key_hash))
    return fail(ErrorKind::conflict, "KeyNotUsed",
                "The agent has a new key, with which it must synchronise first.");
  if (machine.facts.boot_id != boot_id)
    return fail(
        ErrorKind::conflict, "OtherBoot",
        "The machine has been started anew, or this is a copy of it. The agent must synchronise first.");
  return machine;
}

Result<net::Response> Channel::token(const net::Request& request, const Agent& agent) {
  const auto answered = [&]() -> Result<TokenAnswer> {
    const TokenRequest asked = TRY(TokenRequest::from_json(TRY(parse_json_object(request.body))));
    const Machine machine = TRY(working_machine(agent, asked.boot_id, request.peer));
    if (!fleet_.token_hook) return std::unexpected(no_such_operation());
    if (!budgets_.may_have_token(machine))
      return fail(ErrorKind::throttled, "MachineThrottled",
                  "The machine '" + machine.name +
                      "' asks for more tokens than one a second. Keep those that it has until they expire.");
    // The agents' name is for agents: tokens name the issuer as people reach it.
    const size_t colon = request.host.rfind(':');
    const std::string port = colon == std::string::npos ? std::string() : request.host.substr(colon);
    return fleet_.token_hook(machine, asked, "https://" + fleet_.core.domain + port);
  }();
  if (answered) {
    net::Response response = resource::json_response(200, answered->to_json());
    response.headers.set("Cache-Control", "no-store");
    return response;
  }
  if (answered.error().kind != ErrorKind::internal) note_failure(request, kTokenAction, answered.error());
  return std::unexpected(answered.error());
}

// A call needs no boot id: it was told to the agent of this key alone, moments ago.
Result<Machine> Channel::calling_machine(const net::Request& request) {
  const Agent agent = TRY(agent_of(request.client_certificate_pem));
  Machine machine = TRY(machine_of(agent.key_hash, request.peer));
  if (machine.removed || machine.quarantined || Fleet::is_unconfirmed(machine, agent.key_hash) ||
      agent.certificate_end <= fleet_.core.clock.now())
    return not_enrolled();
  return machine;
}

Result<net::Response> Channel::refuse_call(const net::Request& request) {
  const CallRefusal refusal = TRY(CallRefusal::from_json(TRY(parse_json_object(request.body))));
  TRY(switchboard_.refuse(TRY(calling_machine(request)), refusal));
  return resource::json_response(200, {});
}

std::expected<net::TunnelPlan, net::Response> Channel::upgrade(const net::Request& request) {
  const std::string prefix = std::string(kCallPath) + "/";
  const auto plan = [&]() -> Result<net::TunnelPlan> {
    if (!request.path.starts_with(prefix)) return std::unexpected(no_such_operation());
    const Machine machine = TRY(calling_machine(request));
    return switchboard_.answer(machine, request.path.substr(prefix.size()));
  }();
  if (plan) return *plan;
  return std::unexpected(to_response(std::unexpected(plan.error()), request.request_id));
}

}  // namespace merlon::machine
