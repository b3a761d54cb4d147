// Which members may be named is what the type declares; which are references is what the document shows:
// objects with an id and nothing else.
#include "resource/expand.h"

#include <algorithm>

#include "base/text.h"
#include "resource/permitted.h"

namespace merlon::resource {
namespace {

constexpr size_t kPathsMax = 10;
constexpr size_t kStepsMax = 4;
constexpr size_t kExpandedMax = 1000;  // references in one answer; the others stay as they are
// Read for one answer: as much as one document may have. The others stay as they are here, too.
constexpr size_t kBytesMax = size_t{4} << 20U;
constexpr size_t kEchoBytesMax = 100;

std::unexpected<Error> refused(const std::string& what) {
  return fail(ErrorKind::invalid, "InvalidExpandQueryOption", what, "$expand");
}

bool declares(const schema::Shape& shape, std::string_view name) {
  const auto properties = std::ranges::find_if(
      shape.members, [](const schema::Member& member) { return member.name == "properties"; });
  return properties != shape.members.end() &&
         std::ranges::any_of(properties->shape.members,
                             [&](const schema::Member& member) { return ascii_iequal(member.name, name); });
}

class Expansion {
 public:
  Expansion(const State& state, const Call& call, store::Reader& reader)
      : state_(state), call_(call), reader_(reader) {}

  Result<void> walk(JsonObject& object, const std::vector<std::string_view>& steps, size_t at) {
    if (at == steps.size()) return {};
    Json* properties = object.if_contains("properties");
    if (properties == nullptr || !properties->is_object()) return {};
    for (auto& member : properties->get_object()) {
      if (!ascii_iequal(member.key(), steps[at])) continue;
      if (JsonArray* elements = member.value().if_array()) {
        for (Json& element : *elements)
          if (element.is_object()) TRY(step(element.get_object(), steps, at));
      } else if (member.value().is_object()) {
        TRY(step(member.value().get_object(), steps, at));
      }
    }
    return {};
  }

 private:
  Result<void> step(JsonObject& object, const std::vector<std::string_view>& steps, size_t at) {
    const Json* id = object.if_contains("id");
    if (object.size() == 1 && id != nullptr && id->is_string()) TRY(replace(object));
    return walk(object, steps, at + 1);
  }

  Result<void> replace(JsonObject& reference) {
    const auto id = ResourceId::parse(reference.at("id").get_string());
    if (!id || id->provider().empty() || expanded_ == kExpandedMax) return {};
    ++expanded_;
    if (!TRY(permitted(state_.core, reader_, call_.principal, id->type() + "/read", id->text()))) return {};
    // Of each: a document that is named twice is read twice, and is twice in the answer. The first for which
    // there is no room is the last that is looked at.
    const size_t bytes = TRY(state_.documents.bytes_read_for(reader_, *id));
    if (bytes > bytes_left_) expanded_ = kExpandedMax;
    if (bytes > bytes_left_) return {};
    bytes_left_ -= bytes;
    if (auto found = TRY(state_.documents.get(reader_, *id))) reference = std::move(found->body);
    return {};
  }

  const State& state_;
  const Call& call_;
  store::Reader& reader_;
  size_t expanded_ = 0;
  size_t bytes_left_ = kBytesMax;
};

}  // namespace

Result<JsonObject> expand(const State& state, const Call& call, store::Reader& reader,
                          const schema::Shape& shape, JsonObject body, std::string_view asked) {
  const auto paths = split(asked, ',');
  if (paths.size() > kPathsMax) return refused("'$expand' names more than 10 members. Ask for fewer.");
  Expansion expansion(state, call, reader);
  for (const std::string_view path : paths) {
    const auto steps = split(path, '/');
    if (steps.size() > kStepsMax || !declares(shape, steps.front()))
      return refused("'$expand' names '" + std::string(path.substr(0, kEchoBytesMax)) + "', which '" +
                     call.id.type() + "' cannot expand.");
    TRY(expansion.walk(body, {steps.begin(), steps.end()}, 0));
  }
  return body;
}

}  // namespace merlon::resource
