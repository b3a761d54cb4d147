// Whatever text comes in: no crash, and an id that was accepted reads back as itself, in any case.
#include <cstdint>

#include "base/bytes.h"
#include "base/text.h"
#include "resource/resource_id.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using merlon::resource::ResourceId;
  const auto id = ResourceId::parse(merlon::as_text({data, size}));
  if (!id) return 0;
  const auto again = ResourceId::parse(id->text());
  MERLON_CHECK(again.has_value() && again->text() == id->text() && *again == *id);
  const auto lower = ResourceId::parse(id->key());
  MERLON_CHECK(lower.has_value() && *lower == *id && lower->parts().size() == id->parts().size());
  ResourceId at = *id;
  for (int depth = 0; at.text() != "/"; ++depth) {
    MERLON_CHECK(depth < 100);
    const ResourceId parent = at.parent();
    MERLON_CHECK(at.is_within(parent.text()) && !parent.is_within(at.text()));
    at = parent;
  }
  return 0;
}
