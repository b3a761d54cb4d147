// The answer to a person who may do something, but only for some minutes after they have proven themselves
// with a second factor: an error, and the claims challenge that tells clients to sign them in anew
// (learn.microsoft.com/entra/identity-platform/claims-challenge).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace merlon::identity {

// 401 StepUpRequired. `what` may be done `age_max` after a sign-in: "'action' at 'scope'"; `target`: what
// demands it. Its detail MaxAgeMinutes says how fresh.
Error step_up_error(std::string_view what, Duration age_max, std::string target);
bool is_step_up(const Error& error);
// The WWW-Authenticate header that goes with that error; nothing for any other error.
std::optional<std::string> step_up_challenge(const Error& error, Timestamp now,
                                             std::string_view authorization_uri);

}  // namespace merlon::identity
