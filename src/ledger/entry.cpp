// Entries as canonical JSON. Bounds are kept by visible cuts, not by refusal: much of an entry comes from
// whoever is being recorded, and a resource name of a megabyte must not be a way to stay out of the ledger.
#include "ledger/entry.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/time_text.h"
#include "ledger/entry_text.h"

namespace merlon::ledger {
namespace {

constexpr size_t kNameBytesMax = 512;
constexpr size_t kResourceBytesMax = 2048;
constexpr size_t kReasonBytesMax = 1024;
constexpr size_t kIdBytesMax = 256;
constexpr std::string_view kCut = "…";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr JsonLimits kEntryLimits{.bytes_max = kEntryTextBytesMax, .depth_max = kEntryDepthMax};
// The entry's own object is one level more.
constexpr JsonLimits kDetailsLimits{.bytes_max = kDetailsBytesMax, .depth_max = kEntryDepthMax - 1};

// The length of the well-formed character at the front of `text`; 0 when there is none.
size_t character_length(std::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(4, text.size()); ++length)
    if (is_utf8(text.substr(0, length))) return length;
  return 0;
}

// Most details are a few texts: their canonical form is written at once. Nothing for others.
std::optional<std::string> plain_details(const JsonObject& details) {
  std::vector<std::pair<std::string_view, std::string_view>> members;
  members.reserve(details.size());
  size_t bytes = 2;
  for (const auto& [name, value] : details) {
    if (!value.is_string() || !is_utf8(name) || !is_utf8(value.get_string())) return std::nullopt;
    members.emplace_back(name, value.get_string());
    // As long as it can get: of one byte an escape makes six.
    bytes += 6 * (name.size() + value.get_string().size()) + 6;
  }
  if (bytes > kDetailsBytesMax) return std::nullopt;
  std::ranges::sort(members);
  std::string text;
  for (const auto& [name, value] : members) {
    text += text.empty() ? '{' : ',';
    append_json_string(text, name);
    text += ':';
    append_json_string(text, value);
  }
  text += '}';
  return text;
}

std::string bounded_details(const JsonObject& details) {
  if (details.empty()) return "{}";
  if (auto plain = plain_details(details)) return *std::move(plain);
  const std::string raw = to_canonical_text(Json(details));
  // Replacement can lengthen the text, and can make two keys equal: both show when it is read back.
  const std::string text = bounded_text(raw, raw.size() * kReplacement.size());
  if (const auto read = parse_json(text, kDetailsLimits); read) return to_canonical_text(*read);
  return to_canonical_text(
      Json(JsonObject{{"omitted", "larger than 8 KiB, too deep, or with ambiguous names"},
                      {"bytes", static_cast<int64_t>(raw.size())},
                      {"sha256", to_hex(crypto::sha256(as_bytes(raw)))}}));
}

std::optional<Decision> decision_of_text(std::string_view text) {
  for (const Decision decision : {Decision::allowed, Decision::denied, Decision::failed})
    if (decision_text(decision) == text) return decision;
  return std::nullopt;
}

}  // namespace

std::string_view decision_text(Decision decision) {
  switch (decision) {
    case Decision::allowed:
      return "allowed";
    case Decision::denied:
      return "denied";
    case Decision::failed:
      return "failed";
  }
  MERLON_CHECK(false);
  return {};
}

std::string bounded_text(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max && is_utf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const size_t length = character_length(text);
    const std::string_view character = length == 0 ? kReplacement : text.substr(0, length);
    const bool fits = out.size() + character.size() <= bytes_max;
    const bool is_last = text.size() <= std::max<size_t>(length, 1);
    if (!fits || (!is_last && out.size() + character.size() + kCut.size() > bytes_max)) {
      out += kCut;
      return out;
    }
    out += character;
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

// Member by member in the order of canonical JSON: one is written for every change, on the one thread that
// writes.
std::string entry_text(const Entry& entry) {
  std::string text;
  text.reserve(1024);
  const auto member = [&text](std::string_view name_and_colon, std::string_view value, size_t bytes_max) {
    text += name_and_colon;
    if (value.size() <= bytes_max && is_utf8(value))
      append_json_string(text, value);
    else
      append_json_string(text, bounded_text(value, bytes_max));
  };
  member(R"({"action":)", entry.action, kNameBytesMax);
  member(R"(,"actor":{"address":)", entry.actor.address, kNameBytesMax);
  member(R"(,"kind":)", entry.actor.kind, kNameBytesMax);
  member(R"(,"name":)", entry.actor.name, kNameBytesMax);
  member(R"(,"objectId":)", entry.actor.object_id, kNameBytesMax);
  member(R"(},"correlationId":)", entry.correlation_id, kIdBytesMax);
  text += R"(,"count":)" + std::to_string(entry.count);
  member(R"(,"decision":)", decision_text(entry.decision), kNameBytesMax);
  text += R"(,"details":)" + bounded_details(entry.details);
  member(R"(,"justification":)", entry.justification, kResourceBytesMax);
  member(R"(,"reason":)", entry.reason, kReasonBytesMax);
  member(R"(,"requestId":)", entry.request_id, kIdBytesMax);
  member(R"(,"resource":)", entry.resource, kResourceBytesMax);
  member(R"(,"time":)", to_rfc3339(entry.time), kIdBytesMax);
  text += '}';
  MERLON_CHECK(text.size() <= kEntryTextBytesMax);
  return text;
}

std::string entered_correlation_id(const Entry& entry) {
  return bounded_text(entry.correlation_id, kIdBytesMax);
}

Result<Entry> entry_of_text(std::string_view text) {
  const JsonObject json = TRY(parse_json_object(text, kEntryLimits));
  const JsonObject* actor = object_at(json, "actor");
  const JsonObject* details = object_at(json, "details");
  const auto time = from_rfc3339(TRY(require_string(json, "time")));
  const auto decision = decision_of_text(TRY(require_string(json, "decision")));
  if (actor == nullptr || details == nullptr || !time || !decision)
    return internal_error("a ledger entry lacks its actor, details, time or decision");
  Entry entry;
  entry.time = *time;
  entry.actor = {TRY(require_string(*actor, "kind")), TRY(require_string(*actor, "objectId")),
                 TRY(require_string(*actor, "name")), TRY(require_string(*actor, "address"))};
  entry.action = TRY(require_string(json, "action"));
  entry.resource = TRY(require_string(json, "resource"));
  entry.decision = *decision;
  entry.reason = TRY(require_string(json, "reason"));
  entry.request_id = TRY(require_string(json, "requestId"));
  entry.correlation_id = TRY(require_string(json, "correlationId"));
  entry.justification = TRY(require_string(json, "justification"));
  entry.details = *details;
  entry.count = TRY(require_int(json, "count"));
  return entry;
}

Hash salted_leaf(const Salt& salt, std::string_view text) {
  Bytes input(salt.begin(), salt.end());
  input.insert(input.end(), text.begin(), text.end());
  return leaf_hash(input);
}

}  // namespace merlon::ledger
