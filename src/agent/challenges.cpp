// Challenge files.
#include "agent/challenges.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/bytes.h"
#include "store/state_directory.h"

namespace merlon::agent {
namespace {

constexpr Duration kGoodFor{60'000};
constexpr size_t kOpenMax = 64;       // of one caller: more take the oldest away
constexpr size_t kAllOpenMax = 1024;  // of all: more take away one of whoever has most
constexpr size_t kNameBytes = 18;
constexpr size_t kContentBytes = 32;
constexpr std::string_view kSuffix = ".key";
constexpr mode_t kDirectoryMode = 02711;  // files take its group; nobody else can list them

std::unexpected<Error> failed(const std::string& what, const std::string& path) {
  return fail(ErrorKind::unavailable, "ChallengeFiles",
              "The challenge files of managed identities cannot be kept: " + what + " " + path + ": " +
                  std::strerror(errno));
}

gid_t group_of_readers() {
  std::array<char, 16 * 1024> buffer{};
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(kChallengeGroup, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.gr_gid;
  return 0;
}

}  // namespace

Result<void> prepare_challenge_directory(const std::string& path, unsigned owner) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  // Whatever this process's umask is: who may read the files must be able to come to them.
  if (std::filesystem::create_directories(parent, error) && !error)
    std::filesystem::permissions(parent, std::filesystem::perms(0755), error);
  if (!error) std::filesystem::create_directory(path, error);
  if (error) {
    errno = error.value();
    return failed("making", path);
  }
  const store::FileDescriptor directory(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat facts{};
  if (directory.get() < 0 || ::fstat(directory.get(), &facts) != 0) return failed("opening", path);
  if (facts.st_uid != 0 && facts.st_uid != owner)
    return fail(ErrorKind::conflict, "ForeignChallengeDirectory",
                "The directory " + path + " belongs to user " + std::to_string(facts.st_uid) +
                    ", perhaps to Azure's own agent. Remove that agent, or serve no identities here.");
  const gid_t group = group_of_readers();
  if (facts.st_uid == owner && facts.st_gid == group && (facts.st_mode & 07777) == kDirectoryMode) return {};
  if (::fchown(directory.get(), owner, group) != 0) return failed("giving away", path);
  if (::fchmod(directory.get(), kDirectoryMode) != 0) return failed("setting the mode of", path);
  return {};
}

Challenges::Challenges(std::string directory, const Clock& clock, Random& random)
    : directory_(std::move(directory)), clock_(clock), random_(random) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored))
    if (entry.path().extension() == kSuffix) std::filesystem::remove(entry.path(), ignored);
}

Challenges::~Challenges() {
  for (const Challenge& challenge : open_) ::unlink(challenge.path.c_str());
}

void Challenges::forget_old() {
  const Duration now = clock_.boottime();
  while (!open_.empty() && open_.front().until <= now) {
    ::unlink(open_.front().path.c_str());
    open_.pop_front();
  }
}

void Challenges::take_oldest_of(const std::string& caller) {
  const auto oldest = std::ranges::find(open_, caller, &Challenge::caller);
  ::unlink(oldest->path.c_str());
  open_.erase(oldest);
}

std::string Challenges::who_has_most() const {
  std::map<std::string_view, size_t> counts;
  for (const Challenge& challenge : open_) ++counts[challenge.caller];
  return std::string(
      std::ranges::max_element(counts, {}, [](const auto& each) { return each.second; })->first);
}

Result<std::string> Challenges::make(const std::string& caller, bool for_all) {
  forget_old();
  if (static_cast<size_t>(std::ranges::count(open_, caller, &Challenge::caller)) >= kOpenMax)
    take_oldest_of(caller);
  else if (open_.size() >= kAllOpenMax)
    take_oldest_of(who_has_most());
  Challenge challenge{
      .caller = caller,
      .path = directory_ + "/" + to_base64url(random_.bytes(kNameBytes)) + std::string(kSuffix),
      .content = Secret(std::string_view(to_base64url(random_.bytes(kContentBytes)))),
      .until = clock_.boottime() + kGoodFor};
  const store::FileDescriptor file(
      ::open(challenge.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  const auto content = challenge.content.expose_text();
  if (file.get() < 0 ||
      ::write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
      ::fchmod(file.get(), for_all ? 0444 : 0440) != 0) {
    const auto error = failed("writing", challenge.path);
    ::unlink(challenge.path.c_str());
    return error;
  }
  open_.push_back(std::move(challenge));
  return open_.back().path;
}

bool Challenges::redeem(const std::string& caller, std::string_view content) {
  forget_old();
  const Secret shown(content);
  const auto found = std::ranges::find_if(open_, [&](const Challenge& challenge) {
    return challenge.content == shown && challenge.caller == caller;
  });
  if (found == open_.end()) return false;
  ::unlink(found->path.c_str());
  open_.erase(found);
  return true;
}

}  // namespace merlon::agent
