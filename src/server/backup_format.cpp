// Lines to values and back.
#include "server/backup_format.h"

#include <istream>

#include "base/time_text.h"

namespace merlon::server {
namespace {

constexpr int64_t kFormat = 1;
constexpr size_t kLineBytesMax =
    256 * 1024 * 1024;  // a row of the greatest size that a store takes, in base64

std::unexpected<Error> malformed(int64_t line, const std::string& what) {
  return fail(ErrorKind::invalid, "InvalidBackup",
              "Line " + std::to_string(line) + " of the backup " + what +
                  ". It was cut or changed, or is no backup of Merlon's: take another one.");
}

Result<std::string> require_base64(const Json& value) {
  if (value.is_string())
    if (const auto bytes = from_base64(std::string_view(value.get_string())))
      return std::string(as_text(*bytes));
  return fail(ErrorKind::invalid, "InvalidBackup", "has a value that is not base64");
}

Result<std::string> base64_at(const JsonObject& json, std::string_view key) {
  const Json* value = json.if_contains(key);
  return require_base64(value == nullptr ? Json() : *value);
}

Result<TenantId> tenant_at(const JsonObject& json, std::string_view key) {
  const auto id = Uuid::parse(TRY(require_string(json, key)));
  if (!id) return fail(ErrorKind::invalid, "InvalidBackup", "names a tenant that is no UUID");
  return TenantId{*id};
}

}  // namespace

JsonObject BackupHeader::to_json() const {
  JsonObject shapes;
  for (const auto& [name, indexes] : tables) shapes[name] = JsonArray(indexes.begin(), indexes.end());
  return {{"merlonBackup", kFormat},
          {"id", id.text()},
          {"productVersion", product_version},
          {"migration", migration},
          {"created", to_rfc3339(created)},
          {"tenantId", tenant.text()},
          {"domain", domain},
          {"ledgerSize", ledger_size},
          {"ledgerRoot", ledger_root},
          {"tables", std::move(shapes)}};
}

Result<BackupHeader> BackupHeader::from_json(const JsonObject& json) {
  BackupHeader header;
  const int64_t format = TRY(require_int(json, "merlonBackup"));
  header.product_version = TRY(require_string(json, "productVersion"));
  if (format != kFormat)
    return fail(ErrorKind::unsupported, "BackupTooNew",
                "The backup has format " + std::to_string(format) + " and was made by merlon " +
                    header.product_version + ". Restore it with that version.");
  const auto id = Uuid::parse(TRY(require_string(json, "id")));
  const auto created = from_rfc3339(TRY(require_string(json, "created")));
  const JsonObject* tables = object_at(json, "tables");
  if (!id || !created || tables == nullptr) return fail(ErrorKind::invalid, "InvalidBackup", "is no header");
  header.id = *id;
  header.created = *created;
  header.migration = TRY(require_int(json, "migration"));
  header.tenant = TRY(tenant_at(json, "tenantId"));
  header.domain = TRY(require_string(json, "domain"));
  header.ledger_size = TRY(require_int(json, "ledgerSize"));
  header.ledger_root = TRY(require_string(json, "ledgerRoot"));
  for (const auto& [name, indexes] : *tables) {
    auto& names = header.tables[name];
    if (!indexes.is_array()) return fail(ErrorKind::invalid, "InvalidBackup", "is no header");
    for (const Json& index : indexes.get_array()) {
      if (!index.is_string()) return fail(ErrorKind::invalid, "InvalidBackup", "is no header");
      names.emplace_back(index.get_string());
    }
  }
  return header;
}

JsonObject BackupRow::to_json() const {
  JsonArray values;
  for (const auto& value : row.index_values)
    values.push_back(value ? Json(to_base64(as_bytes(*value))) : Json());
  return {{"t", table},
          {"n", tenant.text()},
          {"k", to_base64(as_bytes(row.key))},
          {"b", to_base64(as_bytes(row.body))},
          {"i", std::move(values)}};
}

Result<BackupRow> BackupRow::from_json(const JsonObject& json) {
  BackupRow row;
  row.table = TRY(require_string(json, "t"));
  row.tenant = TRY(tenant_at(json, "n"));
  row.row.key = TRY(base64_at(json, "k"));
  row.row.body = TRY(base64_at(json, "b"));
  const JsonArray* values = array_at(json, "i");
  if (values == nullptr) return fail(ErrorKind::invalid, "InvalidBackup", "is no row");
  for (const Json& value : *values) {
    if (value.is_null())
      row.row.index_values.emplace_back();
    else
      row.row.index_values.emplace_back(TRY(require_base64(value)));
  }
  return row;
}

JsonObject BackupEnd::to_json() const {
  return {{"end", true}, {"rows", rows}, {"digest", digest}, {"seal", seal}};
}

Result<BackupEnd> BackupEnd::from_json(const JsonObject& json) {
  return BackupEnd{.rows = TRY(require_int(json, "rows")),
                   .digest = TRY(require_string(json, "digest")),
                   .seal = TRY(require_string(json, "seal"))};
}

std::string backup_seal_context(const Uuid& backup) { return "state_backup/" + backup.text() + "/digest/1"; }

void BackupDigest::add(std::string_view line) {
  Bytes bytes(chain_.begin(), chain_.end());
  bytes.insert(bytes.end(), line.begin(), line.end());
  chain_ = crypto::sha256(bytes);
}

Result<BackupEnd> read_backup(std::istream& file, const BackupVisitor& visitor) {
  BackupDigest digest;
  std::string text;
  int64_t rows = 0;
  for (int64_t line = 1; std::getline(file, text); ++line) {
    if (file.eof()) return malformed(line, "has no end");  // a file cut inside a line
    auto json = parse_json_object(text, {.bytes_max = kLineBytesMax, .depth_max = 8});
    if (!json) return malformed(line, "cannot be read: " + json.error().message);
    if (line == 1) {
      const auto header = BackupHeader::from_json(*json);
      if (!header && header.error().code == "BackupTooNew") return std::unexpected(header.error());
      if (!header) return malformed(line, header.error().message);
      TRY(visitor.header(*header));
    } else if (json->contains("end")) {
      const auto end = BackupEnd::from_json(*json);
      if (!end) return malformed(line, end.error().message);
      if (end->rows != rows || end->digest != digest.hex())
        return malformed(line, "does not fit the lines before it");
      if (file.peek() != std::istream::traits_type::eof()) return malformed(line + 1, "follows the end");
      return *end;
    } else {
      const auto row = BackupRow::from_json(*json);
      if (!row) return malformed(line, row.error().message);
      TRY(visitor.row(*row));
      ++rows;
    }
    digest.add(text);
  }
  return fail(ErrorKind::invalid, "InvalidBackup",
              "The backup ends after " + std::to_string(rows) +
                  " rows, without its last line: it was cut. Take "
                  "another one.");
}

}  // namespace merlon::server
