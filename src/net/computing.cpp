// See computing.h.
#include "net/computing.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

namespace merlon::net {

Computing::Computing(size_t queue_max, unsigned threads)
    : pool_("net-compute", threads != 0 ? threads : std::max(1U, std::thread::hardware_concurrency()),
            queue_max) {}

bool Computing::submit(const LateAnswer& answer, std::function<void()> work) {
  return pool_.submit([answer, work = std::move(work)] {
    try {
      work();
    } catch (...) {
      // Thrown again where answers are made: whoever asked is told there.
      answer([fault = std::current_exception()]() -> Response { std::rethrow_exception(fault); });
    }
  });
}

}  // namespace merlon::net
