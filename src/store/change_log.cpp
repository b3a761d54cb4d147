// The row "head" holds the mark alone, as a JSON text that is compared and not parsed; each note is a row of
// its own, so that reading on costs what has changed and nothing else.
#include "store/change_log.h"

#include <charconv>

#include "base/json.h"

namespace merlon::store {
namespace {

constexpr const char* kHead = "head";
constexpr size_t kDigits = 20;  // of the largest uint64_t

std::string padded(uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(kDigits - digits.size(), '0') + digits;
}

std::string key_of(uint64_t number) { return "note/" + padded(number); }

// A mark is "<number>-<uuid>" in quotes.
uint64_t number_of(std::string_view mark) {
  uint64_t number = 0;
  if (mark.size() > kDigits) std::from_chars(mark.data() + 1, mark.data() + 1 + kDigits, number);
  return number;
}

}  // namespace

Result<void> ChangeLog::note(Transaction& tx, const TenantId& tenant, Random& random,
                             const std::vector<std::string>& what) const {
  if (what.empty()) return {};
  const uint64_t number = number_of(TRY(mark(tx, tenant))) + 1;
  const std::string head = "\"" + padded(number) + "-" + Uuid::generate(random).text() + "\"";
  JsonArray noted;
  for (const std::string& text : what) noted.emplace_back(text);
  TRY(tx.put(table_, tenant,
             {key_of(number), to_text(JsonObject{{"mark", head}, {"what", std::move(noted)}}), {}}));
  if (number > kept_) TRY(tx.erase(table_, tenant, key_of(number - kept_)));
  return tx.put(table_, tenant, {kHead, head, {}});
}

Result<std::string> ChangeLog::mark(Reader& reader, const TenantId& tenant) const {
  auto row = TRY(reader.get(table_, tenant, kHead));
  return row ? std::move(row->body) : std::string();
}

Result<std::optional<std::vector<std::string>>> ChangeLog::since(Reader& reader, const TenantId& tenant,
                                                                 std::string_view old_mark) const {
  using Found = std::optional<std::vector<std::string>>;
  const std::string old_key = key_of(number_of(old_mark));
  const auto old_row = TRY(reader.get(table_, tenant, old_key));
  if (!old_row) return Found();
  const JsonObject old_note = TRY(parse_json_object(old_row->body, {.bytes_max = 64 * 1024 * 1024}));
  if (string_at(old_note, "mark") != std::string(old_mark)) return Found();
  std::vector<std::string> all;
  Range range{.prefix = "note/", .after = old_key, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(table_, tenant, range));
    for (const Row& row : rows) {
      const JsonObject note = TRY(parse_json_object(row.body, {.bytes_max = 64 * 1024 * 1024}));
      const JsonArray* what = array_at(note, "what");
      if (what == nullptr) return internal_error("row " + row.key + " of " + table_.name + " names nothing");
      for (const Json& item : *what) {
        if (!item.is_string()) return internal_error("row " + row.key + " of " + table_.name);
        all.emplace_back(item.get_string());
      }
    }
    if (rows.size() < range.limit) return Found(std::move(all));
    range.after = rows.back().key;
  }
}

bool ChangeLog::is_before(std::string_view a, std::string_view b) { return number_of(a) < number_of(b); }

}  // namespace merlon::store
