// The mark of the server's time as it is in a snapshot: what another server has granted or ended is never
// seen there before the time at which it did so. For whoever tells that time to others with what is in the
// snapshot.
#pragma once

#include "store/store.h"

namespace merlon::grant {

// The highest server time that was ever acted on, by any server; 1970 when none was. See Grants::now().
Result<Timestamp> stored_mark(store::Reader& reader, const TenantId& tenant);

}  // namespace merlon::grant
