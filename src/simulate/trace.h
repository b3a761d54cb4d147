// What happened in a history, line by line, and a hash of it all: two runs of one seed are the same when
// their hashes are. No key, token or time of this machine is ever in a line.
#pragma once

#include <deque>
#include <ostream>
#include <string>

namespace merlon::simulate {

class Trace {
 public:
  explicit Trace(std::ostream* out = nullptr) : out_(out) {}  // prints each line there

  void line(const std::string& text) {
    for (const char c : text + "\n")
      hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;  // FNV-1a
    if (out_ != nullptr) *out_ << text << "\n";
    last_.push_back(text);
    if (last_.size() > kKept) last_.pop_front();
  }
  uint64_t hash() const { return hash_; }
  const std::deque<std::string>& last() const { return last_; }

 private:
  static constexpr size_t kKept = 40;
  std::ostream* out_;
  uint64_t hash_ = 0xcbf29ce484222325U;
  std::deque<std::string> last_;
};

}  // namespace merlon::simulate
