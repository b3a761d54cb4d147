// A machine's report of its flows, as the server reads it: what is read is written again as the same.
#include <cstddef>
#include <cstdint>

#include "machine/flow_report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = merlon::parse_json_object(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!json) return 0;
  const auto report = merlon::machine::FlowReport::from_json(*json);
  if (!report) return 0;
  const merlon::JsonObject once = report->to_json();
  const auto again = merlon::machine::FlowReport::from_json(once);
  MERLON_CHECK(again.has_value());
  MERLON_CHECK(merlon::to_text(again->to_json()) == merlon::to_text(once));
  return 0;
}
