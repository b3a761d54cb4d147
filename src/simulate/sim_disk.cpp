// Pages, sectors, space.
#include "simulate/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace merlon::simulate {
namespace {

constexpr size_t kReserve = 8 * 1024 * 1024;  // as state_directory.cpp has it
constexpr std::string_view kFiles[] = {"merlon.db", "merlon.db-wal"};

size_t pages_of(size_t bytes) { return (bytes + SimFile::kPage - 1) / SimFile::kPage; }

}  // namespace

void SimFile::read(size_t offset, uint8_t* out, size_t count) const {
  while (count > 0) {
    const size_t within = offset % kPage;
    const size_t piece = std::min(count, kPage - within);
    const auto* page = offset / kPage < pages_.size() ? pages_[offset / kPage].get() : nullptr;
    if (page == nullptr) {
      std::memset(out, 0, piece);
    } else {
      std::memcpy(out, page->data() + within, piece);
    }
    offset += piece;
    out += piece;
    count -= piece;
  }
}

SimFile::Page& SimFile::page_to_write(size_t number) {
  if (number >= pages_.size()) pages_.resize(number + 1);
  auto& page = pages_[number];
  before_.try_emplace(number, page);
  if (!page) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void SimFile::write(size_t offset, const uint8_t* data, size_t count) {
  size_ = std::max(size_, offset + count);
  while (count > 0) {
    const size_t within = offset % kPage;
    const size_t piece = std::min(count, kPage - within);
    std::memcpy(page_to_write(offset / kPage).data() + within, data, piece);
    offset += piece;
    data += piece;
    count -= piece;
  }
}

void SimFile::truncate(size_t size) {
  size_ = size;
  for (size_t number = pages_of(size); number < pages_.size(); ++number) {
    before_.try_emplace(number, pages_[number]);
    pages_[number].reset();
  }
  if (size % kPage != 0 && size / kPage < pages_.size() && pages_[size / kPage]) {
    Page& last = page_to_write(size / kPage);
    std::fill(last.begin() + static_cast<std::ptrdiff_t>(size % kPage), last.end(), uint8_t{0});
  }
}

void SimFile::sync() {
  before_.clear();
  synced_size_ = size_;
}

SimFile SimFile::after_power_loss(SeededRandom& random) const {
  SimFile found = *this;
  found.size_ = size_ == synced_size_ || random.chance(500) ? size_ : synced_size_;
  const size_t least = std::min(size_, synced_size_), most = std::max(size_, synced_size_);
  if (most > least && random.chance(500)) found.size_ = least + random.below(most - least + 1);
  // Everything, nothing, or some of it came to the disk before the power went.
  const unsigned kept_in_thousand = random.chance(300) ? 0 : random.chance(300) ? 1000 : 500;
  for (const auto& [number, old] : before_) {
    const auto& now = pages_[number];
    auto mixed = std::make_shared<Page>();
    for (size_t at = 0; at < kPage; at += kSector) {
      const auto& source = random.chance(kept_in_thousand) ? now : old;
      if (source) std::memcpy(mixed->data() + at, source->data() + at, kSector);
    }
    found.pages_[number] = std::move(mixed);
  }
  found.truncate(found.size_);
  found.sync();
  return found;
}

SimFile* SimDisk::find(const std::string& name) {
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : &found->second;
}

std::shared_ptr<SimDisk> SimDisk::after_kill() const {
  auto next = std::make_shared<SimDisk>();
  next->files_ = files_;
  next->faults_.full = faults_.full;
  next->has_reserve_ = has_reserve_;
  next->left_when_full_ = left_when_full_;
  return next;
}

std::shared_ptr<SimDisk> SimDisk::after_power_loss(SeededRandom& random) const {
  auto next = after_kill();
  for (auto& [name, file] : next->files_) file = file.after_power_loss(random);
  return next;
}

bool SimDisk::fails() {
  const bool now = faults_.broken || faults_.fail_in == 1;
  if (faults_.fail_in > 0) --faults_.fail_in;
  faults_.failed += now ? 1 : 0;
  return now;
}

bool SimDisk::take_room(size_t more) {
  if (!faults_.full) return true;
  if (more > left_when_full_) return false;
  left_when_full_ -= more;
  return true;
}

bool SimDisk::take_room_for_log(size_t bytes) {
  const SimFile* log = find("merlon.db-wal");
  const size_t taken = std::max(log_room_, log == nullptr ? 0 : log->size());
  if (bytes > taken && !take_room(bytes - taken)) return false;
  log_room_ = std::max(taken, bytes);
  return true;
}

bool SimDisk::release_reserve() {
  if (!std::exchange(has_reserve_, false)) return false;
  left_when_full_ += kReserve;
  return true;
}

bool SimDisk::restore_reserve() {
  if (has_reserve_) return true;
  if (faults_.full) return false;
  left_when_full_ = 0;
  return has_reserve_ = true;
}

Result<void> SimDisk::load(const std::string& directory) {
  for (const std::string_view name : kFiles) {
    files_.erase(std::string(name));
    std::ifstream stream(directory + "/" + std::string(name), std::ios::binary);
    if (!stream) continue;
    const std::string content{std::istreambuf_iterator<char>(stream), {}};
    SimFile& file = make(std::string(name));
    file.write(0, reinterpret_cast<const uint8_t*>(content.data()), content.size());
    file.sync();
  }
  return {};
}

Result<void> SimDisk::save(const std::string& directory) const {
  for (const std::string_view name : kFiles) {
    const std::string path = directory + "/" + std::string(name);
    std::filesystem::remove(path);
    const auto file = files_.find(std::string(name));
    if (file == files_.end()) continue;
    std::vector<uint8_t> content(file->second.size());
    file->second.read(0, content.data(), content.size());
    std::ofstream stream(path, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    if (!stream.flush()) return internal_error("the simulated disk could not be written to " + path);
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  std::filesystem::remove(directory + "/merlon.db-shm");
  return {};
}

}  // namespace merlon::simulate
