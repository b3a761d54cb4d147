// Creating, changing, finding and removing directory objects.
#include "identity/directory.h"

#include <algorithm>

#include "base/text.h"
#include "identity/federated_credentials.h"
#include "identity/membership.h"
#include "identity/names.h"
#include "identity/second_factors.h"
#include "identity/sessions.h"

namespace merlon::identity {
namespace {

std::unexpected<Error> bad_request(std::string message, std::string target = {}) {
  return fail(ErrorKind::invalid, "Request_BadRequest", std::move(message), std::move(target));
}

std::unexpected<Error> no_such_object(const Uuid& id) {
  return fail(ErrorKind::not_found, "Request_ResourceNotFound",
              "Resource '" + id.text() +
                  "' does not exist or one of its queried reference-property objects are not present.");
}

Result<void> check_display_name(std::string_view name) {
  if (const auto problem = display_name_problem(name))
    return bad_request("Invalid value specified for property 'displayName': it " + *problem + ".",
                       "displayName");
  return {};
}

Result<void> check_redirects(const Application& application) {
  if (application.redirect_uris.size() > kRedirectUrisMax)
    return bad_request("An application has at most 256 redirect URIs.", "redirectUris");
  for (const RedirectUri& redirect : application.redirect_uris)
    if (const auto problem = redirect_uri_problem(redirect))
      return bad_request(
          "Invalid value specified for property 'redirectUris': '" + redirect.uri + "' " + *problem + ".",
          "redirectUris");
  return {};
}

// Services that are asked for by their appId take api://{appId} for themselves as well, and tokens for an
// application's own identifiers need nobody's consent (Microsoft Entra docs, identifier-uri-restrictions).
bool names_another(std::string_view uri, const Uuid& app_id, const TenantId& tenant) {
  if (!ascii_istarts_with(uri, "api://")) return false;
  for (const std::string_view segment : split(uri.substr(6), '/'))
    if (const auto id = Uuid::parse(segment); id && *id != app_id && *id != tenant.id) return true;
  return false;
}

}  // namespace

Result<User> Directory::create_user(store::Transaction& tx, User user) {
  TRY(check_display_name(user.display_name));
  if (const auto problem = user_principal_name_problem(user.user_principal_name))
    return bad_request("Property userPrincipalName is invalid: it " + *problem + ".", "userPrincipalName");
  if (TRY(user_by_name(tx, user.user_principal_name)))
    return bad_request("Another object with the same value for property userPrincipalName already exists.",
                       "userPrincipalName");
  user.id = Uuid::generate(random_);
  user.created = clock_.now();
  TRY(store::put(tx, tenant_, user));
  return user;
}

Result<void> Directory::update_user(store::Transaction& tx, const User& user) {
  const auto stored = TRY(store::get<User>(tx, tenant_, user.id.text()));
  if (!stored) return no_such_object(user.id);
  TRY(check_display_name(user.display_name));
  if (const auto problem = user_principal_name_problem(user.user_principal_name))
    return bad_request("Property userPrincipalName is invalid: it " + *problem + ".", "userPrincipalName");
  const auto holder = TRY(user_by_name(tx, user.user_principal_name));
  if (holder && holder->id != user.id)
    return bad_request("Another object with the same value for property userPrincipalName already exists.",
                       "userPrincipalName");
  User changed = *stored;
  changed.display_name = user.display_name;
  changed.user_principal_name = user.user_principal_name;
  changed.mail_nickname = user.mail_nickname;
  return store::put(tx, tenant_, changed);
}

Result<void> Directory::set_password(store::Transaction& tx, const Uuid& user_id, std::string password_hash,
                                     bool must_change) {
  auto user = TRY(store::get<User>(tx, tenant_, user_id.text()));
  if (!user) return no_such_object(user_id);
  user->password_hash = std::move(password_hash);
  user->must_change_password = must_change;
  TRY(store::put(tx, tenant_, *user));
  return revoke_sessions(tx, tenant_, user_id, random_);
}

Result<void> Directory::set_must_change_password(store::Transaction& tx, const Uuid& user_id,
                                                 bool must_change) {
  auto user = TRY(store::get<User>(tx, tenant_, user_id.text()));
  if (!user) return no_such_object(user_id);
  user->must_change_password = must_change;
  return store::put(tx, tenant_, *user);
}

Result<Group> Directory::create_group(store::Transaction& tx, Group group) {
  TRY(check_display_name(group.display_name));
  group.id = Uuid::generate(random_);
  group.created = clock_.now();
  TRY(store::put(tx, tenant_, group));
  return group;
}

Result<void> Directory::update_group(store::Transaction& tx, const Group& group) {
  const auto stored = TRY(store::get<Group>(tx, tenant_, group.id.text()));
  if (!stored) return no_such_object(group.id);
  TRY(check_display_name(group.display_name));
  Group changed = *stored;
  changed.display_name = group.display_name;
  changed.description = group.description;
  return store::put(tx, tenant_, changed);
}

Result<void> Directory::check_application(store::Reader& reader, const Application& application) {
  TRY(check_display_name(application.display_name));
  TRY(check_redirects(application));
  if (application.identifier_uris.size() > kIdentifierUrisMax)
    return bad_request("An application has at most 50 identifierUris.", "identifierUris");
  for (const std::string& uri : application.identifier_uris) {
    if (const auto problem = identifier_uri_problem(uri))
      return bad_request(
          "Invalid value specified for property 'identifierUris': '" + uri + "' " + *problem + ".",
          "identifierUris");
    if (names_another(uri, application.app_id, tenant_))
      return bad_request("Invalid value specified for property 'identifierUris': '" + uri +
                             "' holds the id of another application. Only the application's own appId (" +
                             application.app_id.text() + ") may stand there.",
                         "identifierUris");
    const auto holder = TRY(application_by_identifier(reader, uri));
    if (holder && holder->id != application.id)
      return bad_request("Another object with the same value for property identifierUris already exists.",
                         "identifierUris");
  }
  return {};
}

Result<void> Directory::claim_identifiers(store::Transaction& tx, const Application& application) {
  for (const store::Row& row :
       TRY(tx.find(identifier_table(), tenant_, "application", application.id.text())))
    TRY(tx.erase(identifier_table(), tenant_, row.key));
  for (const std::string& uri : application.identifier_uris)
    TRY(tx.put(identifier_table(), tenant_, {ascii_lower(uri), "{}", {application.id.text()}}));
  return {};
}

Result<Application> Directory::register_application(store::Transaction& tx, Application application) {
  application.id = Uuid::generate(random_);
  if (application.app_id.is_nil()) application.app_id = Uuid::generate(random_);
  application.created = clock_.now();
  TRY(check_application(tx, application));
  if (TRY(application_by_app_id(tx, application.app_id)))
    return bad_request("An application with the appId '" + application.app_id.text() + "' already exists.",
                       "appId");
  TRY(store::put(tx, tenant_, application));
  TRY(claim_identifiers(tx, application));
  return application;
}

Result<ServicePrincipal> Directory::create_service_principal(store::Transaction& tx, const Uuid& app_id) {
  const auto application = TRY(application_by_app_id(tx, app_id));
  if (!application)
    return bad_request("The appId '" + app_id.text() +
                           "' of the service principal does not reference a valid application object.",
                       "appId");
  if (TRY(service_principal_by_app_id(tx, app_id)))
    return bad_request(
        "The service principal cannot be created, updated, or restored because the service principal "
        "name " +
            app_id.text() + " is already in use.",
        "appId");
  const ServicePrincipal principal{.id = Uuid::generate(random_),
                                   .app_id = app_id,
                                   .display_name = application->display_name,
                                   .enabled = true,
                                   .acts_for_users = false,
                                   .created = clock_.now()};
  TRY(store::put(tx, tenant_, principal));
  return principal;
}

Result<ServicePrincipal> Directory::create_managed_identity(store::Transaction& tx, std::string display_name,
                                                            std::string resource_id) {
  TRY(check_display_name(display_name));
  ServicePrincipal principal{.id = Uuid::generate(random_),
                             .app_id = Uuid::generate(random_),
                             .display_name = std::move(display_name),
                             .enabled = true,
                             .acts_for_users = false,
                             .created = clock_.now(),
                             .resource_id = std::move(resource_id)};
  TRY(store::put(tx, tenant_, principal));
  return principal;
}

Result<std::pair<Application, ServicePrincipal>> Directory::create_application(store::Transaction& tx,
                                                                               Application application) {
  Application created = TRY(register_application(tx, std::move(application)));
  ServicePrincipal principal = TRY(create_service_principal(tx, created.app_id));
  return std::pair(std::move(created), std::move(principal));
}

Result<void> Directory::update_application(store::Transaction& tx, const Application& application) {
  const auto stored = TRY(store::get<Application>(tx, tenant_, application.id.text()));
  if (!stored) return no_such_object(application.id);
  TRY(check_application(tx, application));
  Application changed = *stored;
  changed.display_name = application.display_name;
  changed.identifier_uris = application.identifier_uris;
  changed.public_client = application.public_client;
  changed.redirect_uris = application.redirect_uris;
  TRY(store::put(tx, tenant_, changed));
  TRY(claim_identifiers(tx, changed));
  if (auto principal = TRY(service_principal_by_app_id(tx, changed.app_id))) {
    principal->display_name = changed.display_name;
    TRY(store::put(tx, tenant_, *principal));
  }
  return {};
}

Result<void> Directory::set_enabled(store::Transaction& tx, const Uuid& principal_id, bool enabled) {
  if (auto user = TRY(store::get<User>(tx, tenant_, principal_id.text()))) {
    user->enabled = enabled;
    TRY(store::put(tx, tenant_, *user));
  } else if (auto principal = TRY(store::get<ServicePrincipal>(tx, tenant_, principal_id.text()))) {
    principal->enabled = enabled;
    TRY(store::put(tx, tenant_, *principal));
  } else {
    return no_such_object(principal_id);
  }
  // So that enabling it again does not revive the tokens of before.
  if (!enabled) TRY(revoke_sessions(tx, tenant_, principal_id, random_));
  return {};
}

Result<void> Directory::set_acts_for_users(store::Transaction& tx, const Uuid& principal_id, bool acts) {
  auto principal = TRY(store::get<ServicePrincipal>(tx, tenant_, principal_id.text()));
  if (!principal) return no_such_object(principal_id);
  const bool is_withdrawn = principal->acts_for_users && !acts;
  principal->acts_for_users = acts;
  if (is_withdrawn) TRY(end_sessions_by_consent(tx, tenant_, principal->app_id));
  return store::put(tx, tenant_, *principal);
}

Result<void> Directory::erase_user(store::Transaction& tx, const Uuid& id) {
  if (!TRY(store::get<User>(tx, tenant_, id.text()))) return no_such_object(id);
  TRY(forget_relations(tx, id));
  TRY(erase_sessions_of(tx, tenant_, id));
  TRY(erase_second_factors(tx, tenant_, id));
  return store::erase<User>(tx, tenant_, id.text());
}

Result<void> Directory::erase_group(store::Transaction& tx, const Uuid& id) {
  if (!TRY(store::get<Group>(tx, tenant_, id.text()))) return no_such_object(id);
  TRY(forget_relations(tx, id));
  return store::erase<Group>(tx, tenant_, id.text());
}

Result<void> Directory::erase_application(store::Transaction& tx, const Uuid& id) {
  auto application = TRY(store::get<Application>(tx, tenant_, id.text()));
  if (!application) return no_such_object(id);
  if (const auto principal = TRY(service_principal_by_app_id(tx, application->app_id)))
    TRY(erase_service_principal(tx, principal->id));
  TRY(erase_federated_credentials(tx, tenant_, application->app_id));
  TRY(forget_owners(tx, id));
  application->identifier_uris.clear();
  TRY(claim_identifiers(tx, *application));
  return store::erase<Application>(tx, tenant_, id.text());
}

Result<void> Directory::erase_service_principal(store::Transaction& tx, const Uuid& id) {
  if (!TRY(store::get<ServicePrincipal>(tx, tenant_, id.text()))) return no_such_object(id);
  TRY(forget_relations(tx, id));
  TRY(erase_sessions_of(tx, tenant_, id));
  return store::erase<ServicePrincipal>(tx, tenant_, id.text());
}

Result<std::optional<Directory::Found>> Directory::find_object(store::Reader& reader, const Uuid& id) {
  if (const auto user = TRY(store::get<User>(reader, tenant_, id.text())))
    return Found{.type = "User", .display_name = user->display_name, .enabled = user->enabled};
  if (const auto principal = TRY(store::get<ServicePrincipal>(reader, tenant_, id.text())))
    return Found{
        .type = "ServicePrincipal", .display_name = principal->display_name, .enabled = principal->enabled};
  if (const auto group = TRY(store::get<Group>(reader, tenant_, id.text())))
    return Found{.type = "Group", .display_name = group->display_name, .enabled = true};
  return std::nullopt;
}

Result<std::optional<Application>> Directory::application_by_app_id(store::Reader& reader,
                                                                    const Uuid& app_id) {
  auto found = TRY(store::find<Application>(reader, tenant_, "app_id", app_id.text()));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::optional<ServicePrincipal>> Directory::service_principal_by_app_id(store::Reader& reader,
                                                                               const Uuid& app_id) {
  auto found = TRY(store::find<ServicePrincipal>(reader, tenant_, "app_id", app_id.text()));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

Result<std::optional<Application>> Directory::application_by_identifier(store::Reader& reader,
                                                                        std::string_view uri) {
  const auto row = TRY(reader.get(identifier_table(), tenant_, ascii_lower(uri)));
  if (!row) return std::nullopt;
  if (row->index_values.size() != 1 || !row->index_values.front())
    return internal_error("row " + row->key + " of identity_identifiers names no application");
  return store::get<Application>(reader, tenant_, *row->index_values.front());
}

Result<std::optional<User>> Directory::user_by_name(store::Reader& reader,
                                                    std::string_view user_principal_name) {
  auto found = TRY(store::find<User>(reader, tenant_, "name", ascii_lower(user_principal_name)));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

}  // namespace merlon::identity
