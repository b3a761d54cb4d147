// Service tags as data: names for prefixes that somebody loads, in the format of the file that Microsoft
// publishes ("Azure IP Ranges and Service Tags"; Azure docs, service-tags-overview). A set is one such file;
// an operator's own names are a set like any other.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/json.h"
#include "store/table.h"

namespace merlon::network {

inline constexpr size_t kTagsPerSetMax = 10'000;
inline constexpr size_t kPrefixesPerTagMax = 50'000;
inline constexpr size_t kPrefixesPerSetMax = 250'000;
inline constexpr size_t kTagSetsMax = 32;

struct ServiceTag {
  std::string name;  // as the file spells it
  std::string set;   // lower-case name of the set that it came with
  std::string change_number, region, system_service;
  std::vector<IpPrefix> prefixes;  // as few as say the same
  // The set no longer has it, but a rule still names it: it keeps what it had.
  bool retired = false;
  static const store::TableSpec& table();
  std::string key() const;  // lower-case name: unique over all sets
  std::vector<std::optional<std::string>> index_values() const { return {set}; }
  JsonObject to_json() const;
  static Result<ServiceTag> from_json(const JsonObject& json);
};

struct ServiceTagSet {
  std::string name;
  std::string cloud, change_number;
  int64_t tags = 0;
  Timestamp loaded;
  std::string loaded_by;
  static const store::TableSpec& table();
  std::string key() const;  // lower-case name
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<ServiceTagSet> from_json(const JsonObject& json);
};

struct ServiceTagFile {
  std::string cloud, change_number;
  std::map<std::string, ServiceTag> tags;  // by lower-case name
};

// Bounded and strict: a file that cannot be read whole changes nothing. Errors say which tag and what is
// wrong.
Result<ServiceTagFile> read_service_tags(const JsonObject& file);
// As Azure's serviceTags API shows it.
JsonObject shown_tag(const ServiceTag& tag);

}  // namespace merlon::network
