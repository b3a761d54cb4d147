// The challenge files of the identity endpoint, in the manner of Azure Arc: who asks is told of a file, and
// proves by its content that it can read it. What talks a local service into sending requests for it cannot
// read files, nor set the header that carries the content. Each file is good once, for a minute, for the
// caller that it was made for. Not thread-safe.
#pragma once

#include <deque>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::agent {

// Where Azure's clients look, and nowhere else (msal-node, SUPPORTED_AZURE_ARC_PLATFORMS).
inline constexpr const char* kChallengeDirectory = "/var/opt/azcmagent/tokens";
// Whose members may read the files when the owner has made no rules; Azure Arc's name for it.
inline constexpr const char* kChallengeGroup = "himds";

// Makes the directory for `owner`, its group the one above when there is one. As root. Refuses a directory
// that belongs to somebody else: Azure's own agent is installed.
Result<void> prepare_challenge_directory(const std::string& path, unsigned owner);

class Challenges {
 public:
  // `directory` exists and this process may write there; files of an earlier run are removed.
  Challenges(std::string directory, const Clock& clock, Random& random);
  ~Challenges();
  Challenges(const Challenges&) = delete;
  Challenges& operator=(const Challenges&) = delete;

  // A new file for this caller; its path. `for_all`: any user may read it, because the caller is known
  // otherwise.
  Result<std::string> make(const std::string& caller, bool for_all);
  // Is this the content of a file that was made for the caller? Then the file is gone.
  bool redeem(const std::string& caller, std::string_view content);

 private:
  struct Challenge {
    std::string caller, path;
    Secret content;
    Duration until{};
  };
  void forget_old();
  void take_oldest_of(const std::string& caller);  // who has one
  std::string who_has_most() const;                // when there are any
  std::string directory_;
  const Clock& clock_;
  Random& random_;
  std::deque<Challenge> open_;
};

}  // namespace merlon::agent
