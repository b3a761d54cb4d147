// One request to the server's API, with its answer as JSON or its refusal as an error; and the questions that
// many commands ask first: which subscription, which machine, which principal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/session.h"

namespace merlon::cli {

inline constexpr std::string_view kMerlonVersion = "2026-11-01";
inline constexpr std::string_view kNetworkVersion = "2024-05-01";
inline constexpr std::string_view kComputeVersion = "2024-07-01";
inline constexpr std::string_view kRolesVersion = "2022-04-01";
inline constexpr std::string_view kJitVersion = "2020-01-01";
inline constexpr std::string_view kResourcesVersion = "2021-04-01";

struct Answer {
  int status = 200;
  JsonObject body;
  std::string etag;
};

struct MachineName {
  std::string group;
  std::string name;
  std::string group_id;    // "/subscriptions/…/resourceGroups/…"
  std::string machine_id;  // …/providers/Merlon.Machines/machines/{name}
  std::string vm_id;       // …/providers/Microsoft.Compute/virtualMachines/{name}
};

class Api {
 public:
  // As whom the environment and the login say.
  static Result<Api> open(const Context& context);
  explicit Api(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  Session& session() { return *session_; }

  // `path` begins with '/', its parts encoded by part(); an empty version sends none (Graph).
  Result<Answer> get(const std::string& path, std::string_view version, const std::string& query = {});
  Result<Answer> put(const std::string& path, std::string_view version, const JsonObject& body,
                     const net::Headers& headers = {});
  Result<Answer> post(const std::string& path, std::string_view version, const JsonObject& body = {});
  Result<Answer> patch(const std::string& path, std::string_view version, const JsonObject& body);
  Result<Answer> remove(const std::string& path, std::string_view version);
  // Every page of a list, as one {"value": […]}.
  Result<JsonObject> list(const std::string& path, std::string_view version, const std::string& query = {});
  Result<net::Response> raw(const std::string& path, std::string_view version, const std::string& query = {});

  Result<std::string> subscription_id();  // "/subscriptions/…": the only one
  Result<std::string> group_id(const std::string& resource_group);
  // By name when it is unique, or in the group that is given.
  Result<MachineName> machine(const std::string& name, const std::string& resource_group);
  // The JSON of machines, of one group or of all.
  Result<JsonObject> machines(const std::string& resource_group);

 private:
  Result<Answer> call(std::string method, const std::string& target, const JsonObject* body,
                      const net::Headers& headers = {});
  std::unique_ptr<Session> session_;
  std::string subscription_id_;
};

// A name as one part of a path.
std::string part(std::string_view name);
// A scope or id as a person gives it: "/" or "/subscriptions/…"; each part encoded. A usage error otherwise.
Result<std::string> scope_path(const std::string& scope);
// OData text: 'O''Brien', encoded for a query.
std::string quoted_term(std::string_view value);

}  // namespace merlon::cli
