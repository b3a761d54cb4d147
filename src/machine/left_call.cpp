// As it is stored.
#include "machine/left_call.h"

namespace merlon::machine {

const store::TableSpec& LeftCall::table() {
  static const store::TableSpec spec{"machines_calls", {}};
  return spec;
}

JsonObject LeftCall::to_json() const {
  JsonObject json = {{"machine", machine.text()}, {"call", call.to_json()}};
  if (!refusal.empty()) json["refusal"] = refusal;
  return json;
}

Result<LeftCall> LeftCall::from_json(const JsonObject& json) {
  const auto machine = Uuid::parse(TRY(require_string(json, "machine")));
  const JsonObject* const call = object_at(json, "call");
  if (!machine || call == nullptr) return internal_error("the record of a call is malformed");
  return LeftCall{.machine = *machine,
                  .call = TRY(AgentCall::from_json(*call)),
                  .refusal = string_at(json, "refusal").value_or("")};
}

}  // namespace merlon::machine
