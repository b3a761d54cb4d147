// The first segment of an Entra path: which tenant is meant, and in which of the three dialects of the
// protocol.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "base/uuid.h"

namespace merlon::identity {

// v2: `scope`; v1: `resource`, numbers as strings; adfs: AD FS paths, takes either (Azure CLI's custom
// clouds).
enum class Dialect { v1, v2, adfs };

struct TenantPath {
  std::string tenant;  // as written; "adfs" for AD FS
  bool known = false;  // this server's tenant, or an alias of it
  bool b2c = false;    // /{tenant}/b2c_adfs/…: the form of authority that az and MSAL take as it is
  std::vector<std::string> rest;  // the segments after it, lower case
  bool is_adfs() const { return tenant == "adfs"; }
  std::string prefix() const { return "/" + tenant + (b2c ? "/b2c_adfs" : ""); }
  std::string rest_text() const { return join(rest, "/"); }
};

inline TenantPath parse_tenant_path(const std::vector<std::string>& segments, const TenantId& tenant,
                                    std::string_view domain) {
  TenantPath path;
  if (segments.empty()) return path;
  path.tenant = ascii_lower(segments.front());
  for (const std::string_view name : {std::string_view(tenant.text()), std::string_view("common"),
                                      std::string_view("organizations"), std::string_view("adfs"), domain})
    path.known = path.known || ascii_iequal(path.tenant, name);
  size_t next = 1;
  path.b2c = segments.size() > 1 && ascii_iequal(segments[1], "b2c_adfs") && !path.is_adfs();
  if (path.b2c) next = 2;
  for (; next < segments.size(); ++next) path.rest.push_back(ascii_lower(segments[next]));
  return path;
}

}  // namespace merlon::identity
