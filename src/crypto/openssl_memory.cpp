// malloc's memory, wiped by the size that malloc gave it.
#include "crypto/openssl_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace merlon::crypto {
namespace {

void* take(size_t size, const char* /*file*/, int /*line*/) {
  // tidy: allow(banned-call) because this is the allocator
  return std::malloc(size);
}

void give_back(void* memory, const char* /*file*/, int /*line*/) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
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

}  // namespace

bool wipe_what_openssl_frees() { return CRYPTO_set_mem_functions(take, change, give_back) == 1; }

}  // namespace merlon::crypto
