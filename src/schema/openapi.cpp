// Shapes as OpenAPI 3.0.3 schema objects, with Azure's x-ms-mutability for what is fixed at creation
// (https://azure.github.io/autorest/extensions/#x-ms-mutability).
#include "schema/shape.h"

namespace merlon::schema {
namespace {

void put_range(JsonObject& schema, const Shape& shape, const char* low, const char* high) {
  if (shape.minimum) schema[low] = *shape.minimum;
  if (shape.maximum) schema[high] = *shape.maximum;
}

JsonObject member_schema(const Member& member) {
  JsonObject schema = to_openapi(member.shape);
  if (member.presence == Presence::read_only) schema["readOnly"] = true;
  if (member.presence == Presence::create_only) schema["x-ms-mutability"] = JsonArray{"create", "read"};
  if (member.default_value) schema["default"] = *member.default_value;
  return schema;
}

void put_object(JsonObject& schema, const Shape& shape) {
  schema["type"] = "object";
  if (shape.members.empty() && shape.element) {
    schema["additionalProperties"] = to_openapi(*shape.element);
    put_range(schema, shape, "minProperties", "maxProperties");
    return;
  }
  JsonObject properties;
  JsonArray needed;
  for (const Member& member : shape.members) {
    properties[member.name] = member_schema(member);
    if (member.presence == Presence::required && !member.default_value) needed.push_back(Json(member.name));
  }
  schema["properties"] = std::move(properties);
  if (!needed.empty()) schema["required"] = std::move(needed);  // "required" must not be empty in OpenAPI 3.0
}

}  // namespace

JsonObject to_openapi(const Shape& shape) {
  JsonObject schema;
  switch (shape.kind) {
    case Kind::any:
      break;
    case Kind::boolean:
      schema["type"] = "boolean";
      break;
    case Kind::integer:
      schema["type"] = "integer";
      schema["format"] = "int64";
      put_range(schema, shape, "minimum", "maximum");
      break;
    case Kind::number:
      schema["type"] = "number";
      put_range(schema, shape, "minimum", "maximum");
      break;
    case Kind::string:
      schema["type"] = "string";
      put_range(schema, shape, "minLength", "maxLength");
      if (!shape.one_of.empty()) schema["enum"] = JsonArray(shape.one_of.begin(), shape.one_of.end());
      break;
    case Kind::array:
      schema["type"] = "array";
      schema["items"] = shape.element ? to_openapi(*shape.element) : JsonObject();
      put_range(schema, shape, "minItems", "maxItems");
      break;
    case Kind::object:
      put_object(schema, shape);
      break;
  }
  if (!shape.description.empty()) schema["description"] = shape.description;
  return schema;
}

}  // namespace merlon::schema
