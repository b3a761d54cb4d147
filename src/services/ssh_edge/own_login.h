// The login that is somebody's own: what stands before the @ of their name (decision 0034). Two domains may
// have the same there.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "identity/directory.h"
#include "identity/principal.h"

namespace merlon::ssh_edge {

// Empty for a program: what it is called its owners write as they like, and nobody gave it as a login.
std::string own_login(const identity::Principal& caller);

// Another person whose own login that is too, of those for whom `may_log_in` says yes: one account cannot be
// for two. `caller` is a person.
Result<std::optional<std::string>> shares_login(
    store::Reader& reader, const TenantId& tenant, const identity::Principal& caller,
    const std::function<Result<bool>(const identity::User&)>& may_log_in);

}  // namespace merlon::ssh_edge
