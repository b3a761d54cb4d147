// The login that is somebody's own: what stands before the @ of their name (decision 0034). Two domains may
// have the same there.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "identity/directory.h"
#include "identity/principal.h"

namespace merlon::ssh_edge {

std::string own_login(const identity::Principal& caller);

// Another person whose own login that is too, of those for whom `may_log_in` says yes: one account cannot be
// for two. An application's name is anything that somebody has called it, so it takes no person's login.
Result<std::optional<std::string>> shares_login(
    store::Reader& reader, const TenantId& tenant, const identity::Principal& caller,
    const std::function<Result<bool>(const identity::User&)>& may_log_in);

}  // namespace merlon::ssh_edge
