// How openings and waiting requests are kept in their grants.
#include "services/jit/records.h"

#include "base/time_text.h"

namespace merlon::jit {
namespace {

std::vector<std::string> texts_in(const JsonObject& json, std::string_view key) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, key))
    for (const Json& text : *array)
      if (text.is_string()) texts.emplace_back(text.get_string());
  return texts;
}

void put_text(JsonObject& json, std::string_view key, const std::string& text) {
  if (!text.empty()) json[key] = text;
}

}  // namespace

JsonArray texts_json(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

void put_sources(JsonObject& json, const std::vector<std::string>& sources) {
  if (sources.size() == 1) {
    json["allowedSourceAddressPrefix"] = sources.front();
  } else {
    json["allowedSourceAddressPrefixes"] = texts_json(sources);
  }
}

JsonObject PortGrant::to_json() const {
  JsonObject json = {{"policyId", policy_id},
                     {"vmId", vm_id},
                     {"number", number},
                     {"protocol", machine::protocol_text(protocol)},
                     {"sources", texts_json(sources)},
                     {"requestId", request_id},
                     {"cutEstablished", cut_established},
                     {"liveServer", live_server},
                     {"approvedBy", texts_json(approved_by)}};
  put_text(json, "machineRefused", machine.refused);
  put_text(json, "machineCap", machine.cap);
  put_text(json, "machineClosed", machine.closed);
  if (machine.end) json["machineEnd"] = to_rfc3339(*machine.end);
  return json;
}

Result<PortGrant> PortGrant::from_json(const JsonObject& json) {
  PortGrant port;
  port.policy_id = TRY(require_string(json, "policyId"));
  port.vm_id = TRY(require_string(json, "vmId"));
  port.number = static_cast<uint16_t>(TRY(require_int(json, "number")));
  const std::string protocol = TRY(require_string(json, "protocol"));
  for (const auto known : {machine::Protocol::any, machine::Protocol::tcp, machine::Protocol::udp})
    if (machine::protocol_text(known) == protocol) port.protocol = known;
  port.request_id = TRY(require_string(json, "requestId"));
  port.sources = texts_in(json, "sources");
  port.cut_established = bool_at(json, "cutEstablished").value_or(false);
  port.live_server = bool_at(json, "liveServer").value_or(false);
  port.approved_by = texts_in(json, "approvedBy");
  port.machine.refused = string_at(json, "machineRefused").value_or("");
  port.machine.cap = string_at(json, "machineCap").value_or("");
  port.machine.closed = string_at(json, "machineClosed").value_or("");
  if (const auto end = string_at(json, "machineEnd")) port.machine.end = from_rfc3339(*end);
  return port;
}

JsonObject Verdict::to_json() const {
  JsonObject json = {{"objectId", object_id}, {"name", name}, {"time", to_rfc3339(time)}};
  put_text(json, "justification", justification);
  return json;
}

Result<Verdict> Verdict::from_json(const JsonObject& json) {
  Verdict verdict;
  verdict.object_id = TRY(require_string(json, "objectId"));
  verdict.name = TRY(require_string(json, "name"));
  verdict.justification = string_at(json, "justification").value_or("");
  const auto time = from_rfc3339(TRY(require_string(json, "time")));
  if (!time) return internal_error("stored verdict has a malformed time");
  verdict.time = *time;
  return verdict;
}

JsonObject WaitingRequest::to_json() const {
  JsonArray agreed;
  for (const Verdict& approval : approvals) agreed.push_back(approval.to_json());
  JsonObject json = {
      {"policyId", policy_id}, {"body", body}, {"address", address}, {"approvals", std::move(agreed)}};
  put_text(json, "extends", extends);
  if (denial) json["denial"] = denial->to_json();
  return json;
}

Result<WaitingRequest> WaitingRequest::from_json(const JsonObject& json) {
  WaitingRequest request;
  request.policy_id = TRY(require_string(json, "policyId"));
  if (const JsonObject* body = object_at(json, "body")) request.body = *body;
  request.address = TRY(require_string(json, "address"));
  request.extends = string_at(json, "extends").value_or("");
  if (const JsonArray* approvals = array_at(json, "approvals"))
    for (const Json& approval : *approvals)
      request.approvals.push_back(TRY(Verdict::from_json(approval.as_object())));
  if (const JsonObject* denial = object_at(json, "denial")) request.denial = TRY(Verdict::from_json(*denial));
  return request;
}

}  // namespace merlon::jit
