// A backup is read by root from wherever it was kept.
#include <cstddef>
#include <cstdint>
#include <sstream>

#include "server/backup_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  std::istringstream file(std::string(as_text({data, size})));
  std::string written;
  const auto end = server::read_backup(
      file, {.header = [&](const server::BackupHeader& header) -> Result<void> {
               written += to_text(header.to_json()) + "\n";
               return {};
             },
             .row = [&](const server::BackupRow& row) -> Result<void> {
               const auto again = server::BackupRow::from_json(row.to_json());
               MERLON_CHECK(again && again->row.key == row.row.key && again->row.body == row.row.body &&
                            again->row.index_values == row.row.index_values);
               return {};
             }});
  MERLON_CHECK(!end || !written.empty());
  return 0;
}
