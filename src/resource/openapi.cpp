// GET /openapi.json: one OpenAPI 3.0.3 document of every declared route, made from the declarations that
// serve them. It says nothing of what is stored, but which version runs here is not for passers-by: one has
// to be signed in.
#include <map>
#include <set>

#include "base/text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

// "{+scope}" is any id; OpenAPI has no name for that, so it is a parameter that may hold '/'.
std::string shown_path(const std::string& path) {
  std::string shown = path;
  if (const size_t at = shown.find("{+scope}"); at != std::string::npos) shown.replace(at, 8, "{scope}");
  return shown.starts_with('/') ? shown : "/" + shown;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string_view segment : split(path, '/')) {
    if (segment.size() > 2 && segment.front() == '{' && segment.back() == '}')
      names.emplace_back(segment.substr(1, segment.size() - 2));
  }
  return names;
}

// "put_subscriptions_resourceGroups_by_resourceGroupName": unique, since a method and a path are.
std::string operation_id(const std::string& method, const std::string& path) {
  std::string id = ascii_lower(method);
  for (const std::string_view segment : split(path, '/')) {
    if (segment.empty()) continue;
    const bool parameter = segment.front() == '{';
    id += parameter ? "_by_" : "_";
    for (const char c : parameter ? segment.substr(1, segment.size() - 2) : segment) id += c == '.' ? '_' : c;
  }
  return id;
}

JsonObject path_parameter(const std::string& name) {
  JsonObject parameter{
      {"name", name}, {"in", "path"}, {"required", true}, {"schema", JsonObject{{"type", "string"}}}};
  if (name == "scope") {
    parameter["description"] =
        "The id of a subscription, a resource group or a resource, without its first '/'.";
    parameter["x-ms-skip-url-encoding"] = true;
  }
  return parameter;
}

// In a PATCH nothing is required: what is left out stays as it is, and null takes a member away.
JsonObject as_patch(const JsonObject& schema) {
  JsonObject patch;
  for (const auto& member : schema) {
    if (member.key() == "required" || member.key() == "default") continue;
    patch[member.key()] = member.value();
  }
  if (const JsonObject* properties = object_at(schema, "properties")) {
    JsonObject patched;
    for (const auto& member : *properties) {
      JsonObject one = as_patch(member.value().as_object());
      if (!one.contains("readOnly")) one["nullable"] = true;
      patched[member.key()] = std::move(one);
    }
    patch["properties"] = std::move(patched);
  }
  return patch;
}

JsonObject json_content(JsonObject schema) {
  return {{"application/json", JsonObject{{"schema", std::move(schema)}}}};
}

JsonObject responses(const Route& route) {
  JsonObject all;
  const bool head = route.method == "HEAD";
  JsonObject good{{"description", route.write && route.method != "PUT"
                                      ? "Done, or accepted: Location then says where to ask how it goes."
                                      : "What was asked for."}};
  if (!head) good["content"] = json_content(JsonObject{{"type", "object"}});
  all[route.write || head ? "2XX" : "200"] = std::move(good);
  JsonObject bad{{"description", "Azure's error body."}};
  if (!head) bad["content"] = json_content(JsonObject{{"$ref", "#/components/schemas/Error"}});
  all["default"] = std::move(bad);
  return all;
}

JsonObject operation(const Route& route, const std::string& path, const schema::Shape* put_shape) {
  JsonObject made{{"operationId", operation_id(route.method, path)}, {"summary", route.summary}};
  JsonArray parameters;
  for (const std::string& name : names_in(path)) parameters.push_back(path_parameter(name));
  if (!route.any_api_version)
    parameters.push_back(JsonObject{{"$ref", "#/components/parameters/ApiVersion"}});
  made["parameters"] = std::move(parameters);
  const bool patches = !route.body && route.method == "PATCH" && put_shape != nullptr;
  if (route.body || patches) {
    JsonObject schema =
        route.body ? schema::to_openapi(*route.body) : as_patch(schema::to_openapi(*put_shape));
    made["requestBody"] = JsonObject{{"required", true}, {"content", json_content(std::move(schema))}};
  }
  made["responses"] = responses(route);
  if (route.permission.empty()) {
    made["security"] = JsonArray();
    made["x-merlon-public-because"] = route.public_because;
  } else {
    made["x-merlon-permission"] = route.permission;
    made["x-merlon-permission-scope"] = route.checked_at.empty() ? path : shown_path(route.checked_at);
    if (route.filter_items)
      made["x-merlon-filtered"] = "Who lacks the permission there is shown what they may read one by one.";
  }
  if (!route.passes_locks_because.empty()) made["x-merlon-passes-locks-because"] = route.passes_locks_because;
  return made;
}

JsonObject components() {
  const JsonObject text{{"type", "string"}};
  const JsonObject detail{{"type", "object"},
                          {"properties", JsonObject{{"code", text}, {"message", text}, {"target", text}}}};
  JsonObject inner{{"type", "object"}, {"required", JsonArray{"code", "message"}}};
  inner["properties"] = JsonObject{{"code", text},
                                   {"message", text},
                                   {"target", text},
                                   {"details", JsonObject{{"type", "array"}, {"items", detail}}}};
  const JsonObject error{{"type", "object"},
                         {"required", JsonArray{"error"}},
                         {"properties", JsonObject{{"error", std::move(inner)}}}};
  const JsonObject version{
      {"name", "api-version"},
      {"in", "query"},
      {"required", true},
      {"description", "A date, optionally with a suffix such as -preview. Any is accepted."},
      {"schema", JsonObject{{"type", "string"}, {"pattern", "^[0-9]{4}-[0-9]{2}-[0-9]{2}(-[A-Za-z]+)?$"}}}};
  const JsonObject bearer{{"type", "http"}, {"scheme", "bearer"}, {"bearerFormat", "JWT"}};
  return {{"schemas", JsonObject{{"Error", error}}},
          {"parameters", JsonObject{{"ApiVersion", version}}},
          {"securitySchemes", JsonObject{{"bearer", bearer}}}};
}

JsonObject document(const State& state, const Call& call) {
  std::map<std::string, const schema::Shape*> put_shapes;
  for (const Route& route : state.routes) {
    if (route.method == "PUT" && route.body) put_shapes[ascii_lower(route.path)] = &*route.body;
  }
  std::map<std::string, JsonObject> paths;
  for (const Route& route : state.routes) {
    const std::string path = shown_path(route.path);
    const auto shape = put_shapes.find(ascii_lower(route.path));
    paths[path][ascii_lower(route.method)] =
        operation(route, path, shape == put_shapes.end() ? nullptr : shape->second);
  }
  JsonObject all_paths;
  for (auto& [path, operations] : paths) all_paths[path] = std::move(operations);
  return {{"openapi", "3.0.3"},
          {"info", JsonObject{{"title", "Merlon"},
                              {"version", "2026-01-01"},
                              {"description",
                               "Azure's Resource Manager, on machines you own. Generated from the "
                               "declarations that serve the requests."}}},
          {"servers", JsonArray{JsonObject{{"url", call.origin}}}},
          {"security", JsonArray{JsonObject{{"bearer", JsonArray()}}}},
          {"paths", std::move(all_paths)},
          {"components", components()}};
}

}  // namespace

void add_openapi_route(State& state, const AddRoute& add) {
  Route route;
  route.method = "GET";
  route.path = "/openapi.json";
  route.permission = "Merlon.Documentation/openApi/read";
  route.checked_at = "/";
  route.summary = "The description of every route of this server, as OpenAPI 3.0.";
  route.any_api_version = true;
  route.filter_items = true;  // whoever has signed in may know what they could ask
  route.read = [&state](const Call& call, store::Reader&) -> Result<net::Response> {
    return json_response(200, document(state, call));
  };
  add(std::move(route));
}

}  // namespace merlon::resource
