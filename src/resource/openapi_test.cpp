// The OpenAPI document against the rules of OpenAPI 3.0.3 that tools rely on, and against the routes that it
// describes.
#include <set>

#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

class OpenApiTest : public ResourceFixture {
 protected:
  JsonObject document() {
    const Answer answer = send("GET", "/openapi.json?x=1");
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.body;
  }
};

// Each schema says a type or a reference that resolves; what it requires it also describes.
void check_schema(const JsonObject& schema, const JsonObject& document, const std::string& where) {
  static const std::set<std::string> kTypes{"string", "integer", "number", "boolean", "object", "array"};
  if (const auto reference = string_at(schema, "$ref")) {
    ASSERT_TRUE(reference->starts_with("#/components/schemas/")) << where;
    EXPECT_NE(object_at(document, "components.schemas." + reference->substr(21)), nullptr)
        << where << *reference;
    return;
  }
  if (const auto type = string_at(schema, "type")) {
    EXPECT_TRUE(kTypes.contains(*type)) << where << ": " << *type;
    EXPECT_EQ(*type == "array", schema.contains("items")) << where;
  }
  const JsonObject* properties = object_at(schema, "properties");
  if (const JsonArray* required = array_at(schema, "required")) {
    EXPECT_FALSE(required->empty()) << where;
    for (const Json& name : *required)
      EXPECT_TRUE(properties != nullptr && properties->contains(name.as_string())) << where << ": " << name;
  }
  if (properties != nullptr) {
    for (const auto& member : *properties)
      check_schema(member.value().as_object(), document, where + "." + std::string(member.key()));
  }
  for (const char* inner : {"items", "additionalProperties"}) {
    if (const JsonObject* one = object_at(schema, inner)) check_schema(*one, document, where + "." + inner);
  }
}

void check_content(const JsonObject& holder, const JsonObject& document, const std::string& where) {
  const JsonObject* content = object_at(holder, "content");
  if (content == nullptr) return;
  for (const auto& type : *content) {
    EXPECT_EQ(type.key(), "application/json") << where;
    check_schema(type.value().at("schema").as_object(), document, where);
  }
}

std::set<std::string> path_names(const std::string& path) {
  std::set<std::string> names;
  for (size_t open = path.find('{'); open != std::string::npos; open = path.find('{', open + 1))
    names.insert(path.substr(open + 1, path.find('}', open) - open - 1));
  return names;
}

void check_operation(const JsonObject& operation, const std::string& path, const JsonObject& document,
                     const std::string& where) {
  std::set<std::string> declared;
  for (const Json& one : *array_at(operation, "parameters")) {
    const JsonObject& parameter = one.as_object();
    if (parameter.contains("$ref")) {
      EXPECT_EQ(string_at(parameter, "$ref"), "#/components/parameters/ApiVersion") << where;
      continue;
    }
    EXPECT_EQ(string_at(parameter, "in"), "path") << where;
    EXPECT_EQ(bool_at(parameter, "required"), true) << where;
    EXPECT_TRUE(declared.insert(string_at(parameter, "name").value_or("")).second) << where;
    check_schema(*object_at(parameter, "schema"), document, where);
  }
  EXPECT_EQ(declared, path_names(path)) << where;
  const JsonObject* responses = object_at(operation, "responses");
  ASSERT_NE(responses, nullptr) << where;
  EXPECT_TRUE(responses->contains("default")) << where;
  for (const auto& response : *responses) {
    EXPECT_TRUE(string_at(response.value().as_object(), "description").has_value()) << where;
    check_content(response.value().as_object(), document, where);
  }
  if (const JsonObject* body = object_at(operation, "requestBody")) check_content(*body, document, where);
}

TEST_F(OpenApiTest, IsAWellFormedDocument) {
  const JsonObject all = document();
  EXPECT_EQ(string_at(all, "openapi"), "3.0.3");
  EXPECT_TRUE(string_at(all, "info.title") && string_at(all, "info.version"));
  const std::set<std::string> methods{"get", "put", "post", "patch", "delete", "head"};
  std::set<std::string> ids, templates;
  for (const auto& path : *object_at(all, "paths")) {
    const std::string name(path.key());
    EXPECT_TRUE(name.starts_with('/')) << name;
    std::string shape;  // two templates that differ in names alone are one (OpenAPI 3.0.3, Paths Object)
    for (const std::string_view segment : split(name, '/'))
      shape += "/" + (segment.starts_with('{') ? std::string("{}") : ascii_lower(segment));
    EXPECT_TRUE(templates.insert(shape).second) << name;
    for (const auto& method : path.value().as_object()) {
      EXPECT_TRUE(methods.contains(std::string(method.key()))) << name << method.key();
      const JsonObject& operation = method.value().as_object();
      EXPECT_TRUE(ids.insert(string_at(operation, "operationId").value_or("")).second)
          << name << method.key();
      check_operation(operation, name, all, std::string(method.key()) + " " + name);
    }
  }
}

TEST_F(OpenApiTest, HasEveryRouteWithItsPermissionAndBody) {
  const JsonObject all = document();
  const JsonObject& paths = *object_at(all, "paths");
  for (const Route& route : manager_->routes()) {
    std::string path = route.path;
    if (const size_t at = path.find("{+scope}"); at != std::string::npos) path.replace(at, 8, "{scope}");
    ASSERT_TRUE(paths.contains(path)) << path;
    const JsonObject& methods = paths.at(path).as_object();
    ASSERT_TRUE(methods.contains(ascii_lower(route.method))) << route.method << path;
    const JsonObject& operation = methods.at(ascii_lower(route.method)).as_object();
    EXPECT_EQ(string_at(operation, "summary"), route.summary) << path;
    if (route.permission.empty()) {
      EXPECT_EQ(string_at(operation, "x-merlon-public-because"), route.public_because) << path;
      EXPECT_TRUE(array_at(operation, "security")->empty()) << path;
    } else {
      EXPECT_EQ(string_at(operation, "x-merlon-permission"), route.permission) << path;
    }
    if (!route.body) continue;
    const JsonObject* content = object_at(operation, "requestBody.content");
    ASSERT_NE(content, nullptr) << path;
    EXPECT_EQ(content->at("application/json").at("schema"), schema::to_openapi(*route.body)) << path;
  }
}

TEST_F(OpenApiTest, APatchRequiresNothing) {
  const JsonObject all = document();
  const std::string box =
      "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Toy.Things/boxes/"
      "{boxName}";
  const JsonObject& patch = object_at(all, "paths")->at(box).at("patch").as_object();
  const JsonObject& schema =
      object_at(patch, "requestBody.content")->at("application/json").at("schema").as_object();
  EXPECT_FALSE(schema.contains("required"));
  EXPECT_EQ(schema.at("properties").at("tags").at("nullable").as_bool(), true);
  EXPECT_EQ(schema.at("properties").at("properties").at("properties").at("color").at("type").as_string(),
            "string");
}

TEST_F(OpenApiTest, IsForThoseWhoHaveSignedIn) {
  EXPECT_EQ(send_as("", "GET", "/openapi.json").status, 401);
  EXPECT_EQ(send_as(make_person("eve").token, "GET", "/openapi.json").status, 200);
}

TEST_F(OpenApiTest, ProvidersListTheirOperations) {
  const Answer answer = send("GET", "/providers/toy.things/operations");
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_THAT(answer.names(),
              testing::IsSupersetOf({"Toy.Things/boxes/read", "Toy.Things/boxes/write",
                                     "Toy.Things/boxes/delete", "Toy.Things/boxes/items/write"}));
  const JsonObject& first = array_at(answer.body, "value")->at(0).as_object();
  EXPECT_EQ(string_at(first, "display.provider"), "Toy.Things");
  EXPECT_EQ(bool_at(first, "isDataAction"), false);
  EXPECT_THAT(send("GET", "/providers/Microsoft.Authorization/operations").names(),
              testing::Contains("Microsoft.Authorization/locks/write"));
  EXPECT_EQ(send("GET", "/providers/No.Such/operations").code(), "InvalidResourceNamespace");
}

}  // namespace
}  // namespace merlon::resource
