// libcbor's stream decoder, pulled: one item a call.
#include "identity/cbor.h"

#include <cbor.h>

#include <limits>

namespace merlon::identity {
namespace {

constexpr int kDepthMax = 8;

enum class Kind { none, number, negative, bytes, text, array, map, simple };

struct Item {
  Kind kind = Kind::none;
  uint64_t number = 0;  // the value, or how many items
  ByteView content;
};

template <Kind kKind, class Number>
void take_number(void* context, Number value) {
  auto& item = *static_cast<Item*>(context);
  item.kind = kKind;
  item.number = value;
}

template <Kind kKind>
void take_content(void* context, cbor_data data, size_t size) {
  auto& item = *static_cast<Item*>(context);
  item.kind = kKind;
  item.content = ByteView(data, size);
}

void take_simple(void* context) { static_cast<Item*>(context)->kind = Kind::simple; }
void take_boolean(void* context, bool) { static_cast<Item*>(context)->kind = Kind::simple; }

// What is not set here leaves the item as it is: of no kind, and refused.
cbor_callbacks callbacks() {
  cbor_callbacks all = cbor_empty_callbacks;
  all.uint8 = take_number<Kind::number, uint8_t>;
  all.uint16 = take_number<Kind::number, uint16_t>;
  all.uint32 = take_number<Kind::number, uint32_t>;
  all.uint64 = take_number<Kind::number, uint64_t>;
  all.negint8 = take_number<Kind::negative, uint8_t>;
  all.negint16 = take_number<Kind::negative, uint16_t>;
  all.negint32 = take_number<Kind::negative, uint32_t>;
  all.negint64 = take_number<Kind::negative, uint64_t>;
  all.byte_string = take_content<Kind::bytes>;
  all.string = take_content<Kind::text>;
  all.array_start = take_number<Kind::array, size_t>;
  all.map_start = take_number<Kind::map, size_t>;
  all.null = take_simple;
  all.boolean = take_boolean;
  return all;
}

Item next(ByteView& data) {
  static const cbor_callbacks all = callbacks();
  Item item;
  if (data.empty()) return item;
  const cbor_decoder_result result = cbor_stream_decode(data.data(), data.size(), &all, &item);
  if (result.status != CBOR_DECODER_FINISHED || result.read == 0 || result.read > data.size()) return {};
  data = data.subspan(result.read);
  return item;
}

std::optional<size_t> count_of(const Item& item, Kind kind, ByteView rest) {
  // Each item takes a byte at least.
  if (item.kind != kind || item.number > rest.size()) return std::nullopt;
  return static_cast<size_t>(item.number);
}

}  // namespace

std::optional<size_t> CborReader::map() {
  const Item item = next(data_);
  return count_of(item, Kind::map, data_);
}

std::optional<size_t> CborReader::array() {
  const Item item = next(data_);
  return count_of(item, Kind::array, data_);
}

std::optional<int64_t> CborReader::integer() {
  const Item item = next(data_);
  if (item.number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  const auto value = static_cast<int64_t>(item.number);
  if (item.kind == Kind::number) return value;
  if (item.kind == Kind::negative) return -1 - value;
  return std::nullopt;
}

std::optional<ByteView> CborReader::bytes() {
  const Item item = next(data_);
  return item.kind == Kind::bytes ? std::optional(item.content) : std::nullopt;
}

std::optional<std::string_view> CborReader::text() {
  const Item item = next(data_);
  return item.kind == Kind::text ? std::optional(as_text(item.content)) : std::nullopt;
}

bool CborReader::skip() { return skip_at(0); }

bool CborReader::skip_at(int depth) {
  if (depth > kDepthMax) return false;
  const Item item = next(data_);
  if (item.kind == Kind::none) return false;
  uint64_t inside = item.kind == Kind::array || item.kind == Kind::map ? item.number : 0;
  if (inside > data_.size()) return false;
  if (item.kind == Kind::map) inside *= 2;
  for (; inside > 0; --inside)
    if (!skip_at(depth + 1)) return false;
  return true;
}

}  // namespace merlon::identity
