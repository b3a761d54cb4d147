// The owner's rules about callers: their shape, and what an agent is told of them.
#include "services/managed_identity/callers.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace merlon::managed_identity {
namespace {

constexpr std::string_view kOwnIdentity = "SystemAssigned";
constexpr std::string_view kIdentityType = "Microsoft.ManagedIdentity/userAssignedIdentities";

bool has_only(std::string_view text, std::string_view more) {
  return std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

// A name as useradd(8) lets it be, or a number.
std::optional<std::string> user_problem(std::string_view user) {
  if (user == "*") return std::nullopt;
  if (!user.empty() && user.size() <= 32 && user.front() != '-' && has_only(user, "_.-")) return std::nullopt;
  return "must be the name or the number of a local user, for instance www-data or 33; or * for all";
}

// Names as systemd.unit(5) lets them be, of the kinds that have processes.
std::optional<std::string> unit_problem(std::string_view unit) {
  const bool has_kind = unit.ends_with(".service") || unit.ends_with(".slice") || unit.ends_with(".scope");
  if (has_kind && unit.size() <= 255 && unit.front() != '.' && has_only(unit, ":_.@-\\")) return std::nullopt;
  return "must be the name of a systemd unit that ends in .service, .slice or .scope, for instance "
         "nginx.service";
}

// An agent counts bytes (machine/identity_endpoint.cpp).
std::optional<std::string> name_problem(std::string_view name) {
  if (name.size() <= 128) return std::nullopt;
  return "must be at most 128 bytes long in UTF-8";
}

std::optional<std::string> identity_problem(std::string_view text) {
  const auto id = resource::ResourceId::parse(text);
  if (ascii_iequal(text, kOwnIdentity) || (id && ascii_iequal(id->type(), kIdentityType)))
    return std::nullopt;
  return "must be SystemAssigned or the id of a user-assigned identity";
}

std::vector<std::string> texts_in(const JsonObject& json, std::string_view key) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, key))
    for (const Json& text : *array)
      if (text.is_string()) texts.emplace_back(text.get_string());
  return texts;
}

}  // namespace

const store::TableSpec& StoredCallers::table() {
  static const store::TableSpec spec{"managed_identity_callers", {}};
  return spec;
}

JsonObject StoredCallers::to_json() const { return {{"vm", vm}, {"properties", properties}}; }

Result<StoredCallers> StoredCallers::from_json(const JsonObject& json) {
  const JsonObject* properties = object_at(json, "properties");
  return StoredCallers{.vm = TRY(require_string(json, "vm")),
                       .properties = properties == nullptr ? JsonObject() : *properties};
}

schema::Shape callers_shape() {
  using namespace schema;
  const auto some = static_cast<int64_t>(machine::kCallersMax);
  const auto rule = object(
      {required("name", text().with_range(1, 64).with_check(name_problem)),
       optional("users", array_of(text().with_check(user_problem)).with_range(0, some)),
       optional("units", array_of(text().with_check(unit_problem)).with_range(0, some)),
       required("identities",
                array_of(text().with_check(identity_problem).describe("SystemAssigned, or an identity's id"))
                    .with_range(1, 100))});
  return object({required(
      "properties",
      object(
          {optional("rules", array_of(rule)
                                 .with_range(0, static_cast<int64_t>(machine::kCallerRulesMax))
                                 .describe("the first that fits a caller decides; nobody else may ask. When "
                                           "absent: root, and the group himds")),
           defaulted("linkLocal", boolean().describe("answer at 169.254.169.254 as well"), false)}))});
}

Result<void> check_callers(const JsonObject& properties) {
  std::set<std::string> names;
  const JsonArray* rules = array_at(properties, "rules");
  if (rules == nullptr && bool_at(properties, "linkLocal").value_or(false))
    return fail(
        ErrorKind::invalid, "InvalidRequestContent",
        "At 169.254.169.254 there is no challenge file that would tell callers apart. Say in rules who may "
        "ask there.",
        "properties.linkLocal");
  for (const Json& element : rules == nullptr ? JsonArray() : *rules) {
    const JsonObject& rule = element.as_object();
    const std::string name = TRY(require_string(rule, "name"));
    if (!names.insert(ascii_lower(name)).second)
      return fail(ErrorKind::invalid, "InvalidRequestContent",
                  "Two rules are called '" + name + "'. Give each a name of its own.", "properties.rules");
    if (texts_in(rule, "users").empty() && texts_in(rule, "units").empty())
      return fail(ErrorKind::invalid, "InvalidRequestContent",
                  "The rule '" + name + "' names neither users nor units. Name who may ask.",
                  "properties.rules");
  }
  return {};
}

void add_callers(const JsonObject& properties, machine::IdentityEndpoint& endpoint) {
  endpoint.link_local = bool_at(properties, "linkLocal").value_or(false);
  const JsonArray* rules = array_at(properties, "rules");
  if (rules == nullptr) return;
  endpoint.has_rules = true;
  for (const Json& element : *rules) {
    const JsonObject& json = element.as_object();
    machine::CallerRule rule{.name = string_at(json, "name").value_or(""),
                             .users = texts_in(json, "users"),
                             .units = texts_in(json, "units"),
                             .client_ids = {}};
    const std::vector<std::string> wanted = texts_in(json, "identities");
    for (const machine::BoundIdentity& identity : endpoint.identities) {
      const bool is_named = std::ranges::any_of(wanted, [&](const std::string& text) {
        return ascii_iequal(text, identity.own ? std::string(kOwnIdentity) : identity.resource_id);
      });
      if (is_named) rule.client_ids.push_back(identity.client_id);
    }
    endpoint.rules.push_back(std::move(rule));
  }
}

JsonObject callers_document(const resource::ResourceId& vm, const JsonObject& properties) {
  return {{"id", vm.text() + kCallersPart},
          {"name", "default"},
          {"type", "Merlon.ManagedIdentity/callers"},
          {"properties", properties}};
}

}  // namespace merlon::managed_identity
