// Keys and certificates from anybody: what is read must be what was written, and no change of a byte may be
// let in.
#include <cstdlib>

#include "base/bytes.h"
#include "ssh/certificate.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView blob(data, size);
  if (const auto key = ssh::PublicKey::from_blob(blob)) {
    const auto again = ssh::PublicKey::from_line(key->line());
    if (!again || !(*again == *key)) std::abort();
  }
  static_cast<void>(ssh::PublicKey::from_line(as_text(blob)));
  const auto certificate = ssh::Certificate::from_blob(blob);
  if (!certificate) return 0;
  const auto line = ssh::certificate_line(blob, "c");
  if (!line) std::abort();
  const auto again = ssh::Certificate::from_line(*line);
  if (!again || again->principals != certificate->principals || again->serial != certificate->serial)
    std::abort();
  // Judged by whoever it says has signed it: only the signature stands in its way.
  const ssh::Judge judge{.authorities = {certificate->authority},
                         .type = certificate->type,
                         .now = Timestamp(std::chrono::seconds(1780000000)),
                         .source = IpAddress::parse("192.0.2.7")};
  static_cast<void>(ssh::judge_certificate(blob, judge));
  return 0;
}
