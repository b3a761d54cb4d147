// What the server's memory may show to others: nothing, once it is freed or written anywhere (decision 0040).
#pragma once

namespace merlon::server {

// No core file is written, a debugger's holds no memory, and processes of the same user look at nothing
// (prctl(2), PR_SET_DUMPABLE; core(5), coredump_filter). What is freed is wiped
// (crypto/freed_memory.h). Called first, before OpenSSL is used.
void keep_memory_private();

}  // namespace merlon::server
