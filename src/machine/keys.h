// Keys that machines had, and by what it is seen that two have one: the boot ids and the keys that come back.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/uuid.h"
#include "store/table.h"

namespace merlon::machine {

// A key that its machine has replaced. Remembered for as long as the machine is there: whoever shows it later
// has a copy of what the machine was.
struct RetiredKey {
  std::string key_hash;
  Uuid machine;
  Timestamp at;
  static const store::TableSpec& table();  // index: machine
  std::string key() const { return key_hash; }
  std::vector<std::optional<std::string>> index_values() const { return {machine.text()}; }
  JsonObject to_json() const;
  static Result<RetiredKey> from_json(const JsonObject& json);
};

// Why a machine is quarantined.
namespace reason {
inline constexpr std::string_view kTwoBoots = "TwoBoots";      // a boot id came back
inline constexpr std::string_view kManyBoots = "ManyBoots";    // more new ones than a machine starts
inline constexpr std::string_view kRetiredKey = "RetiredKey";  // a key that it had replaced came back
}  // namespace reason

// What has been seen of it, as a clause: "its key was seen on two machines".
std::string quarantine_text(std::string_view reason);

}  // namespace merlon::machine
