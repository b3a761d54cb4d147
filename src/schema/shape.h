// The declared shape of a JSON document: types, presence, enums, ranges. From one declaration come
// validation, defaults, removal of read-only members, and OpenAPI. Errors name the offending field by its
// JSON path.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace merlon::schema {

enum class Kind { string, integer, number, boolean, object, array, any };

// read_only: ignored in requests (Azure's rule), never an error. create_only: fixed after creation (checked
// by the caller with changed_create_only()).
enum class Presence { optional, required, read_only, create_only };

struct Member;

struct Shape {
  Kind kind = Kind::any;
  std::string description;
  std::vector<Member> members;  // object: the members; others are dropped (newer clients send newer fields)
  std::shared_ptr<const Shape>
      element;  // array: its elements; object without members: its values (a map, e.g. tags)
  std::vector<std::string> one_of;  // string: allowed values, compared without case, canonicalised to these
  std::optional<int64_t> minimum, maximum;  // integer: value; string: length; array: count
  // string: returns what is wrong with it ("is not an IP address or CIDR prefix"), or nothing
  std::function<std::optional<std::string>(std::string_view)> check;

  Shape describe(std::string text) const;
  Shape with_range(int64_t low, int64_t high) const;
  Shape with_check(std::function<std::optional<std::string>(std::string_view)> f) const;
};

struct Member {
  std::string name;
  Shape shape;
  Presence presence = Presence::optional;
  std::optional<Json> default_value;
};

Shape text();
Shape text_of(std::vector<std::string> values);
Shape integer();
Shape number();
Shape boolean();
Shape anything();
Shape object(std::vector<Member> members);
// Of at most 1,000, unless with_range() says otherwise.
Shape map_of(Shape values);
Shape array_of(Shape elements);
Member required(std::string name, Shape shape);
Member optional(std::string name, Shape shape);
Member defaulted(std::string name, Shape shape, Json value);
Member read_only(std::string name, Shape shape);
Member create_only(std::string name, Shape shape);

// The document as Merlon keeps it: read-only and unknown members gone, enums in canonical case, defaults in
// place, null members dropped (null means "not there" in a PUT). On failure: kind invalid, code
// InvalidRequestContent (or InvalidRequestFormat), one detail per wrong field with its path in `target`, the
// first of them in `message`/`target`.
Result<JsonObject> conform(const Shape& shape, const JsonObject& document, std::string_view path = {});

// Which create-only fields differ between the stored and the wanted document (paths).
std::vector<std::string> changed_create_only(const Shape& shape, const JsonObject& stored,
                                             const JsonObject& wanted);

// JSON merge patch (RFC 7396), as ARM's PATCH uses it.
void merge_patch(JsonObject& target, const JsonObject& patch);

// OpenAPI 3.0 schema object.
JsonObject to_openapi(const Shape& shape);

}  // namespace merlon::schema
