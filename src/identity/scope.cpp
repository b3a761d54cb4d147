// Reading scopes.
#include "identity/scope.h"

#include <array>

#include "base/text.h"
#include "identity/audience.h"

namespace merlon::identity {
namespace {

constexpr size_t kScopeMax = 2048;
constexpr std::string_view kDefault = "/.default";

// Text of theirs in a message of ours: bounded, printable.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += c > 0x20 && c < 0x7f ? c : '?';
  return "'" + out + "'";
}

}  // namespace

SignIn<RequestedScope> parse_scope(std::string_view scope) {
  if (scope.size() > kScopeMax)
    return refuse(70011, "The provided value for the input parameter 'scope' is too long.");
  RequestedScope requested;
  for (const std::string_view item : split(scope, ' ')) {
    if (item.empty() || item == "profile" || item == "email") continue;
    if (item == "openid") {
      requested.openid = true;
      continue;
    }
    if (item == "offline_access") {
      requested.offline_access = true;
      continue;
    }
    const bool by_default = item.ends_with(kDefault);
    const size_t slash = by_default ? item.size() - kDefault.size() : item.rfind('/');
    // A bare name is a permission of Microsoft Graph, as in Entra.
    const std::string_view audience = slash == std::string_view::npos
                                          ? std::string_view("https://graph.microsoft.com")
                                          : item.substr(0, slash);
    if (audience.empty() || (slash != std::string_view::npos && slash + 1 == item.size()))
      return refuse(70011,
                    "The provided value for the input parameter 'scope' is not valid: " + quoted(item) + ".");
    if (!requested.audience.empty() && without_slashes(requested.audience) != without_slashes(audience))
      return refuse(28000,
                    "Provided value for the input parameter scope is not valid because it contains more than "
                    "one resource.");
    if (requested.audience.empty()) requested.audience = audience;
    requested.by_default = requested.by_default || by_default;
  }
  return requested;
}

SignIn<ResourceKind> resolve_audience(store::Reader& reader, Directory& directory, const Issuer& issuer,
                                      std::string_view audience, const std::string& origin) {
  if (issuer.is_resource_manager_at(audience, origin)) return ResourceKind::resource_manager;
  if (is_graph_audience(audience)) return ResourceKind::graph;
  if (issuer.is_vault(audience)) return ResourceKind::vault;
  auto application = TRY(directory.application_by_identifier(reader, without_slashes(audience)));
  if (!application)
    if (const auto app_id = Uuid::parse(audience))
      application = TRY(directory.application_by_app_id(reader, *app_id));
  const auto principal = application ? TRY(directory.service_principal_by_app_id(reader, application->app_id))
                                     : std::optional<ServicePrincipal>();
  if (!principal || !principal->enabled)
    return refuse(500011, "The resource principal named " + quoted(audience) +
                              " was not found in the tenant named " + directory.tenant().text() +
                              ". Ask for 'https://" + issuer.domain() +
                              "/.default', or register an application with this identifier.");
  return ResourceKind::application;
}

}  // namespace merlon::identity
