// See known_documents.h.
#include "resource/known_documents.h"

namespace merlon::resource {
namespace {

constexpr size_t kTextBytesMax = 64 * 1024;
constexpr size_t kAllBytesMax = 8 * 1024 * 1024;

}  // namespace

KnownDocuments::Text KnownDocuments::find(uint64_t mark, const TenantId& tenant, const std::string& key) {
  const std::lock_guard lock(mutex_);
  if (mark_ != mark || tenant_ != tenant) return nullptr;
  const auto found = texts_.find(key);
  return found == texts_.end() ? nullptr : found->second;
}

void KnownDocuments::keep(uint64_t mark, const TenantId& tenant, const std::string& key, const Text& text) {
  const size_t bytes = key.size() + text->size();
  if (bytes > kTextBytesMax) return;
  std::unordered_map<std::string, Text> gone;  // after the lock
  const std::lock_guard lock(mutex_);
  if (mark_ != mark || tenant_ != tenant || bytes_ + bytes > kAllBytesMax) {
    gone.swap(texts_);
    bytes_ = 0;
    mark_ = mark;
    tenant_ = tenant;
  }
  if (texts_.emplace(key, text).second) bytes_ += bytes;
}

Result<KnownDocuments::Text> KnownDocuments::text(store::Reader& reader, const TenantId& tenant,
                                                  const std::string& key) {
  const auto mark = reader.state_mark({&table_.name, 1});
  if (mark) {
    if (auto known = find(*mark, tenant, key)) return known;
  }
  auto row = TRY(reader.get(table_, tenant, key));
  if (!row) return Text();
  auto text = std::make_shared<const std::string>(std::move(row->body));
  if (mark) keep(*mark, tenant, key, text);
  return Text(std::move(text));
}

}  // namespace merlon::resource
