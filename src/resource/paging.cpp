// A page ends where its last row was taken, so rows that come or go between two pages neither repeat nor hide
// others.
#include "resource/paging.h"

#include <charconv>

#include "base/text.h"

namespace merlon::resource {
namespace {

constexpr std::string_view kTokenMark = "m1:";  // tells our tokens, and their form, from others
constexpr size_t kTopMax = 1000;
constexpr size_t kTokenBytesMax = 4096;

Result<void> check_belongs(const Page& page, const std::string& prefix) {
  if (page.after.empty() || page.after.starts_with(prefix)) return {};
  return fail(ErrorKind::invalid, "InvalidSkipToken",
              "The query parameter '$skiptoken' belongs to another list. Follow nextLink as it is.",
              "$skiptoken");
}

}  // namespace

Result<Page> page_of(const Call& call, size_t top_default) {
  Page page;
  page.top = top_default;
  if (const std::string* top = call.request.query.find("$top")) {
    size_t value = 0;
    const auto [end, fault] = std::from_chars(top->data(), top->data() + top->size(), value);
    if (fault != std::errc() || end != top->data() + top->size() || value == 0) {
      return fail(
          ErrorKind::invalid, "InvalidQueryParameterValue",
          "The query parameter '$top' is '" + top->substr(0, 100) + "'. Give a number from 1 to 1000.",
          "$top");
    }
    page.top = std::min(value, kTopMax);
  }
  if (const std::string* token = call.request.query.find("$skiptoken")) {
    const auto decoded = token->size() <= kTokenBytesMax ? from_base64url(*token) : std::nullopt;
    if (!decoded || !as_text(*decoded).starts_with(kTokenMark) || decoded->size() == kTokenMark.size()) {
      return fail(ErrorKind::invalid, "InvalidSkipToken",
                  "The query parameter '$skiptoken' was not made by this server. Follow nextLink as it is.",
                  "$skiptoken");
    }
    page.after = as_text(*decoded).substr(kTokenMark.size());
  }
  return page;
}

std::string skip_token(std::string_view after) {
  return to_base64url(as_bytes(std::string(kTokenMark) + std::string(after)));
}

std::string next_link(const Call& call, std::string_view after) {
  std::string link = call.origin;
  for (const std::string& segment : call.request.segments) link += "/" + net::percent_encode(segment);
  link += "?";
  for (const auto& [name, value] : call.request.query.items) {
    if (ascii_iequal(name, "$skiptoken")) continue;
    link += net::percent_encode(name) + "=" + net::percent_encode(value) + "&";
  }
  return link + "%24skiptoken=" + skip_token(after);
}

std::string list_text(const std::vector<std::string>& values, const std::string& next_link) {
  std::string text = "{\"value\":[" + join(values, ",") + "]";
  if (!next_link.empty()) text += ",\"nextLink\":" + to_text(Json(next_link));
  return text + "}";
}

Result<std::string> walk_index(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant,
                               std::string_view index, const std::string& prefix, const Page& page,
                               const Visit& visit) {
  // Our index values end in the row's key, so the value alone is a position.
  store::Range range{.prefix = prefix, .after = page.after, .after_key = {}, .limit = page.top + 1};
  TRY(check_belongs(page, prefix));
  if (!page.after.empty()) {
    range.after_key = page.after.substr(page.after.rfind('\n') + 1);
  }
  size_t taken = 0;
  for (;;) {
    const auto rows = TRY(reader.scan_index(table, tenant, index, range));
    for (const auto& [value, row] : rows) {
      if (taken == page.top) return range.after;
      if (TRY(visit({row, value}))) ++taken;
      range.after = value;
      range.after_key = row.key;
    }
    if (rows.size() < range.limit) return std::string();
  }
}

Result<std::string> walk_keys(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant,
                              const std::string& prefix, const Page& page, const Visit& visit) {
  store::Range range{.prefix = prefix, .after = page.after, .after_key = {}, .limit = page.top + 1};
  TRY(check_belongs(page, prefix));
  size_t taken = 0;
  for (;;) {
    const auto rows = TRY(reader.scan(table, tenant, range));
    for (const auto& row : rows) {
      if (taken == page.top) return range.after;
      if (TRY(visit({row, row.key}))) ++taken;
      range.after = row.key;
    }
    if (rows.size() < range.limit) return std::string();
  }
}

}  // namespace merlon::resource
