// Whatever file somebody loads: no crash, and what is accepted keeps its bounds and survives being stored.
#include <cstdint>

#include "base/bytes.h"
#include "services/network/address_names.h"
#include "services/network/service_tags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const auto json = parse_json_object(as_text({data, size}));
  if (!json) return 0;
  const auto file = network::read_service_tags(*json);
  if (!file) return 0;
  MERLON_CHECK(file->tags.size() <= network::kTagsPerSetMax);
  for (const auto& [key, tag] : file->tags) {
    MERLON_CHECK(key == tag.key() && network::is_tag_name(tag.name) && !network::is_platform_tag(tag.name));
    const auto again = network::ServiceTag::from_json(tag.to_json());
    MERLON_CHECK(again.has_value() && again->prefixes == tag.prefixes);
  }
  return 0;
}
