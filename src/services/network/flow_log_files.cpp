// A record is one line and one write, over the end of the list that it continues.
#include "services/network/flow_log_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"

namespace merlon::network {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWaitingBytesMax = 16 * 1024 * 1024;
constexpr off_t kFileBytesMax = off_t{256} * 1024 * 1024;
constexpr uintmax_t kDiskLeftBytes = uintmax_t{512} * 1024 * 1024;
constexpr size_t kReadBytesMax = 64 * 1024 * 1024;
constexpr int kReadHoursMax = 24 * 31;
constexpr std::string_view kHead = "{\"records\":[";
constexpr std::string_view kTail = "\n]}";

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> failed(const std::string& path) {
  return internal_error("flow log file " + path + ": " + std::strerror(errno));
}

Result<std::string> read_at(const File& file, const std::string& path, off_t from, size_t size) {
  std::string text(size, '\0');
  const ssize_t got = ::pread(file.fd(), text.data(), size, from);
  if (got < 0) return failed(path);
  text.resize(static_cast<size_t>(got));
  return text;
}

// Where the next record goes. After a crash the last write may be there in part: what is left of it goes.
Result<off_t> end_of_records(const File& file, const std::string& path, off_t size) {
  const auto tail = static_cast<off_t>(kTail.size());
  if (size >= tail && TRY(read_at(file, path, size - tail, kTail.size())) == kTail) return size - tail;
  off_t end = size;
  while (end > 0) {
    const off_t from = std::max<off_t>(0, end - 65'536);
    const std::string part = TRY(read_at(file, path, from, static_cast<size_t>(end - from)));
    const size_t line = part.rfind('\n');
    if (line != std::string::npos) return from + static_cast<off_t>(line);
    end = from;
  }
  return 0;
}

Result<void> append(const std::string& path, const std::string& record) {
  const File file(path);
  struct stat facts{};
  if (file.fd() < 0 || ::fstat(file.fd(), &facts) != 0) return failed(path);
  if (facts.st_size > kFileBytesMax)
    return fail(ErrorKind::conflict, "FlowLogFull", path + " holds an hour's most already.");
  const off_t at = TRY(end_of_records(file, path, facts.st_size));
  std::string text;
  if (at == 0) {
    text = std::string(kHead) + "\n";
  } else {
    const std::string last = TRY(read_at(file, path, at - 1, 1));
    text = last == "[" || last == "," ? "\n" : ",\n";
  }
  text += record + std::string(kTail);
  if (facts.st_size > at && ::ftruncate(file.fd(), at) != 0) return failed(path);
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t done =
        ::pwrite(file.fd(), text.data() + written, text.size() - written, at + static_cast<off_t>(written));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return failed(path);
    written += static_cast<size_t>(done);
  }
  return {};
}

// The number of "y=2026", "m=11".
std::optional<int> numbered(const std::string& name, char letter) {
  if (name.size() < 3 || name[0] != letter || name[1] != '=') return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(name.data() + 2, name.data() + name.size(), value);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return value;
}

// The directories in one, with their numbers.
std::vector<std::pair<int, fs::path>> numbered_in(const fs::path& directory, char letter) {
  std::vector<std::pair<int, fs::path>> found;
  std::error_code error;
  for (auto it = fs::directory_iterator(directory, error); !error && it != fs::directory_iterator();
       it.increment(error))
    if (const auto number = numbered(it->path().filename().string(), letter))
      found.emplace_back(*number, it->path());
  return found;
}

std::optional<JsonObject> record_of(std::string_view line) {
  while (!line.empty() && (line.back() == ',' || line.back() == '\r')) line.remove_suffix(1);
  if (!line.starts_with('{') || line == kHead) return std::nullopt;
  auto json = parse_json_object(line, {.bytes_max = kReadBytesMax});
  return json ? std::optional(*std::move(json)) : std::nullopt;
}

}  // namespace

std::string hour_path(Timestamp time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto hour = std::chrono::floor<std::chrono::hours>(time - day);
  return fmt::format("y={:04}/m={:02}/d={:02}/h={:02}/m=00", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), hour.count());
}

std::string mac_path(std::string_view mac) {
  std::string digits;
  for (const char c : mac) {
    const char lower = ascii_lower(c);
    if (c >= '0' && c <= '9') digits += c;
    if (lower >= 'a' && lower <= 'f') digits += static_cast<char>(lower - 'a' + 'A');
  }
  return digits.size() == 12 ? digits : std::string(12, '0');
}

void FlowLogFiles::add(const std::string& folder, const std::string& mac, Timestamp time,
                       std::string record) {
  if (directory_.empty()) return;
  const std::lock_guard lock(mutex_);
  if (waiting_bytes_ + record.size() > kWaitingBytesMax) {
    ++dropped_;
    return;
  }
  waiting_bytes_ += record.size();
  waiting_.push_back(
      {folder + "/" + hour_path(time) + "/macAddress=" + mac_path(mac) + "/PT1H.json", std::move(record)});
}

bool FlowLogFiles::has_room() {
  std::error_code error;
  const fs::space_info space = fs::space(directory_, error);
  const bool room = !error && space.available > kDiskLeftBytes;
  if (!room && !std::exchange(full_told_, true))
    log(LogLevel::error, "flow logs are not written: the disk has less than 512 MB left",
        {{"directory", directory_}});
  if (room) full_told_ = false;
  return room;
}

void FlowLogFiles::flush() {
  std::vector<Waiting> waiting;
  size_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return;
    waiting.swap(waiting_);
    waiting_bytes_ = 0;
    dropped = std::exchange(dropped_, 0);
  }
  if (dropped > 0)
    log(LogLevel::warning, "flow records were dropped: more came than could be written",
        {{"records", static_cast<int64_t>(dropped)}});
  std::error_code error;
  fs::create_directories(directory_, error);
  fs::permissions(directory_, fs::perms::owner_all, error);
  if (!has_room()) return;
  for (const Waiting& each : waiting) {
    const fs::path path = fs::path(directory_) / each.path;
    fs::create_directories(path.parent_path(), error);
    if (const auto done = append(path.string(), each.record); !done)
      log_error("a flow log could not be written", done.error());
  }
}

Result<void> FlowLogFiles::read(const std::string& folder, Timestamp since, Timestamp now,
                                const std::function<bool(Record)>& visit) const {
  if (directory_.empty()) return {};
  size_t bytes = 0;
  auto hour = std::chrono::floor<std::chrono::hours>(now);
  for (int i = 0; i < kReadHoursMax && hour + std::chrono::hours(1) > since;
       ++i, hour -= std::chrono::hours(1)) {
    const fs::path place = fs::path(directory_) / folder / hour_path(hour);
    std::vector<fs::path> interfaces;
    std::error_code error;
    for (auto it = fs::directory_iterator(place, error); !error && it != fs::directory_iterator();
         it.increment(error))
      interfaces.push_back(it->path());
    std::sort(interfaces.begin(), interfaces.end());
    for (const fs::path& interface : interfaces) {
      const std::string mac = interface.filename().string();
      std::ifstream file(interface / "PT1H.json", std::ios::binary);
      for (std::string line; std::getline(file, line);) {
        bytes += line.size();
        if (bytes > kReadBytesMax)
          return fail(ErrorKind::invalid, "TooManyFlows",
                      "There is more in this flow log than one answer can look at. Ask from a later time on.",
                      "since");
        auto json = record_of(line);  // the last line may be half written
        if (!json) continue;
        const auto time = from_rfc3339(string_at(*json, "time").value_or(""));
        if (!time || *time <= since) continue;
        if (!visit({mac.substr(mac.find('=') + 1), *std::move(json)})) return {};
      }
    }
  }
  return {};
}

size_t FlowLogFiles::remove_before(const std::string& folder, Timestamp oldest) const {
  if (directory_.empty()) return 0;
  const std::chrono::year_month_day limit(std::chrono::floor<std::chrono::days>(oldest));
  size_t removed = 0;
  std::error_code error;
  for (const auto& [year, in_year] : numbered_in(fs::path(directory_) / folder, 'y')) {
    for (const auto& [month, in_month] : numbered_in(in_year, 'm')) {
      for (const auto& [day, in_day] : numbered_in(in_month, 'd')) {
        const std::chrono::year_month_day date{std::chrono::year(year),
                                               std::chrono::month(static_cast<unsigned>(month)),
                                               std::chrono::day(static_cast<unsigned>(day))};
        if (!date.ok() || date >= limit) continue;
        fs::remove_all(in_day, error);
        if (!error) ++removed;
      }
      fs::remove(in_month, error);  // only when it is empty
    }
    fs::remove(in_year, error);
  }
  return removed;
}

}  // namespace merlon::network
