// A flow is an array, not an object: there may be a thousand in a report.
#include "machine/flow_report.h"

#include <array>
#include <span>

#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr size_t kFlowFields = 13;
constexpr std::array<std::string_view, 3> kStates = {"B", "E", "D"};

JsonArray flow_json(const ReportedFlow& flow) {
  return {static_cast<int64_t>(flow.rule),
          flow.before.count(),
          flow.inbound ? "I" : "O",
          kStates[static_cast<size_t>(flow.state)],
          int64_t{flow.protocol},
          flow.source.text(),
          flow.destination.text(),
          int64_t{flow.source_port},
          int64_t{flow.destination_port},
          flow.packets_sent,
          flow.bytes_sent,
          flow.packets_back,
          flow.bytes_back};
}

// Reads one array's elements by their place, each within its bounds.
class Fields {
 public:
  explicit Fields(const JsonArray& array) : array_(array) {}
  Result<int64_t> number(size_t at, int64_t most) const {
    const int64_t* value = array_[at].if_int64();
    if (value == nullptr || *value < 0 || *value > most) return wrong_field("flows", "numbers within bounds");
    return *value;
  }
  Result<IpAddress> address(size_t at) const {
    const auto* text = array_[at].if_string();
    const auto address = text == nullptr ? std::nullopt : IpAddress::parse(*text);
    if (!address) return wrong_field("flows", "IP addresses");
    return *address;
  }
  Result<size_t> one_of(size_t at, std::span<const std::string_view> words) const {
    const auto* text = array_[at].if_string();
    for (size_t i = 0; text != nullptr && i < words.size(); ++i)
      if (words[i] == std::string_view(*text)) return i;
    return wrong_field("flows", "known words");
  }

 private:
  const JsonArray& array_;
};

Result<ReportedFlow> read_flow(const Json& json, size_t rules) {
  const JsonArray* array = json.if_array();
  if (array == nullptr || array->size() != kFlowFields) return wrong_field("flows", "arrays of 13 elements");
  const Fields fields(*array);
  ReportedFlow flow;
  flow.rule = static_cast<size_t>(TRY(fields.number(0, static_cast<int64_t>(rules) - 1)));
  flow.before = Duration(TRY(fields.number(1, kDayMs)));
  flow.inbound = TRY(fields.one_of(2, std::array<std::string_view, 2>{"I", "O"})) == 0;
  flow.state = static_cast<FlowState>(TRY(fields.one_of(3, kStates)));
  flow.protocol = static_cast<uint8_t>(TRY(fields.number(4, UINT8_MAX)));
  flow.source = TRY(fields.address(5));
  flow.destination = TRY(fields.address(6));
  if (flow.source.family() != flow.destination.family())
    return wrong_field("flows", "addresses of one family");
  flow.source_port = static_cast<uint16_t>(TRY(fields.number(7, UINT16_MAX)));
  flow.destination_port = static_cast<uint16_t>(TRY(fields.number(8, UINT16_MAX)));
  flow.packets_sent = TRY(fields.number(9, INT64_MAX));
  flow.bytes_sent = TRY(fields.number(10, INT64_MAX));
  flow.packets_back = TRY(fields.number(11, INT64_MAX));
  flow.bytes_back = TRY(fields.number(12, INT64_MAX));
  return flow;
}

}  // namespace

JsonObject FlowReport::to_json() const {
  JsonArray rule_array;
  for (const Rule& rule : rules)
    rule_array.push_back(JsonObject{{"nic", rule.nic},
                                    {"group", rule.group},
                                    {"name", rule.name},
                                    {"default", rule.is_default},
                                    {"opening", rule.is_opening}});
  JsonArray flow_array;
  for (const ReportedFlow& flow : flows) flow_array.push_back(flow_json(flow));
  return {
      {"batch", batch}, {"lost", lost}, {"rules", std::move(rule_array)}, {"flows", std::move(flow_array)}};
}

Result<FlowReport> FlowReport::from_json(const JsonObject& json) {
  FlowReport report;
  report.batch = TRY(int_field(json, "batch", 0, INT64_MAX));
  report.lost = TRY(int_field(json, "lost", 0, INT64_MAX));
  for (const JsonObject* object : TRY(objects_field(json, "rules", kReportedFlowRulesMax)))
    report.rules.push_back({.nic = TRY(text_field(*object, "nic")),
                            .group = TRY(text_field_or_empty(*object, "group")),
                            .name = TRY(text_field_or_empty(*object, "name", 256)),
                            .is_default = TRY(bool_field(*object, "default")),
                            .is_opening = TRY(bool_field(*object, "opening"))});
  const JsonArray* flows = array_at(json, "flows");
  if (flows == nullptr || flows->size() > kReportedFlowsMax)
    return wrong_field("flows", "an array of at most 1000 flows");
  for (const Json& flow : *flows) report.flows.push_back(TRY(read_flow(flow, report.rules.size())));
  return report;
}

}  // namespace merlon::machine
