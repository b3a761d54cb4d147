// The rules that every resource obeys, whatever its type: names, locations, tags. Each returns Azure's error.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "resource/resource_id.h"

namespace merlon::resource {

// "West Europe" is "westeurope": Azure compares and shows locations like that.
std::string normal_location(std::string_view location);
// A location's form; any name is accepted, since a machine may stand anywhere.
Result<std::string> check_location(std::string_view location);
// At most 50; names up to 512 characters without <>%&\?/, values up to 256; no two names that differ in case
// alone.
Result<void> check_tags(const JsonObject& tags);
// The common rule for resource names; types with their own rule replace it.
Result<void> check_resource_name(std::string_view name, std::string_view type);

}  // namespace merlon::resource
