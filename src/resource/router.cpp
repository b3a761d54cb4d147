// Routes as segments, grouped by their number, so that a request is compared with a few dozen shapes at most.
#include "resource/router.h"

#include <algorithm>

#include "base/text.h"
#include "resource/resource_id.h"

namespace merlon::resource {
namespace {

constexpr std::string_view kScope = "{+scope}";

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// How many trailing segments of a declared path are an action or a list's name, not part of an id.
size_t tail_without_id(std::vector<std::string> example) {
  size_t dropped = 0;
  while (!ResourceId::from_segments(example)) {
    example.pop_back();
    ++dropped;
  }
  return dropped;
}

}  // namespace

Router::Shape Router::compile(const std::string& path) {
  MERLON_CHECK(path.starts_with("/") || path.starts_with("{+scope}/"));
  Shape shape;
  std::vector<std::string> example;
  for (const std::string_view raw : split(std::string_view(path).substr(path.front() == '/' ? 1 : 0), '/')) {
    if (raw == kScope) {
      MERLON_CHECK(shape.segments.empty() && !shape.scoped);
      shape.scoped = true;
    } else if (is_parameter(raw)) {
      shape.segments.push_back({Segment::Kind::parameter, std::string(raw.substr(1, raw.size() - 2))});
      shape.order += "b/";
      const bool subscription = !example.empty() && ascii_iequal(example.back(), "subscriptions");
      example.emplace_back(subscription ? Uuid().text() : "x");
    } else {
      MERLON_CHECK(!raw.empty() && raw.find_first_of("{}") == std::string_view::npos);
      shape.segments.push_back({Segment::Kind::literal, ascii_lower(raw)});
      shape.order += "a" + ascii_lower(raw) + "/";
      example.emplace_back(raw);
    }
  }
  shape.id_tail = tail_without_id(std::move(example));
  return shape;
}

void Router::add(const Route& route, size_t index) {
  Shape shape = compile(route.path);
  Shape::Method method{index, {}};
  for (const Segment& segment : shape.segments) {
    if (segment.kind == Segment::Kind::parameter) method.names.push_back(segment.text);
  }
  auto& shapes = shape.scoped ? scoped_ : plain_[shape.segments.size()];
  auto at = std::ranges::lower_bound(shapes, shape.order, {}, &Shape::order);
  if (at == shapes.end() || at->order != shape.order) at = shapes.insert(at, std::move(shape));
  const bool added = at->methods.emplace(route.method, std::move(method)).second;
  MERLON_CHECK(added);
}

bool Router::matches(const Shape& shape, const std::vector<std::string>& segments) {
  const size_t offset = segments.size() - shape.segments.size();
  // From the end, where paths differ: they all begin with a subscription and a group.
  for (size_t i = shape.segments.size(); i-- > 0;) {
    const Segment& segment = shape.segments[i];
    if (segment.kind != Segment::Kind::literal) continue;
    const std::string& given = segments[offset + i];
    if (segment.text.size() != given.size() || !ascii_iequal(segment.text, given)) return false;
  }
  return true;
}

Router::Match Router::find(std::string_view method, const std::vector<std::string>& segments) const {
  const Shape* shape = nullptr;
  if (const auto same_length = plain_.find(segments.size()); same_length != plain_.end()) {
    const auto at =
        std::ranges::find_if(same_length->second, [&](const Shape& s) { return matches(s, segments); });
    if (at != same_length->second.end()) shape = &*at;
  }
  if (shape == nullptr) {
    const auto fits = [&](const Shape& s) {
      return s.segments.size() <= segments.size() && matches(s, segments);
    };
    for (const Shape& candidate : scoped_) {
      // The longest tail says most; equal lengths are in order already.
      if (fits(candidate) && (shape == nullptr || candidate.segments.size() > shape->segments.size()))
        shape = &candidate;
    }
  }
  Match match;
  if (shape == nullptr) return match;
  match.found = true;
  match.id_segments = segments.size() - shape->id_tail;
  auto chosen = shape->methods.find(method);
  if (chosen == shape->methods.end() && method == "HEAD") chosen = shape->methods.find("GET");
  if (chosen == shape->methods.end()) {
    for (const auto& [name, unused] : shape->methods) match.allowed.push_back(name);
    return match;
  }
  match.route = chosen->second.route;
  const size_t offset = segments.size() - shape->segments.size();
  size_t next_name = 0;
  for (size_t i = 0; i < shape->segments.size(); ++i) {
    if (shape->segments[i].kind != Segment::Kind::parameter) continue;
    match.parameters[chosen->second.names[next_name++]] = segments[offset + i];
  }
  if (shape->scoped) {
    const std::vector<std::string> scope(segments.begin(),
                                         segments.begin() + static_cast<std::ptrdiff_t>(offset));
    match.parameters["+scope"] = "/" + join(scope, "/");
  }
  return match;
}

}  // namespace merlon::resource
