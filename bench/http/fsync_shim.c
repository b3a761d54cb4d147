// Counts fsync(2) and fdatasync(2) of the process that preloads it, and makes each take longer by
// BENCH_FSYNC_DELAY_US: what a disk that really waits for its medium looks like. The count is the first eight
// bytes of the file BENCH_FSYNC_COUNT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t* count;
static long delay_us;

__attribute__((constructor)) static void open_count(void) {
  const char *path = getenv("BENCH_FSYNC_COUNT"), *delay = getenv("BENCH_FSYNC_DELAY_US");
  if (delay) delay_us = atol(delay);
  const int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0) return;
  void* map = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) count = map;
}

static void note(void) {
  if (count) atomic_fetch_add(count, 1);
  if (delay_us) nanosleep(&(struct timespec){delay_us / 1000000, delay_us % 1000000 * 1000}, NULL);
}

int fsync(int fd) {
  note();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
  note();
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
