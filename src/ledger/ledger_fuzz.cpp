// The offline verifier reads files from anybody: any bytes must give a report or an error. What verifies must
// say the same with the key it carries.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "ledger/export_format.h"
#include "ledger/ledger.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::istringstream file(text);
  const auto report = ledger::verify_export(file, {});
  if (report) {
    const size_t last = text.rfind('\n', text.size() - 2);
    const std::string line = text.substr(last == std::string::npos ? 0 : last + 1);
    const auto head = ledger::head_of_line(std::string_view(line).substr(0, line.size() - 1));
    MERLON_CHECK(head && ledger::head_signature_valid(head->head, head->public_key_pem));
    std::istringstream again(text);
    MERLON_CHECK(
        ledger::verify_export(again, {.public_key_pem = head->public_key_pem, .witnesses = {head->head}})
            .has_value());
  }
  if (const auto json = parse_json_object(text)) {
    if (const auto head = ledger::SignedHead::from_json(*json))
      MERLON_CHECK(ledger::SignedHead::from_json(head->to_json()).has_value());
  }
  return 0;
}
