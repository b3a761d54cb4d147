// The tables of the whole product, and whether a store holds a whole state of it.
#pragma once

#include "store/server_store.h"

namespace merlon::server {

store::Schema state_schema();

// A backup that is being restored leaves a mark until all of it is there and in force. A server does not
// start on half a state.
Result<void> mark_restore(store::Transaction& tx, const Uuid& backup);
Result<void> clear_restore_mark(store::Transaction& tx);
Result<void> refuse_unfinished_restore(store::Store& store);
// As above, and the server has had its first start.
Result<void> require_complete_state(store::Store& store);

}  // namespace merlon::server
