// The JSON forms of the above. Both ends use them.
#include "machine/call.h"

#include <charconv>

#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr size_t kIdMax = 64;
constexpr size_t kMessageMax = 512;
constexpr size_t kServerMax = 64;

Result<std::string> id_field(const JsonObject& json) {
  std::string id = TRY(text_field(json, "id", kIdMax));
  // It stands in a path.
  if (id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
      std::string::npos)
    return wrong_field("id", "letters, digits, '-' and '_'");
  return id;
}

}  // namespace

std::string ServerAddress::text() const {
  const std::string host = address.is_v4() ? address.text() : "[" + address.text() + "]";
  return host + ":" + std::to_string(port);
}

std::optional<ServerAddress> ServerAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + colon + 1, end, port);
  if (!address || host.contains(':') != bracketed || read.ec != std::errc() || read.ptr != end || port == 0)
    return std::nullopt;
  return ServerAddress{.address = *address, .port = port};
}

JsonObject AgentCall::to_json() const {
  JsonObject json = {{"id", id}, {"address", address.text()}, {"port", int64_t{port}}};
  if (server) json["server"] = server->text();
  return json;
}

Result<AgentCall> AgentCall::from_json(const JsonObject& json) {
  AgentCall call;
  call.id = TRY(id_field(json));
  call.address = TRY(address_field(json, "address"));
  call.port = static_cast<uint16_t>(TRY(int_field(json, "port", 1, 65535)));
  if (const std::string server = TRY(text_field_or_empty(json, "server", kServerMax)); !server.empty()) {
    call.server = ServerAddress::parse(server);
    if (!call.server) return wrong_field("server", "ADDRESS:PORT");
  }
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
