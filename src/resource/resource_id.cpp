// Resource ids are what access is decided on, so one thing has one id: ASCII only (case folding beyond ASCII
// has more than one answer), no empty or dot segments, no characters that a URL or a log line could read in
// two ways.
#include "resource/resource_id.h"

#include <algorithm>

#include "base/text.h"
#include "base/uuid.h"

namespace merlon::resource {
namespace {

constexpr size_t kIdBytesMax = 2048;
constexpr size_t kNameBytesMax = 260;  // the longest name that any Azure type allows
constexpr size_t kSegmentsMax = 40;

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorKind::invalid, "InvalidResourceId", std::move(message));
}

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && is_alphanumeric(text.front()) &&
         std::ranges::all_of(text,
                             [](char c) { return is_alphanumeric(c) || c == '.' || c == '-' || c == '_'; });
}

// What Azure refuses in any name, and what is not printable ASCII.
bool is_name(std::string_view text) {
  static constexpr std::string_view kForbidden = "<>%&\\?/#\"*:|^`{}";
  const auto fits = [](char c) {
    return c > 0x20 && c < 0x7f && kForbidden.find(c) == std::string_view::npos;
  };
  const auto fits_inside = [&fits](char c) { return fits(c) || c == ' '; };
  return !text.empty() && text.size() <= kNameBytesMax && text != "." && text != ".." && fits(text.front()) &&
         fits(text.back()) && std::ranges::all_of(text, fits_inside);
}

class Segments {
 public:
  explicit Segments(const std::vector<std::string>& all) : all_(all) {}
  bool at_end() const { return next_ == all_.size(); }
  bool at(std::string_view keyword) const { return !at_end() && ascii_iequal(all_[next_], keyword); }
  void skip() { ++next_; }
  Result<std::string> take(std::string_view what, bool (*fits)(std::string_view)) {
    if (at_end()) return refuse("The resource id ends where " + std::string(what) + " is expected.");
    const std::string& text = all_[next_++];
    if (!fits(text)) {
      return refuse("'" + text.substr(0, kNameBytesMax) + "' in the resource id is not " + std::string(what) +
                    ". Use printable ASCII characters without <>%&\\?/#\"*:|^`{}.");
    }
    return text;
  }

 private:
  const std::vector<std::string>& all_;
  size_t next_ = 0;
};

}  // namespace

Result<ResourceId> ResourceId::parse(std::string_view text) {
  if (text.empty() || text.front() != '/') {
    return refuse("A resource id begins with '/', e.g. '/subscriptions/{guid}/resourceGroups/{name}'.");
  }
  if (text.size() > kIdBytesMax) return refuse("The resource id is longer than 2048 characters.");
  if (text == "/") return ResourceId();
  std::vector<std::string> segments;
  for (const std::string_view segment : split(text.substr(1), '/')) segments.emplace_back(segment);
  return from_segments(segments);
}

Result<ResourceId> ResourceId::from_segments(const std::vector<std::string>& segments) {
  ResourceId id;
  if (segments.empty()) return id;
  if (segments.size() > kSegmentsMax) return refuse("The resource id has more than 40 segments.");
  Segments rest(segments);
  id.text_.clear();
  size_t bytes = 0;
  for (const std::string& segment : segments) bytes += segment.size() + 1;
  id.text_.reserve(bytes);
  if (rest.at("subscriptions")) {
    rest.skip();
    const std::string given = TRY(rest.take("a subscription id", is_name));
    const auto subscription = Uuid::parse(given);
    if (!subscription)
      return refuse("The provided subscription identifier '" + given + "' is malformed or invalid.");
    id.subscription_ = subscription->text();
    id.text_.append("/subscriptions/").append(id.subscription_);
    if (rest.at("resourceGroups")) {
      rest.skip();
      id.resource_group_ = TRY(rest.take("a resource group name", is_name));
      id.text_.append("/resourceGroups/").append(id.resource_group_);
    }
  }
  while (!rest.at_end()) {
    if (!rest.at("providers")) return refuse("The resource id lacks '/providers/' before its resource type.");
    rest.skip();
    if (!id.parts_.empty()) id.scope_ = id.text_;
    id.parts_.clear();
    id.provider_ = TRY(rest.take("a provider namespace", is_word));
    id.text_.append("/providers/").append(id.provider_);
    do {
      std::string type = TRY(rest.take("a resource type", is_word));
      std::string name = TRY(rest.take("a resource name", is_name));
      id.text_.append("/").append(type).append("/").append(name);
      id.parts_.emplace_back(std::move(type), std::move(name));
    } while (!rest.at_end() && !rest.at("providers"));
  }
  if (id.text_.size() > kIdBytesMax) return refuse("The resource id is longer than 2048 characters.");
  return id;
}

std::string ResourceId::key() const { return ascii_lower(text_); }

std::string ResourceId::type() const {
  if (parts_.empty()) {
    if (!resource_group_.empty()) return "Microsoft.Resources/resourceGroups";
    return subscription_.empty() ? std::string() : "Microsoft.Resources/subscriptions";
  }
  std::string type = provider_;
  for (const auto& part : parts_) type += "/" + part.first;
  return type;
}

std::string ResourceId::name() const {
  if (!parts_.empty()) return parts_.back().second;
  return resource_group_.empty() ? subscription_ : resource_group_;
}

ResourceId ResourceId::parent() const {
  std::string text = text_;
  if (parts_.size() > 1) {
    text.resize(text.size() - parts_.back().first.size() - parts_.back().second.size() - 2);
  } else if (!parts_.empty()) {
    text.resize(text.size() - parts_.back().first.size() - parts_.back().second.size() - 2 -
                provider_.size() - std::string_view("/providers/").size());
  } else if (!resource_group_.empty()) {
    text = "/subscriptions/" + subscription_;
  } else {
    return {};
  }
  if (text.empty()) return {};
  auto parent = parse(text);
  MERLON_CHECK(parent.has_value());
  return *std::move(parent);
}

std::string ResourceId::group_id() const {
  if (resource_group_.empty()) return {};
  return "/subscriptions/" + subscription_ + "/resourceGroups/" + resource_group_;
}

bool ResourceId::is_within(std::string_view scope) const {
  while (!scope.empty() && scope.back() == '/') scope.remove_suffix(1);
  if (scope.empty()) return true;
  if (!ascii_istarts_with(text_, scope)) return false;
  return text_.size() == scope.size() || text_[scope.size()] == '/';
}

}  // namespace merlon::resource
