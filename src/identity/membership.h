// The relations of the directory as rows: who is in which group, who holds which directory role, which
// identifier URI names which application. Keys are "owner/member", so a prefix range lists an owner's members
// and the index "member" finds the owners.
#pragma once

#include "base/text.h"
#include "store/change_log.h"

namespace merlon::identity {

const store::TableSpec& membership_table();      // key "group/member"
const store::TableSpec& directory_role_table();  // key "role/principal"
const store::TableSpec& owner_table();           // key "object/owner"
const store::TableSpec& identifier_table();      // key: the URI in lower case; body {"applicationId"}
const store::TableSpec& signing_key_table();     // issuer.cpp's; key: kid
const store::TableSpec& well_known_table();      // bootstrap.cpp's; key: a name of ours

// What access is decided on: group memberships, noted here as "member/{id}", and what the access room adds.
// Every write that changes such a thing notes it, or decisions would be made on what was.
const store::ChangeLog& decision_changes();

store::Row relation_row(const Uuid& owner, const Uuid& member);
// All rows that hold `member`, as owners, in the relation `table`.
Result<std::vector<Uuid>> relation_owners(store::Reader& reader, const store::TableSpec& table,
                                          const TenantId& tenant, const Uuid& member);
Result<std::vector<Uuid>> relation_members(store::Reader& reader, const store::TableSpec& table,
                                           const TenantId& tenant, const Uuid& owner);

// Every pair of group and direct member.
Result<std::vector<std::pair<Uuid, Uuid>>> all_memberships(store::Reader& reader, const TenantId& tenant);

}  // namespace merlon::identity
