// Rows of the ledger: keys that sort, bodies that give back the exact bytes.
#include "ledger/ledger_rows.h"

#include <bit>
#include <charconv>

#include "ledger/head_signer.h"

namespace merlon::ledger {
namespace {

constexpr std::string_view kStateKey = "head";
constexpr std::string_view kSaltPart = R"({"salt":")";
constexpr std::string_view kEntryPart = R"(","entry":)";

constexpr size_t kIndexDigits = 20;  // of any 64-bit number

// With zeros in front: keys sort as the numbers do. By hand: three are written for every change.
std::string padded(uint64_t number, size_t width) {
  std::string out(width, '0');
  for (size_t at = width; number != 0; number /= 10) out[--at] = static_cast<char>('0' + number % 10);
  return out;
}

std::string node_key(unsigned level, uint64_t index) {
  return padded(level, 2) + "/" + padded(index, kIndexDigits);
}

}  // namespace

const store::TableSpec& entries_table() {
  static const store::TableSpec table{"ledger_entries", {{"correlation", store::Unique::no}}};
  return table;
}
const store::TableSpec& nodes_table() {
  static const store::TableSpec table{"ledger_nodes", {}};
  return table;
}
const store::TableSpec& state_table() {
  static const store::TableSpec table{"ledger_state", {}};
  return table;
}
const store::TableSpec& keys_table() {
  static const store::TableSpec table{"ledger_keys", {}};
  return table;
}

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all{entries_table(), nodes_table(), state_table(), keys_table()};
  return all;
}

std::string index_key(uint64_t index) { return padded(index, kIndexDigits); }

Result<uint64_t> index_of_key(std::string_view key) {
  uint64_t index = 0;
  const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (code != std::errc() || index_key(index) != key)
    return internal_error("ledger row with the malformed key '" + std::string(key) + "'");
  return index;
}

std::string StoredEntry::to_body() const {
  std::string body(kSaltPart);
  body += to_hex(salt);
  body += kEntryPart;
  body += text;
  body += '}';
  return body;
}

// By position, not by parsing: what was hashed are these bytes.
Result<StoredEntry> StoredEntry::from_body(std::string_view body) {
  constexpr size_t kTextAt = kSaltPart.size() + 2 * kSaltBytes + kEntryPart.size();
  StoredEntry stored;
  if (body.size() < kTextAt + 1 || !body.starts_with(kSaltPart) || !body.ends_with('}') ||
      body.substr(kSaltPart.size() + 2 * kSaltBytes, kEntryPart.size()) != kEntryPart)
    return internal_error("a ledger entry's row is malformed");
  const auto salt = from_hex(body.substr(kSaltPart.size(), 2 * kSaltBytes));
  if (!salt) return internal_error("a ledger entry's salt is malformed");
  std::copy(salt->begin(), salt->end(), stored.salt.begin());
  stored.text = body.substr(kTextAt, body.size() - kTextAt - 1);
  return stored;
}

Result<std::optional<State>> read_state(store::Reader& reader, const TenantId& tenant) {
  const auto row = TRY(reader.get(state_table(), tenant, kStateKey));
  if (!row) return std::optional<State>();
  const JsonObject json = TRY(parse_json_object(row->body));
  const JsonObject* head = object_at(json, "head");
  const JsonArray* subtrees = array_at(json, "subtrees");
  if (head == nullptr || subtrees == nullptr) return internal_error("the ledger's state row is malformed");
  State state;
  state.head = TRY(SignedHead::from_json(*head));
  state.frontier.size = state.head.size;
  for (const Json& item : *subtrees) {
    const auto hash = item.is_string() ? hash_of_text(std::string_view(item.get_string())) : std::nullopt;
    if (!hash) return internal_error("the ledger's frontier is malformed");
    state.frontier.subtrees.push_back(*hash);
  }
  if (state.frontier.subtrees.size() != static_cast<size_t>(std::popcount(state.frontier.size)))
    return internal_error("the ledger's frontier does not have the shape of its size");
  return std::optional(std::move(state));
}

Result<void> write_state(store::Transaction& tx, const TenantId& tenant, const State& state) {
  JsonArray subtrees;
  for (const Hash& hash : state.frontier.subtrees) subtrees.push_back(Json(to_hex(hash)));
  const JsonObject json{{"head", state.head.to_json()}, {"subtrees", std::move(subtrees)}};
  return tx.put(state_table(), tenant, {std::string(kStateKey), to_text(json), {}});
}

Result<void> write_node(store::Transaction& tx, const TenantId& tenant, unsigned level, uint64_t index,
                        const Hash& hash) {
  return tx.put(nodes_table(), tenant, {node_key(level, index), "\"" + to_hex(hash) + "\"", {}});
}

NodeReader node_reader(store::Reader& reader, const TenantId& tenant) {
  return [&reader, tenant](unsigned level, uint64_t index) -> Result<Hash> {
    const auto row = TRY(reader.get(nodes_table(), tenant, node_key(level, index)));
    const std::string_view body = row ? std::string_view(row->body) : std::string_view();
    const auto hash = body.size() == 66 ? hash_of_text(body.substr(1, 64)) : std::nullopt;
    if (!hash) return internal_error("the ledger lacks the node " + node_key(level, index));
    return *hash;
  };
}

}  // namespace merlon::ledger
