// Lists, page by page: $top, $skiptoken, and the absolute nextLink that Azure's clients follow verbatim.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "resource/call.h"

namespace merlon::resource {

struct Page {
  size_t top = 1000;
  std::string after;  // where the previous page ended; empty at first
};

// A $skiptoken is our own text in base64url. It only says where to go on inside a list that the caller may
// read anyway, so a forged one gains nothing; one that is not ours is an error, since a silent restart would
// loop a client forever.
Result<Page> page_of(const Call& call, size_t top_default = 1000);
std::string skip_token(std::string_view after);
// The same request with the token in place of an old one.
std::string next_link(const Call& call, std::string_view after);

// {"value":[…],"nextLink":…} of values that are JSON text already.
std::string list_text(const std::vector<std::string>& values, const std::string& next_link = {});

// Walks an index or a key range with `visit`, which says whether the row was taken, until the page is full.
// Returns the place where the next page begins, empty at the end.
struct WalkRow {
  const store::Row& row;
  const std::string& position;  // of this row, for the token
};
using Visit = std::function<Result<bool>(const WalkRow&)>;
Result<std::string> walk_index(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant,
                               std::string_view index, const std::string& prefix, const Page& page,
                               const Visit& visit);
Result<std::string> walk_keys(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant,
                              const std::string& prefix, const Page& page, const Visit& visit);

}  // namespace merlon::resource
