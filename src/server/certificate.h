// The server's own TLS certificate: from the private authority, for every name and address it serves. Its key
// lives in memory alone: each start, and each renewal at half-life, makes a new one.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "net/server.h"
#include "server/settings.h"

namespace merlon::server {

// Exact names and wildcards of the planes (architecture.md, Names).
std::vector<std::string> served_names(const std::string& domain);
std::string agents_name(const std::string& domain);

Result<net::TlsIdentity> issue_server_identity(const Settings& settings,
                                               const std::vector<std::string>& listen, const Clock& clock,
                                               Random& random);

}  // namespace merlon::server
