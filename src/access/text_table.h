// What the index finds by text: open addressing, so that where a lookup begins is known from the hash alone
// and its memory can be asked for before it is needed. A decision looks for a handful of texts; waiting for
// one after the other would be most of what it costs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace merlon::access {

// Values stay where they are until they are erased. Not thread-safe.
template <class T>
class TextTable {
 public:
  using Hash = uint64_t;
  static Hash hash(std::string_view text) { return std::hash<std::string_view>()(text); }

  TextTable() : slots_(kLeast) {}

  void prefetch(Hash hash) const { __builtin_prefetch(&slots_[home(hash)]); }
  // To be called some time after prefetch(): asks for what find() will read behind the slot.
  void prefetch_behind(Hash hash) const {
    if (const size_t at = home(hash); slots_[at].entry && slots_[at].hash == hash)
      __builtin_prefetch(slots_[at].entry.get());
  }

  const T* find(std::string_view text) const { return find(hash(text), text); }
  const T* find(Hash hash, std::string_view text) const {
    const size_t at = slot_of(hash, text);
    return slots_[at].entry ? &slots_[at].entry->value : nullptr;
  }
  T* find(std::string_view text) { return const_cast<T*>(std::as_const(*this).find(text)); }

  // The value, and whether it was made.
  std::pair<T&, bool> try_emplace(std::string_view text) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    const Hash hash = TextTable::hash(text);
    Slot& slot = slots_[slot_of(hash, text)];
    if (slot.entry) return {slot.entry->value, false};
    slot = {hash, std::make_unique<Entry>(Entry{std::string(text), T{}})};
    ++size_;
    return {slot.entry->value, true};
  }

  void erase(std::string_view text) {
    size_t hole = slot_of(hash(text), text);
    if (!slots_[hole].entry) return;
    slots_[hole] = {};
    --size_;
    // Whatever was put further on since its own place was taken moves up (Knuth, TAOCP 6.4, algorithm R).
    for (size_t at = next(hole); slots_[at].entry; at = next(at)) {
      const size_t wanted = home(slots_[at].hash);
      const bool is_between = hole <= at ? hole < wanted && wanted <= at : hole < wanted || wanted <= at;
      if (is_between) continue;
      slots_[hole] = std::exchange(slots_[at], {});
      hole = at;
    }
  }

  void clear() {
    slots_ = std::vector<Slot>(kLeast);
    size_ = 0;
  }
  size_t size() const { return size_; }

  template <class Work>
  void for_each(const Work& work) {
    for (Slot& slot : slots_)
      if (slot.entry) work(slot.entry->value);
  }

 private:
  static constexpr size_t kLeast = 16;  // a power of two, as every size of the table
  struct Entry {
    std::string key;
    T value;
  };
  struct Slot {
    Hash hash = 0;
    std::unique_ptr<Entry> entry{};
  };

  size_t home(Hash hash) const { return (hash ^ (hash >> 32)) & (slots_.size() - 1); }
  size_t next(size_t at) const { return (at + 1) & (slots_.size() - 1); }
  // Where the text is, or would be put. At most half of the slots are taken, so there is an end.
  size_t slot_of(Hash hash, std::string_view text) const {
    size_t at = home(hash);
    while (slots_[at].entry && (slots_[at].hash != hash || slots_[at].entry->key != text)) at = next(at);
    return at;
  }
  void grow() {
    std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
    for (Slot& slot : before)
      if (slot.entry) {
        size_t at = home(slot.hash);
        while (slots_[at].entry) at = next(at);
        slots_[at] = std::move(slot);
      }
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace merlon::access
