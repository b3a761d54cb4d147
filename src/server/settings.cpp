// The one row of settings, with the authority's key sealed.
#include "server/settings.h"

#include "base/json.h"
#include "base/time_text.h"
#include "crypto/x509.h"

namespace merlon::server {
namespace {

constexpr std::string_view kDefaultDomain = "merlon.localhost";
constexpr std::string_view kKey = "settings";
constexpr std::string_view kKeyContext = "server_settings/settings/authority_key/1";
constexpr auto kAuthorityLifetime = std::chrono::hours(24 * 365 * 10);
constexpr auto kClockSkew = std::chrono::hours(1);

// Settings come before there is a tenant, so they stand under the nil one.
const TenantId kNoTenant{};

const store::TableSpec& settings_table() {
  static const store::TableSpec spec{"server_settings", {}};
  return spec;
}

Result<Settings> make_settings(const Clock& clock, Random& random, const std::string& domain) {
  Settings settings;
  settings.tenant = TenantId{Uuid::generate(random)};
  settings.subscription = Uuid::generate(random);
  settings.domain = domain;
  settings.created = clock.now();
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  settings.authority_pem = TRY(crypto::make_authority({.common_name = "Merlon " + domain,
                                                       .not_before = settings.created - kClockSkew,
                                                       .not_after = settings.created + kAuthorityLifetime,
                                                       .permitted_dns = {domain, "localhost"}},
                                                      key, random));
  settings.authority_key_der = key.pkcs8_der();
  return settings;
}

Result<Uuid> require_uuid(const JsonObject& json, std::string_view key) {
  const auto uuid = Uuid::parse(TRY(require_string(json, key)));
  if (!uuid) return internal_error("stored settings have a malformed " + std::string(key));
  return *uuid;
}

Result<Settings> read_settings(const store::Row& row, const seal::Seal& seal) {
  const JsonObject json = TRY(parse_json_object(row.body));
  Settings settings;
  settings.tenant = TenantId{TRY(require_uuid(json, "tenantId"))};
  settings.subscription = TRY(require_uuid(json, "subscriptionId"));
  settings.domain = TRY(require_string(json, "domain"));
  const auto created = from_rfc3339(TRY(require_string(json, "created")));
  if (!created) return internal_error("stored settings have a malformed created");
  settings.created = *created;
  settings.authority_pem = TRY(require_string(json, "authority"));
  settings.authority_key_der = TRY(seal.open(kKeyContext, TRY(require_string(json, "authorityKey"))));
  return settings;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {settings_table()};
  return specs;
}

Result<Settings> open_settings(store::Store& store, const seal::Seal& seal, const Clock& clock,
                               Random& random, const std::string& domain) {
  const auto row = TRY(store::read_value<std::optional<store::Row>>(
      store, [](store::Reader& reader) { return reader.get(settings_table(), kNoTenant, kKey); }));
  if (row) {
    Settings settings = TRY(read_settings(*row, seal));
    if (!domain.empty() && settings.domain != domain)
      return fail(ErrorKind::invalid, "DomainMismatch",
                  "This state directory belongs to the domain '" + settings.domain + "', not '" + domain +
                      "'. Start with --domain " + settings.domain + ", or give another --state directory.");
    return settings;
  }
  Settings settings =
      TRY(make_settings(clock, random, domain.empty() ? std::string(kDefaultDomain) : domain));
  const JsonObject json = {{"tenantId", settings.tenant.text()},
                           {"subscriptionId", settings.subscription.text()},
                           {"domain", settings.domain},
                           {"created", to_rfc3339(settings.created)},
                           {"authority", settings.authority_pem},
                           {"authorityKey", seal.seal(kKeyContext, settings.authority_key_der)}};
  TRY(store.write([&](store::Transaction& tx) {
    return tx.put(settings_table(), kNoTenant, {std::string(kKey), to_text(json), {}});
  }));
  return settings;
}

}  // namespace merlon::server
