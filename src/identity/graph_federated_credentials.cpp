// Graph: the federated identity credentials of an application. One that is named may be named by its id or
// its name.
#include "identity/federated_credentials.h"
#include "identity/federation_expression.h"
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"
#include "identity/record_fields.h"

namespace merlon::identity::graph {
namespace {

constexpr std::string_view kEntitySet = "applications/federatedIdentityCredentials";
// An instance annotation (OData 4.01 JSON, section 20), since Graph has no such property: clients that do not
// know it must ignore it.
constexpr std::string_view kAuthorities = "@merlon.issuerAuthorities";
constexpr std::string_view kKeys = "@merlon.issuerKeys";
constexpr std::string_view kWarnings = "@merlon.warnings";
constexpr std::string_view kExpression = "claimsMatchingExpression";

Result<FederatedCredential> credential_argument(const GraphCall& call, store::Reader& reader,
                                                const Application& application) {
  const std::string& named = call.arguments.at(1);
  auto credential = TRY(federated_credential_by_name(reader, call.tenant(), application.app_id, named));
  if (const auto id = Uuid::parse(named); id && !credential)
    credential = TRY(store::get<FederatedCredential>(reader, call.tenant(), id->text()));
  if (!credential || credential->app_id != application.app_id) return graph_not_found(named);
  return *std::move(credential);
}

JsonObject graph_credential(const FederatedCredential& credential) {
  JsonObject object{
      {"id", credential.id.text()},
      {"name", credential.name},
      {"issuer", credential.issuer},
      {"subject", credential.subject},
      {"description", credential.description.empty() ? Json(nullptr) : Json(credential.description)},
      {"audiences", JsonArray{credential.audience}}};
  if (!credential.authorities_pem.empty()) object[kAuthorities] = credential.authorities_pem;
  if (!credential.keys_jwks.empty())
    if (auto keys = parse_json_object(credential.keys_jwks)) object[kKeys] = *std::move(keys);
  if (credential.expression.empty()) return object;
  object["subject"] = nullptr;
  object[kExpression] =
      JsonObject{{"value", credential.expression}, {"languageVersion", ClaimsExpression::kLanguageVersion}};
  if (JsonArray warnings = expression_warnings(credential); !warnings.empty())
    object[kWarnings] = std::move(warnings);
  return object;
}

// Azure's rule: a subject or an expression. Who gives one of them takes the other away.
Result<void> read_expression(FederatedCredential& credential, const JsonObject& body) {
  if (!body.contains(kExpression)) {
    if (body.contains("subject")) credential.expression.clear();
    return {};
  }
  const JsonObject& expression = body.at(kExpression).get_object();
  if (int_at(expression, "languageVersion") != ClaimsExpression::kLanguageVersion)
    return graph_bad_request("The languageVersion of a claims matching expression must be 1.",
                             std::string(kExpression));
  credential.expression = TRY(require_string(expression, "value"));
  if (credential.expression.empty())
    return graph_bad_request("The claims matching expression is empty.", std::string(kExpression));
  if (!body.contains("subject")) credential.subject.clear();
  return {};
}

Result<void> read_changes(FederatedCredential& credential, const JsonObject& body) {
  TRY(read_expression(credential, body));
  const auto replace = [&](std::string_view property, std::string& value) {
    if (body.contains(property)) value = string_at(body, property).value_or(std::string());
  };
  replace("issuer", credential.issuer);
  replace("subject", credential.subject);
  replace("description", credential.description);
  if (body.contains(kAuthorities))
    credential.authorities_pem =
        body.at(kAuthorities).is_string() ? std::string(body.at(kAuthorities).get_string()) : std::string();
  if (body.contains(kKeys)) {
    const JsonObject& keys = body.at(kKeys).get_object();
    credential.keys_jwks = keys.empty() ? std::string() : to_text(keys);
  }
  const auto audiences = strings_at(body, "audiences");
  if (!audiences.empty()) credential.audience = audiences.front();
  return {};
}

GraphOutcome changed(const Application& application, const FederatedCredential& credential) {
  JsonObject details{{"federatedCredential", credential.name},
                     {"credentialId", credential.id.text()},
                     {"issuer", credential.issuer},
                     {"subject", credential.subject},
                     {"audience", credential.audience}};
  if (!credential.expression.empty()) details[kExpression] = credential.expression;
  if (!credential.keys_jwks.empty()) details["pinnedKeys"] = true;
  JsonArray codes;
  for (const Json& warning : expression_warnings(credential)) codes.push_back(warning.at("code"));
  if (!codes.empty()) details["warnings"] = std::move(codes);
  return {.status = 204,
          .body = {},
          .resource = "applications/" + application.id.text(),
          .action = {},
          .details = std::move(details)};
}

std::vector<schema::Member> changeable() {
  return {schema::optional("audiences", schema::array_of(schema::text()).with_range(1, 1)),
          schema::optional("description", schema::text()),
          schema::optional(std::string(kExpression),
                           schema::object({schema::required("value", schema::text()),
                                           schema::required("languageVersion", schema::integer())})),
          schema::optional(std::string(kKeys), schema::map_of(schema::anything())),
          schema::optional(std::string(kAuthorities), schema::text().with_range(0, 65536))};
}

}  // namespace

schema::Shape new_federated_credential() {
  auto members = changeable();
  members.push_back(schema::required("name", schema::text()));
  members.push_back(schema::required("issuer", schema::text()));
  members.push_back(schema::optional("subject", schema::text()));
  return schema::object(std::move(members));
}

schema::Shape changed_federated_credential() {
  auto members = changeable();
  members.push_back(schema::optional("name", schema::text()));
  members.push_back(schema::optional("issuer", schema::text()));
  members.push_back(schema::optional("subject", schema::text()));
  return schema::object(std::move(members));
}

Result<JsonObject> list_federated_credentials(const GraphCall& call, store::Reader& reader) {
  const Application application = TRY(application_argument(call, reader));
  const GraphQuery query = TRY(parse_graph_query(call.request.query));
  JsonArray values;
  std::string last = query.skip_token;
  bool more = true;
  while (more && values.size() < query.top) {
    constexpr size_t kBatch = 200;
    const auto some = TRY(federated_credentials(reader, call.tenant(), application.app_id, last, kBatch));
    more = some.size() == kBatch;
    for (const FederatedCredential& credential : some) {
      if (values.size() == query.top) {
        more = true;
        break;
      }
      last = credential.name;
      const JsonObject object = graph_credential(credential);
      if (TRY(matches(query.filter, object))) values.push_back(selected(object, query.select));
    }
  }
  JsonObject list = graph_list(call, kEntitySet, std::move(values));
  if (more)
    list["@odata.nextLink"] = call.origin + "/v1.0/applications/" + application.id.text() +
                              "/federatedIdentityCredentials?$top=" + std::to_string(query.top) +
                              "&$skiptoken=" + net::percent_encode(last);
  return list;
}

Result<JsonObject> get_federated_credential(const GraphCall& call, store::Reader& reader) {
  const Application application = TRY(application_argument(call, reader));
  return graph_single(call, kEntitySet,
                      graph_credential(TRY(credential_argument(call, reader, application))));
}

Result<GraphOutcome> create_federated_credential(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  FederatedCredential credential;
  credential.app_id = application.app_id;
  credential.name = TRY(require_string(call.body, "name"));
  TRY(read_changes(credential, call.body));
  credential =
      TRY(add_federated_credential(tx, call.tenant(), std::move(credential), call.clock, call.random));
  GraphOutcome outcome = changed(application, credential);
  outcome.status = 201;
  outcome.body = graph_single(call, kEntitySet, graph_credential(credential));
  return outcome;
}

Result<GraphOutcome> update_federated_credential(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  FederatedCredential credential = TRY(credential_argument(call, tx, application));
  if (const auto name = string_at(call.body, "name"); name && *name != credential.name)
    return graph_bad_request(
        "The name of a federated identity credential can not be changed. Create another one.", "name");
  TRY(read_changes(credential, call.body));
  tx.urgent();
  TRY(identity::update_federated_credential(tx, call.tenant(), credential));
  return changed(application, credential);
}

Result<GraphOutcome> delete_federated_credential(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  const FederatedCredential credential = TRY(credential_argument(call, tx, application));
  tx.urgent();
  TRY(store::erase<FederatedCredential>(tx, call.tenant(), credential.key()));
  return changed(application, credential);
}

}  // namespace merlon::identity::graph
