// How many wait at once for machines to answer. The desk's workers do that, for up to half a minute each, and
// they also look at everybody's keys: somebody with a machine that answers nothing must not hold them all.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/result.h"

namespace merlon::ssh_edge {

// Thread-safe. Must outlive its places.
class ReachLimit {
 public:
  // Three quarters of the desk's workers (ssh::EdgeLimits::workers).
  static constexpr size_t kAllMax = 12;
  static constexpr size_t kOfOneMax = 4;  // of one person, and to one machine

  class Place {
   public:
    Place(ReachLimit& limit, std::string person, std::string machine)
        : limit_(&limit), person_(std::move(person)), machine_(std::move(machine)) {}
    Place(Place&& other) noexcept;
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    ReachLimit* limit_;
    std::string person_, machine_;
  };
  // Held while somebody waits. ErrorKind::throttled, TooManyWaiting, where as many wait.
  Result<Place> take(const std::string& person, const std::string& machine);

 private:
  void give_back(const std::string& person, const std::string& machine);
  std::mutex mutex_;
  size_t all_ = 0;
  std::map<std::string, size_t> people_, machines_;
};

}  // namespace merlon::ssh_edge
