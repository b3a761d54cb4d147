// Whatever query comes in is parsed or refused; a parsed one runs on any row and leaves exactly its columns.
#include <cstdint>

#include "base/bytes.h"
#include "resource/resource_graph_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon::resource;
  const auto query = parse_graph_query(merlon::as_text({data, size}));
  if (!query) {
    MERLON_CHECK(query.error().code == "BadRequest" && query.error().details.size() == 2);
    return 0;
  }
  GraphRow row;
  for (const std::string& name : graph_table_columns()) row[name] = nullptr;
  row["name"] = "web-1";
  row["type"] = "microsoft.network/networksecuritygroups";
  row["tags"] = {{"env", "prod"}, {"n", 1}};
  row["properties"] = {{"a", {{"b", {1, 2.5, "x", nullptr}}}}, {"enabled", true}};
  GraphWork work;
  const auto rows = run_graph_query(*query, {row, row}, work);
  MERLON_CHECK(rows || work.is_spent());
  for (size_t i = 0; rows && i < rows->size(); ++i) MERLON_CHECK((*rows)[i].size() == query->columns.size());
  return 0;
}
