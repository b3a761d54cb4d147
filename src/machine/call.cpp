// The JSON forms of the above. Both ends use them.
#include "machine/call.h"

#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr size_t kIdMax = 64;
constexpr size_t kMessageMax = 512;

Result<std::string> id_field(const JsonObject& json) {
  std::string id = TRY(text_field(json, "id", kIdMax));
  // It stands in a path.
  if (id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
      std::string::npos)
    return wrong_field("id", "letters, digits, '-' and '_'");
  return id;
}

}  // namespace

JsonObject AgentCall::to_json() const {
  return {{"id", id}, {"address", address.text()}, {"port", int64_t{port}}};
}

Result<AgentCall> AgentCall::from_json(const JsonObject& json) {
  AgentCall call;
  call.id = TRY(id_field(json));
  call.address = TRY(address_field(json, "address"));
  call.port = static_cast<uint16_t>(TRY(int_field(json, "port", 1, 65535)));
  return call;
}

JsonArray calls_json(const std::vector<AgentCall>& calls) {
  JsonArray array;
  for (const AgentCall& call : calls) array.push_back(call.to_json());
  return array;
}

Result<std::vector<AgentCall>> read_calls(const JsonObject& answer) {
  std::vector<AgentCall> calls;
  for (const JsonObject* object : TRY(objects_field(answer, "calls", kCallsMax)))
    calls.push_back(TRY(AgentCall::from_json(*object)));
  return calls;
}

JsonObject CallRefusal::to_json() const { return {{"id", id}, {"message", message}}; }

Result<CallRefusal> CallRefusal::from_json(const JsonObject& json) {
  return CallRefusal{.id = TRY(id_field(json)), .message = TRY(text_field(json, "message", kMessageMax))};
}

}  // namespace merlon::machine
