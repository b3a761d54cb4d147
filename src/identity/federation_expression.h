// Claims matching expressions of federated credentials, as Azure's flexible federated identity credentials
// have them
// (learn.microsoft.com/entra/workload-id/workload-identities-flexible-federated-identity-credentials,
// language version 1):
//
//   claims['sub'] matches 'repo:shop/*:ref:refs/heads/main' and claims['job_workflow_ref'] eq 'shop/…'
//
// `eq` compares to the last character; in `matches`, * stands for any characters, also none, and ? for one.
// All conditions must hold, letters have case, and only claims that are texts can fit. What is not understood
// is refused when the expression is written, so that nothing is left to guess when a token comes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace merlon::identity {

struct ClaimCondition {
  std::string claim;
  bool wildcards = false;  // `matches`
  std::string value;
};

class ClaimsExpression {
 public:
  static constexpr int64_t kLanguageVersion = 1;

  // Errors are `invalid`, and say where the text is not understood.
  static Result<ClaimsExpression> parse(std::string_view text);
  bool admits(const JsonObject& claims) const;
  const std::vector<ClaimCondition>& conditions() const { return conditions_; }

 private:
  std::vector<ClaimCondition> conditions_;
};

// Takes no more than the product of the two lengths; texts longer than 2048 bytes fit no pattern.
bool fits_pattern(std::string_view text, std::string_view pattern);

// How an expression admits more than its writer is likely to mean. A warning and not an error, since only the
// writer knows: it is told where the credential is made and wherever it is shown.
struct ExpressionWarning {
  std::string code;     // for programs
  std::string message;  // for people
  std::string example;  // a subject of somebody else that is admitted; may be empty
};
std::vector<ExpressionWarning> warnings_of(const ClaimsExpression& expression);

struct FederatedCredential;
// As the API shows them: [{"code", "message"}].
JsonArray expression_warnings(const FederatedCredential& credential);

}  // namespace merlon::identity
