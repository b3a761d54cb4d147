// A secret that was read, sent or parsed lies in buffers of many owners: strings, JSON, connections. Each of
// them gives its memory back by operator delete, so that is where it is wiped.
#include "crypto/freed_memory.h"

#include <malloc.h>

#include <cstdlib>
#include <new>

#include "base/wipe.h"
#include "crypto/openssl_memory.h"

// jemalloc's free(3) for who knows the size, which it else has to look up (its manual, sdallocx). Weak: in a
// build with sanitizers the allocator is theirs.
extern "C" void sdallocx(void* memory, size_t size, int flags) noexcept __attribute__((weak));

namespace {

void* take_if_there(std::size_t size) noexcept {
  // tidy: allow(banned-call) because this is the allocator
  return std::malloc(size == 0 ? 1 : size);
}
void* take(std::size_t size) {
  for (;;) {
    if (void* memory = take_if_there(size)) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}
void* take_aligned(std::size_t size, std::align_val_t alignment) {
  void* memory = nullptr;
  if (::posix_memalign(&memory, static_cast<std::size_t>(alignment), size == 0 ? 1 : size) == 0)
    return memory;
  throw std::bad_alloc();
}
// The owner of `size` bytes wrote no others.
void give_back(void* memory, std::size_t size) noexcept {
  if (memory == nullptr) return;
  merlon::wipe(memory, size);
  if (sdallocx != nullptr) {
    sdallocx(memory, size == 0 ? 1 : size, 0);
  } else {
    std::free(memory);
  }
}
void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  merlon::wipe(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

// All forms that the library replaces by these (C++23, [new.delete]): the others call them.
void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void* operator new(std::size_t size, std::align_val_t alignment) { return take_aligned(size, alignment); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return take_aligned(size, alignment); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take_if_there(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take_if_there(size); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t size) noexcept { give_back(memory, size); }
void operator delete[](void* memory, std::size_t size) noexcept { give_back(memory, size); }
void operator delete(void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { give_back(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory); }

namespace merlon::crypto {

bool wipe_what_is_freed() { return wipe_what_openssl_frees(); }

}  // namespace merlon::crypto
