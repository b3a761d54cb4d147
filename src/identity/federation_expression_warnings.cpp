// What an expression admits beyond what its writer is likely to mean: found by making up subjects of somebody
// else, in the forms that the known issuers use, and looking whether they are admitted.
//
// The forms: GitHub "repo:OWNER/NAME:…" (docs.github.com, OpenID Connect reference), GitLab
// "project_path:GROUP/PROJECT:…", Terraform "organization:NAME:project:…", Kubernetes
// "system:serviceaccount:NAMESPACE:NAME".
#include <algorithm>
#include <optional>

#include "identity/federated_credentials.h"
#include "identity/federation_expression.h"

namespace merlon::identity {
namespace {

struct SubjectForm {
  std::string_view prefix;
  char owner_end;
  std::string_view owner;  // what people call it
  // Claims of the issuer that say the same as the owner: who compares one of them has fixed it.
  std::vector<std::string_view> owner_claims;
};

const std::vector<SubjectForm>& subject_forms() {
  static const std::vector<SubjectForm> forms = {
      {"repo:",
       '/',
       "organization",
       {"repository_owner", "repository_owner_id", "repository", "repository_id"}},
      {"project_path:", '/', "group", {"namespace_path", "namespace_id", "project_path", "project_id"}},
      {"organization:",
       ':',
       "organization",
       {"terraform_organization_name", "terraform_organization_id", "terraform_workspace_id"}},
      {"system:serviceaccount:", ':', "namespace", {}}};
  return forms;
}

bool is_wildcard(char c) { return c == '*' || c == '?'; }

// A text that the pattern fits, with `any` in the place of the first *, and little in that of the others.
std::string filled_in(std::string_view pattern, std::string_view any) {
  std::string text;
  bool first = true;
  for (const char c : pattern) {
    if (c == '?') {
      text += 'x';
    } else if (c != '*') {
      text += c;
    } else {
      text += first ? any : std::string_view("x");
      first = false;
    }
  }
  return text;
}

std::string_view literal_start(std::string_view pattern) {
  return pattern.substr(0, std::ranges::find_if(pattern, is_wildcard) - pattern.begin());
}

// Where the conditions on the subject leave the owner open: nothing when one of them, or a condition on
// another claim, fixes it.
class SubjectReview {
 public:
  explicit SubjectReview(const ClaimsExpression& expression) : conditions_(expression.conditions()) {
    for (const ClaimCondition& condition : conditions_)
      if (condition.claim == "sub") subjects_.push_back(&condition);
  }

  bool has_subject() const { return !subjects_.empty(); }
  bool is_admitted(std::string_view subject) const {
    return std::ranges::all_of(subjects_, [&](const ClaimCondition* condition) {
      return condition->wildcards ? fits_pattern(subject, condition->value) : subject == condition->value;
    });
  }
  bool is_compared(std::string_view claim) const {
    return std::ranges::any_of(conditions_, [&](const ClaimCondition& condition) {
      return condition.claim == claim &&
             (!condition.wildcards || std::ranges::none_of(condition.value, is_wildcard));
    });
  }
  const std::vector<const ClaimCondition*>& subjects() const { return subjects_; }

 private:
  const std::vector<ClaimCondition>& conditions_;
  std::vector<const ClaimCondition*> subjects_;
};

const SubjectForm* form_of(std::string_view start) {
  for (const SubjectForm& form : subject_forms())
    if (start.starts_with(form.prefix)) return &form;
  return nullptr;
}

// Somebody else's subject for this one pattern, when its owner is open. The first wildcard is where the owner
// can be another's: it stands before the owner's name has ended.
std::optional<std::string> outsider_of(std::string_view pattern) {
  const std::string_view start = literal_start(pattern);
  if (start.size() == pattern.size()) return std::nullopt;
  if (const SubjectForm* form = form_of(start)) {
    const std::string_view owner = start.substr(form->prefix.size());
    if (owner.find(form->owner_end) != std::string_view::npos) return std::nullopt;
    // Whether the * takes the rest of the owner alone or more depends on what the pattern says next.
    std::string any = owner.empty() ? "attacker" : "-attacker";
    const std::string_view after = pattern.substr(start.size());
    const size_t next = after.find_first_of("/:");
    if (next == std::string_view::npos || after[next] != form->owner_end)
      any += form->owner_end + std::string("any");
    return filled_in(pattern, any);
  }
  for (const SubjectForm& form : subject_forms())
    if (start.size() < form.prefix.size() && form.prefix.starts_with(start) && pattern[start.size()] == '*')
      return filled_in(pattern,
                       std::string(form.prefix.substr(start.size())) + "attacker" + form.owner_end + "any");
  // A form that is not known: a name that a wildcard continues is another's name too.
  const char last = start.empty() ? ':' : start.back();
  const bool in_name = (last >= 'a' && last <= 'z') || (last >= 'A' && last <= 'Z') ||
                       (last >= '0' && last <= '9') || last == '-' || last == '_' || last == '.';
  if (in_name) return filled_in(pattern, "-attacker");
  return std::nullopt;
}

std::optional<ExpressionWarning> open_owner(const SubjectReview& review) {
  for (const ClaimCondition* condition : review.subjects()) {
    if (!condition->wildcards) continue;
    const auto outsider = outsider_of(condition->value);
    if (!outsider || !review.is_admitted(*outsider)) continue;
    const SubjectForm* form = form_of(*outsider);
    if (form != nullptr && std::ranges::any_of(form->owner_claims, [&](std::string_view claim) {
          return review.is_compared(claim);
        }))
      continue;
    const std::string owner = form == nullptr ? "name" : std::string(form->owner);
    return ExpressionWarning{
        "AnotherOwnerAdmitted",
        "A wildcard stands in the " + owner + " of the subject, so that another's is admitted, such as '" +
            *outsider + "'. Write the whole " + owner + " before the first wildcard" +
            (form == nullptr ? "." : ", with the '" + std::string(1, form->owner_end) + "' that ends it."),
        *outsider};
  }
  return std::nullopt;
}

// GitHub: the code of a pull request is its author's, who need not be trusted with the branch it is for.
std::optional<ExpressionWarning> open_event(const SubjectReview& review) {
  for (const ClaimCondition* condition : review.subjects()) {
    if (!condition->wildcards || !condition->value.starts_with("repo:")) continue;
    std::string repository(literal_start(condition->value));
    const size_t slash = repository.find('/');
    if (slash == std::string::npos) repository = "repo:x/x";
    const size_t colon = repository.find(':', 5);
    if (colon != std::string::npos)
      repository.resize(colon);
    else if (slash != std::string::npos && slash + 1 == repository.size())
      repository += "any";
    const std::string subject = repository + ":pull_request";
    if (!review.is_admitted(subject) || review.is_compared("event_name") || review.is_compared("ref"))
      continue;
    return ExpressionWarning{"PullRequestsAdmitted",
                             "Every event of the repository is admitted, pull requests too ('" + subject +
                                 "'): whoever can open one can sign in. Name the branch or the environment: "
                                 "'…:ref:refs/heads/main', '…:environment:production'.",
                             subject};
  }
  return std::nullopt;
}

}  // namespace

std::vector<ExpressionWarning> warnings_of(const ClaimsExpression& expression) {
  std::vector<ExpressionWarning> warnings;
  const SubjectReview review(expression);
  if (!review.has_subject()) {
    warnings.push_back({"NoSubjectCondition",
                        "There is no condition on 'sub': every subject of the issuer is admitted whose token "
                        "has the other claims, also those of other customers of a public issuer. Add "
                        "claims['sub'] matches '…'.",
                        {}});
  } else if (review.is_admitted("x") && review.is_admitted("attacker:any/thing")) {
    warnings.push_back({"AnySubjectAdmitted",
                        "The condition on 'sub' admits every subject of the issuer, such as "
                        "'attacker:any/thing'. Write the part that is yours before the first wildcard.",
                        "attacker:any/thing"});
  } else if (auto warning = open_owner(review)) {
    warnings.push_back(*std::move(warning));
  }
  if (auto warning = open_event(review)) warnings.push_back(*std::move(warning));
  for (const ClaimCondition& condition : expression.conditions())
    if (!condition.wildcards && condition.value.find('*') != std::string::npos)
      warnings.push_back({"WildcardIsCompared",
                          "'eq' compares the * in '" + condition.value + "' of claims['" + condition.claim +
                              "'] as itself, which no token will have. Wildcards take 'matches'.",
                          {}});
  return warnings;
}

JsonArray expression_warnings(const FederatedCredential& credential) {
  JsonArray shown;
  if (credential.expression.empty()) return shown;
  const auto expression = ClaimsExpression::parse(credential.expression);
  if (!expression) return shown;
  for (const ExpressionWarning& warning : warnings_of(*expression))
    shown.push_back(JsonObject{{"code", warning.code}, {"message", warning.message}});
  return shown;
}

}  // namespace merlon::identity
