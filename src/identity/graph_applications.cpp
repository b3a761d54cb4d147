// Graph: applications.
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"
#include "identity/record_fields.h"

namespace merlon::identity::graph {
namespace {

schema::Shape redirect_uris() {
  return schema::object(
      {schema::optional("redirectUris", schema::array_of(schema::text()).with_range(0, 256))});
}

// Each of Graph's two lists replaces what there is of its kind.
void replace_redirects(Application& application, const JsonObject& body) {
  const auto replace = [&](std::string_view owner, RedirectKind kind) {
    const JsonObject* object = object_at(body, owner);
    if (object == nullptr || !object->contains("redirectUris")) return;
    std::erase_if(application.redirect_uris, [&](const RedirectUri& known) { return known.kind == kind; });
    for (std::string uri : strings_at(*object, "redirectUris"))
      application.redirect_uris.push_back({std::move(uri), kind});
  };
  replace("web", RedirectKind::web);
  replace("publicClient", RedirectKind::public_client);
}

GraphOutcome changed(const Application& application, JsonObject details) {
  return {.status = 204,
          .body = {},
          .resource = "applications/" + application.id.text(),
          .action = {},
          .details = std::move(details)};
}

}  // namespace

Result<Application> application_argument(const GraphCall& call, store::Reader& reader) {
  const auto id = Uuid::parse(call.arguments.at(0));
  if (!call.reads_directory && (!id || !call.may_see(*id))) return graph_denied();
  auto application = id ? TRY(store::get<Application>(reader, call.tenant(), id->text())) : std::nullopt;
  if (!application) return graph_not_found(call.arguments.at(0));
  return *std::move(application);
}

schema::Shape new_application() {
  return schema::object(
      {schema::required("displayName", schema::text()),
       schema::optional("identifierUris", schema::array_of(schema::text()).with_range(0, 50)),
       schema::optional("isFallbackPublicClient", schema::boolean()),
       schema::optional("signInAudience", schema::text_of({"AzureADMyOrg"})),
       schema::optional("web", redirect_uris()), schema::optional("publicClient", redirect_uris()),
       schema::optional("keyCredentials", schema::array_of(key_credential()).with_range(0, 64))});
}

schema::Shape changed_application() {
  return schema::object(
      {schema::optional("displayName", schema::text()),
       schema::optional("identifierUris", schema::array_of(schema::text()).with_range(0, 50)),
       schema::optional("isFallbackPublicClient", schema::boolean()),
       schema::optional("signInAudience", schema::text_of({"AzureADMyOrg"})),
       schema::optional("web", redirect_uris()), schema::optional("publicClient", redirect_uris()),
       schema::optional("keyCredentials", schema::array_of(key_credential()).with_range(0, 64))});
}

Result<JsonObject> list_applications(const GraphCall& call, store::Reader& reader) {
  return graph_page<Application>(
      call, reader, "applications",
      [](const Application& application) -> Result<JsonObject> { return graph_application(application); });
}

Result<JsonObject> get_application(const GraphCall& call, store::Reader& reader) {
  return graph_single(call, "applications", graph_application(TRY(application_argument(call, reader))));
}

Result<GraphOutcome> create_application(const GraphCall& call, store::Transaction& tx) {
  Application application;
  application.display_name = TRY(require_string(call.body, "displayName"));
  application.identifier_uris = strings_at(call.body, "identifierUris");
  application.public_client = bool_at(call.body, "isFallbackPublicClient").value_or(false);
  replace_redirects(application, call.body);
  application = TRY(call.directory.register_application(tx, application));
  if (const JsonArray* keys = array_at(call.body, "keyCredentials"))
    TRY(replace_keys(call, tx, application, *keys));
  const auto stored = TRY(store::get<Application>(tx, call.tenant(), application.id.text()));
  if (!stored) return internal_error("the application just created is not in the store");
  GraphOutcome outcome =
      changed(application, {{"appId", application.app_id.text()}, {"displayName", application.display_name}});
  outcome.status = 201;
  outcome.body = graph_single(call, "applications", graph_application(*stored));
  return outcome;
}

Result<GraphOutcome> update_application(const GraphCall& call, store::Transaction& tx) {
  Application application = TRY(application_argument(call, tx));
  const JsonArray* keys = array_at(call.body, "keyCredentials");
  if (keys != nullptr) TRY(replace_keys(call, tx, application, *keys));
  application.display_name = string_at(call.body, "displayName").value_or(application.display_name);
  if (call.body.contains("identifierUris"))
    application.identifier_uris = strings_at(call.body, "identifierUris");
  application.public_client =
      bool_at(call.body, "isFallbackPublicClient").value_or(application.public_client);
  replace_redirects(application, call.body);
  TRY(call.directory.update_application(tx, application));
  GraphOutcome outcome = changed(application, {});
  if (keys != nullptr) outcome.action = "microsoft.directory/applications/credentials/update";
  return outcome;
}

Result<GraphOutcome> delete_application(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  tx.urgent();
  TRY(call.directory.erase_application(tx, application.id));
  return changed(application,
                 {{"appId", application.app_id.text()}, {"displayName", application.display_name}});
}

}  // namespace merlon::identity::graph
