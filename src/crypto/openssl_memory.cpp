// malloc's memory, wiped by the size that malloc gave it.
#include "crypto/openssl_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/wipe.h"

namespace merlon::crypto {
namespace {

void* take(size_t size, const char* /*file*/, int /*line*/) {
  // tidy: allow(banned-call) because this is the allocator
  return std::malloc(size);
}

void give_back(void* memory, const char* /*file*/, int /*line*/) {
  if (memory == nullptr) return;
  wipe(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

// realloc(3) leaves behind what it copied.
void* change(void* memory, size_t size, const char* file, int line) {
  if (memory == nullptr) return take(size, file, line);
  const size_t had = ::malloc_usable_size(memory);
  if (size != 0 && size <= had && size >= had / 2) return memory;
  void* moved = size == 0 ? nullptr : take(size, file, line);
  if (size != 0 && moved == nullptr) return nullptr;
  if (moved != nullptr) std::memcpy(moved, memory, std::min(had, size));
  give_back(memory, file, line);
  return moved;
}

// libssh uses OpenSSL in a constructor of its own, before main: then it is too late. What stands in
// .preinit_array runs before every library's constructors (System V gABI, "Initialization and Termination
// Functions"), and therefore before sanitizers are ready for it.
bool set_before_others = false;

[[gnu::no_sanitize_address]] void set_before_constructors() {
  set_before_others = CRYPTO_set_mem_functions(take, change, give_back) == 1;
}

[[gnu::section(".preinit_array"),
  gnu::used]] void (*const run_before_constructors)() = set_before_constructors;

}  // namespace

bool wipe_what_openssl_frees() {
  return set_before_others || CRYPTO_set_mem_functions(take, change, give_back) == 1;
}

}  // namespace merlon::crypto
