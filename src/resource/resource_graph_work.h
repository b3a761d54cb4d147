// What one query may cost: whoever has signed in may ask one, with or without any right, and an operator may
// multiply what the one before it has made.
#pragma once

#include <cstddef>

namespace merlon::resource {

class GraphWork {
 public:
  // Of everything that a query makes on its way, and of the values that it looks at.
  static constexpr size_t kBytesMax = 128 * 1024 * 1024;
  static constexpr size_t kStepsMax = 20'000'000;
  // Of one text, as Kusto's strings have it.
  static constexpr size_t kTextBytesMax = 1024 * 1024;

  // False when there is not that much left; from then on it stays so.
  bool take_bytes(size_t bytes) { return take(bytes_left_, bytes) && take_steps(1 + bytes / 64); }
  bool take_steps(size_t steps) { return take(steps_left_, steps); }
  // A query that was too much gives no answer at all.
  bool is_spent() const { return spent_; }
  void spend() { spent_ = true; }

 private:
  bool take(size_t& left, size_t wanted) {
    if (spent_ || wanted > left) {
      spent_ = true;
      return false;
    }
    left -= wanted;
    return true;
  }
  size_t bytes_left_ = kBytesMax, steps_left_ = kStepsMax;
  bool spent_ = false;
};

}  // namespace merlon::resource
