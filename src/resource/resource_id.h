// Azure resource ids:
// /subscriptions/{guid}/resourceGroups/{rg}/providers/{Namespace}/{type}/{name}[/{child}/{name}]…, and
// extension ids that hang off any of these. They compare without case; the creator's case is kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace merlon::resource {

class ResourceId {
 public:
  ResourceId() = default;  // the root, "/"
  // A subscription, resource group, resource or extension resource. Errors: InvalidResourceId, naming what is
  // wrong.
  static Result<ResourceId> parse(std::string_view text);
  // From the decoded segments of a request path; keyword segments may come in any case.
  static Result<ResourceId> from_segments(const std::vector<std::string>& segments);

  const std::string& text() const { return text_; }  // canonical keywords, the creator's names
  std::string key() const;                           // lower case: what tables and comparisons use
  const std::string& subscription() const { return subscription_; }
  const std::string& resource_group() const { return resource_group_; }
  const std::string& provider() const { return provider_; }  // of the last providers/ part; empty for a group
  std::string type() const;  // "Microsoft.Network/networkSecurityGroups/securityRules"
  std::string name() const;  // the last name; the group's or subscription's own
  const std::vector<std::pair<std::string, std::string>>& parts() const {
    return parts_;
  }  // (type, name) pairs
  ResourceId parent() const;                     // one (type, name) up; then the group; the subscription; "/"
  std::string group_id() const;                  // "/subscriptions/…/resourceGroups/…", empty when none
  bool is_within(std::string_view scope) const;  // equal to, or below
  bool operator==(const ResourceId& other) const { return key() == other.key(); }

 private:
  std::string text_ = "/";
  std::string scope_;  // what an extension hangs off; empty otherwise
  std::string subscription_, resource_group_, provider_;
  std::vector<std::pair<std::string, std::string>> parts_;
};

}  // namespace merlon::resource
