// /metadata/endpoints: how a client that knows one URL finds the rest (arm-core.md, Cloud metadata). Public,
// since it is asked before anyone can sign in; it says nothing that the certificate's names do not.
#include "base/text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

// ":8443" of "https://host:8443", or nothing.
std::string port_of(const std::string& origin) {
  const size_t host = origin.find("//") + 2;
  const size_t bracket = origin.find(']', host);  // an IPv6 address has colons of its own
  const size_t colon = origin.find(':', bracket == std::string::npos ? host : bracket);
  return colon == std::string::npos ? std::string() : origin.substr(colon);
}

// msal takes an authority for an AD FS by its first path segment, and only such an authority works without a
// call to login.microsoftonline.com (feasibility.md, section 6).
std::string login_endpoint(const std::string& origin) { return origin + "/adfs"; }

JsonObject first_form(const Call& call) {
  return {
      {"galleryEndpoint", call.origin + "/gallery/"},
      {"graphEndpoint", call.origin + "/"},
      {"portalEndpoint", call.origin + "/"},
      {"authentication",
       {{"loginEndpoint", login_endpoint(call.origin)}, {"audiences", JsonArray{Json(call.origin + "/")}}}}};
}

JsonObject cloud(const State& state, const Call& call) {
  const std::string& origin = call.origin;
  const std::string suffix = "." + state.core.domain + port_of(origin);
  JsonObject authentication{
      {"loginEndpoint", login_endpoint(origin)},
      {"audiences", JsonArray{Json(origin + "/"), Json(origin), Json("https://management.core.windows.net/"),
                              Json("https://management.azure.com/")}},
      {"tenant", state.core.tenant.text()},
      {"identityProvider", "AAD"}};
  // az reads every suffix without asking whether it is there.
  JsonObject suffixes;
  for (const auto& [name, label] : {std::pair{"keyVaultDns", "vault"},
                                    {"acrLoginServer", "azurecr"},
                                    {"storage", "storage"},
                                    {"mhsmDns", "managedhsm"},
                                    {"sqlServerHostname", "database"},
                                    {"mysqlServerEndpoint", "mysql.database"},
                                    {"postgresqlServerEndpoint", "postgres.database"},
                                    {"mariadbServerEndpoint", "mariadb.database"},
                                    {"attestationEndpoint", "attest"},
                                    {"azureDataLakeStoreFileSystem", "azuredatalakestore"},
                                    {"azureDataLakeAnalyticsCatalogAndJob", "azuredatalakeanalytics"},
                                    {"storageSyncEndpointSuffix", "afs"},
                                    {"synapseAnalytics", "dev.azuresynapse"}}) {
    suffixes[name] = label + suffix;
  }
  return {{"name", "Merlon"},
          {"portal", origin + "/"},
          {"authentication", std::move(authentication)},
          {"resourceManager", origin},
          {"graph", origin + "/"},
          {"graphAudience", origin + "/"},
          {"microsoftGraphResourceId", origin + "/"},
          {"gallery", origin + "/gallery/"},
          {"media", origin + "/"},
          {"batch", origin + "/"},
          {"sqlManagement", origin + "/"},
          {"activeDirectoryDataLake", origin + "/"},
          {"appInsightsResourceId", origin + "/"},
          {"logAnalyticsResourceId", origin + "/"},
          {"ossrdbmsResourceId", origin + "/"},
          {"synapseAnalyticsResourceId", origin + "/"},
          {"attestationResourceId", origin + "/"},
          {"vmImageAliasDoc", origin + "/"},
          {"suffixes", std::move(suffixes)}};
}

}  // namespace

void add_metadata_routes(State& state, const AddRoute& add) {
  Route route;
  route.method = "GET";
  route.path = "/metadata/endpoints";
  route.public_because = "Clients ask it before they can sign in; it holds public names only.";
  route.summary = "Where the endpoints of this cloud are.";
  route.any_api_version = true;
  route.read = [&state](const Call& call, store::Reader&) -> Result<net::Response> {
    const std::string* version = call.request.query.find("api-version");
    if (version == nullptr || *version < "2018-01-01") return json_response(200, first_form(call));
    return text_response(200, to_text(Json(JsonArray{Json(cloud(state, call))})));
  };
  add(std::move(route));
}

}  // namespace merlon::resource
