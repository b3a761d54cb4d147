// Names in the directory's index are in lower case, and in order: those with the same beginning are
// neighbours.
#include "services/ssh_edge/own_login.h"

#include "base/text.h"

namespace merlon::ssh_edge {

std::string own_login(const identity::Principal& caller) {
  if (caller.kind != identity::PrincipalKind::user) return {};
  return caller.name.substr(0, caller.name.find('@'));
}

Result<std::optional<std::string>> shares_login(
    store::Reader& reader, const TenantId& tenant, const identity::Principal& caller,
    const std::function<Result<bool>(const identity::User&)>& may_log_in) {
  store::Range range{.prefix = ascii_lower(own_login(caller)) + "@", .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan_index(identity::User::table(), tenant, "name", range));
    for (const store::IndexedRow& row : rows) {
      const auto user = TRY(store::decode<identity::User>(row.row));
      if (user.id != caller.object_id && TRY(may_log_in(user)))
        return std::optional(user.user_principal_name);
    }
    if (rows.size() < range.limit) return std::optional<std::string>();
    range.after = rows.back().value;
    range.after_key = rows.back().row.key;
  }
}

}  // namespace merlon::ssh_edge
