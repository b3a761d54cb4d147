// The agents' authority, made on the first start.
#include "machine/agents_authority.h"

#include "crypto/own_key.h"
#include "crypto/x509.h"

namespace merlon::machine {
namespace {

constexpr std::string_view kKey = "agents";
constexpr std::string_view kKeyContext = "machine_authority/agents/key/1";
constexpr auto kAuthorityLifetime = std::chrono::hours(24 * 365 * 10);
constexpr auto kClockSkew = std::chrono::hours(1);

}  // namespace

const store::TableSpec& AgentsAuthority::table() {
  static const store::TableSpec spec{"machine_authority", {}};
  return spec;
}

Result<AgentsAuthority> AgentsAuthority::open(const resource::Core& core) {
  const auto row = TRY(store::read_value<std::optional<store::Row>>(
      core.store, [&](store::Reader& reader) { return reader.get(table(), core.tenant, kKey); }));
  if (row) {
    const JsonObject json = TRY(parse_json_object(row->body));
    const Secret der = TRY(core.seal.open(kKeyContext, TRY(require_string(json, "key"))));
    return AgentsAuthority(TRY(require_string(json, "certificate")), TRY(crypto::read_own_key(der)));
  }
  auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  const Timestamp now = core.clock.now();
  const std::string pem = TRY(crypto::make_authority({.common_name = "Merlon agents",
                                                      .not_before = now - kClockSkew,
                                                      .not_after = now + kAuthorityLifetime,
                                                      .permitted_dns = {"agents.invalid"}},
                                                     key, core.random));
  const JsonObject json = {{"certificate", pem}, {"key", core.seal.seal(kKeyContext, key.pkcs8_der())}};
  TRY(core.store.write([&](store::Transaction& tx) {
    return tx.put(table(), core.tenant, {std::string(kKey), to_text(json), {}});
  }));
  return AgentsAuthority(pem, std::move(key));
}

Result<std::string> AgentsAuthority::issue(const resource::Core& core, const crypto::PublicKey& key,
                                           const std::string& machine_id) const {
  const Timestamp now = core.clock.now();
  return crypto::issue_leaf({.common_name = machine_id,
                             .dns_names = {},
                             .addresses = {},
                             .use = crypto::LeafUse::tls_client,
                             .not_before = now - kClockSkew,
                             .not_after = now + kAgentCertificateLifetime},
                            key, certificate_pem_, key_, core.random);
}

}  // namespace merlon::machine
