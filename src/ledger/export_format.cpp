// Entry lines are taken apart by position, since the entry's exact bytes are what was hashed; a JSON parser
// would give a value, of which there are many spellings.
#include "ledger/export_format.h"

#include <algorithm>
#include <charconv>

#include "crypto/key.h"

namespace merlon::ledger {
namespace {

constexpr std::string_view kIndexPart = R"({"index":)";
constexpr std::string_view kSaltPart = R"(,"salt":")";
constexpr std::string_view kEntryPart = R"(","entry":)";
constexpr std::string_view kLeafPart = R"(,"leafHash":")";
constexpr std::string_view kEnd = R"("})";
constexpr size_t kSaltHex = 2 * kSaltBytes;
constexpr size_t kLeafHex = 64;

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

}  // namespace

std::string to_line(uint64_t index, const StoredEntry& stored) {
  std::string line(kIndexPart);
  line += std::to_string(index);
  line += kSaltPart;
  line += to_hex(stored.salt);
  line += kEntryPart;
  line += stored.text;
  line += kLeafPart;
  line += to_hex(salted_leaf(stored.salt, stored.text));
  line += kEnd;
  return line;
}

std::string to_line(const HeadLine& head) {
  return to_text(JsonObject{{"head", head.head.to_json()}, {"publicKey", head.public_key_pem}});
}

bool looks_like_head(std::string_view line) { return line.starts_with(R"({"head":)"); }

std::optional<EntryLine> entry_of_line(std::string_view line) {
  EntryLine entry;
  if (!take(line, kIndexPart)) return std::nullopt;
  const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), entry.index);
  const std::string_view digits(line.data(), static_cast<size_t>(end - line.data()));
  if (code != std::errc() || std::to_string(entry.index) != digits) return std::nullopt;
  line.remove_prefix(digits.size());
  if (!take(line, kSaltPart) || line.size() < kSaltHex) return std::nullopt;
  const auto salt = from_hex(line.substr(0, kSaltHex));
  if (!salt || to_hex(*salt) != line.substr(0, kSaltHex)) return std::nullopt;
  std::copy(salt->begin(), salt->end(), entry.stored.salt.begin());
  line.remove_prefix(kSaltHex);
  constexpr size_t kTail = kLeafPart.size() + kLeafHex + kEnd.size();
  if (!take(line, kEntryPart) || line.size() < kTail) return std::nullopt;
  std::string_view tail = line.substr(line.size() - kTail);
  entry.stored.text = line.substr(0, line.size() - kTail);
  if (!take(tail, kLeafPart)) return std::nullopt;
  entry.leaf_hex = tail.substr(0, kLeafHex);
  if (tail.substr(kLeafHex) != kEnd) return std::nullopt;
  return entry;
}

std::optional<HeadLine> head_of_line(std::string_view line) {
  const auto json = parse_json_object(line, {.bytes_max = kExportLineBytesMax, .depth_max = 4});
  if (!json) return std::nullopt;
  const JsonObject* head_json = object_at(*json, "head");
  if (head_json == nullptr) return std::nullopt;
  auto head = SignedHead::from_json(*head_json);
  if (!head) return std::nullopt;
  HeadLine parsed{*std::move(head), string_at(*json, "publicKey").value_or("")};
  const auto key = crypto::PublicKey::from_pem(parsed.public_key_pem);
  if (!key || key->pem() != parsed.public_key_pem || to_line(parsed) != line) return std::nullopt;
  return parsed;
}

}  // namespace merlon::ledger
