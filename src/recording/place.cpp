// One row for each place.
#include "recording/place.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/json.h"

namespace merlon::recording {
namespace {

const TenantId kNoTenant{};  // of the whole installation

}  // namespace

const store::TableSpec& places_table() {
  static const store::TableSpec table{"recording_places", {}};
  return table;
}

Result<std::string> whereabouts(const std::string& directory) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  struct stat status{};
  if (boot.empty() || ::stat(directory.c_str(), &status) != 0)
    return internal_error("it cannot be said where " + directory + " is: " + std::strerror(errno));
  return boot + "/" + std::to_string(status.st_dev) + "/" + std::to_string(status.st_ino);
}

Result<PlaceClaim::Row> PlaceClaim::read(store::Reader& reader) const {
  const auto row = TRY(reader.get(places_table(), kNoTenant, place_));
  if (!row) return Row{};
  const JsonObject json = TRY(parse_json_object(row->body));
  return Row{TRY(require_string(json, "where")), TRY(require_int(json, "beat"))};
}

Result<void> PlaceClaim::put(store::Transaction& tx, const Row& row) const {
  return tx.put(places_table(), kNoTenant,
                {place_, to_text(JsonObject{{"where", row.where}, {"beat", row.beat}}), {}});
}

Result<PlaceClaim::Whose> PlaceClaim::look() {
  const Duration now = clock_.boottime();
  return store::write_value<Whose>(store_, [&](store::Transaction& tx) -> Result<Whose> {
    const Row row = TRY(read(tx));
    if (!row.where.empty() && row.where != where_) {
      if (seen_ && *seen_ != row) return Whose::anothers;
      if (!seen_) since_ = now;
      seen_ = row;
      if (now - since_ < kQuiet) return Whose::unknown;
    }
    TRY(put(tx, {where_, row.beat + 1}));
    since_ = now;
    return Whose::ours;
  });
}

Result<void> PlaceClaim::renew() {
  const Duration now = clock_.boottime();
  if (now - since_ < kRenewEvery) return {};
  since_ = now;
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    const Row row = TRY(read(tx));
    if (row.where != where_)
      return fail(
          ErrorKind::conflict, "PlaceTaken",
          "Another server has taken over the recordings of the id " + place_ +
              ", which is in a copy of this server's directory of blobs, while this one was not heard of.");
    return put(tx, {where_, row.beat + 1});
  });
}

Result<void> PlaceClaim::release() {
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    const Row row = TRY(read(tx));
    return row.where == where_ ? put(tx, {"", row.beat + 1}) : Result<void>();
  });
}

}  // namespace merlon::recording
