// See known_tokens.h.
#include "identity/known_tokens.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace merlon::identity {
namespace {

constexpr size_t kGenerationMax = 2048;

}  // namespace

KnownTokens::Name KnownTokens::name_of(std::string_view token) { return crypto::sha256(as_bytes(token)); }

size_t KnownTokens::FirstBytes::operator()(const Name& name) const {
  size_t first = 0;
  std::memcpy(&first, name.data(), sizeof(first));
  return first;
}

std::shared_ptr<const KnownToken> KnownTokens::find(const Name& name) {
  const std::lock_guard lock(mutex_);
  if (const auto found = recent_.find(name); found != recent_.end()) return found->second;
  const auto found = older_.find(name);
  return found == older_.end() ? nullptr : found->second;
}

void KnownTokens::keep(const Name& name, std::shared_ptr<const KnownToken> token) {
  const std::lock_guard lock(mutex_);
  if (recent_.size() >= kGenerationMax && !recent_.contains(name)) older_ = std::exchange(recent_, Map());
  recent_.insert_or_assign(name, std::move(token));
}

}  // namespace merlon::identity
