// Certificates whose policy has something to do: renew, or tell the contacts.
#include "base/log.h"
#include "services/vault/certificates.h"
#include "services/vault/service.h"

namespace merlon::vault {
namespace {

constexpr auto kTryAgain = std::chrono::hours(1);

struct DueCertificate {
  Object object;
  Vault vault;
  Certificate certificate;
  LifetimeStep step;
};

// Nothing: the certificate is not renewed. Else what was found of a key that is used again.
using Reused = std::optional<Result<std::optional<CertificateKey>>>;

std::optional<Result<CertificateKey>> key_of(const Certificates& certificates, const DueCertificate& due,
                                             const Reused& reused) {
  if (!reused) return std::nullopt;
  if (!*reused) return std::unexpected(reused->error());
  if (**reused) return Result<CertificateKey>(***reused);
  return certificates.new_key(due.certificate.policy);
}

// An authority near its end gives nothing that lasts longer: renewing would never stop.
Result<std::vector<Bytes>> longer_than(const Facts& facts, std::vector<Bytes> chain) {
  const auto reading = TRY(crypto::read_customer_certificate(chain.front()));
  if (to_seconds(reading.not_after) > facts.expires.value_or(0)) return chain;
  return bad_parameter(
      "The issuer gave a certificate that ends no later than the one it was to replace. Renew the authority, "
      "or name another issuer.");
}

// Why not, too, when there is no key that the policy may have.
Result<std::vector<Bytes>> chain_for(const Certificates& certificates, store::Reader& reader,
                                     const DueCertificate& due, const Result<CertificateKey>& key,
                                     Timestamp now) {
  if (!key) return std::unexpected(key.error());
  auto chain = TRY(certificates.sign(reader, due.vault, due.certificate.policy, key->material, now));
  return longer_than(due.object.facts, std::move(chain));
}

}  // namespace

// The new key is made before the transaction; whether it is still wanted is asked again inside. What cannot
// be renewed (its authority is gone, say) is tried again every hour, and each failure is entered.
Result<void> Service::renew_due_certificate(const Guard& guard, const std::string& key, Timestamp now) {
  const Certificates certificates(platform_.core);
  const TenantId& tenant = platform_.core.tenant;
  const auto find_due = [&](store::Reader& reader) -> Result<std::optional<DueCertificate>> {
    const auto object = TRY(store::get<Object>(reader, tenant, key));
    if (!object || object->deleted || !object->rotate_due || *object->rotate_due > now)
      return std::optional<DueCertificate>();
    auto vault = TRY(vault_of(reader, *object));
    if (!vault) return std::optional<DueCertificate>();
    Certificate certificate = TRY(certificates.require(reader, object->name));
    const auto step = next_step(certificate, object->current, object->facts);
    return DueCertificate{*object, *std::move(vault), std::move(certificate), step.value_or(LifetimeStep{})};
  };
  Reused reused;
  const auto due = TRY(store::read_value<std::optional<DueCertificate>>(
      platform_.core.store, [&](store::Reader& reader) -> Result<std::optional<DueCertificate>> {
        auto found = TRY(find_due(reader));
        if (found && found->step.renews && !found->vault.deleted)
          reused =
              certificates.key_to_reuse(reader, found->vault, found->object.name, found->certificate.policy);
        return found;
      }));
  if (!due) return {};
  const std::optional<Result<CertificateKey>> ready = key_of(certificates, *due, reused);
  if (ready && !*ready && ready->error().kind != ErrorKind::invalid) return std::unexpected(ready->error());
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    if (guard) TRY(guard(tx));
    auto current = TRY(find_due(tx));
    if (!current) return {};
    const std::string resource = current->vault.resource_id + "/certificates/" + current->object.name.name;
    const auto put_off = [&] {
      current->object.rotate_due = now + kTryAgain;
      return store::put(tx, tenant, current->object);
    };
    // A deleted vault's certificates wait for it; one with a request under way waits for that.
    Certificate& certificate = current->certificate;
    if (current->vault.deleted || (certificate.pending && certificate.pending->status == "inProgress"))
      return put_off();
    return platform_.resources.as_system(
        tx, "the certificate's policy", [&](resource::WriteContext& context) -> Result<void> {
          if (current->step.due > now || current->step.due == Timestamp{})
            return certificates.schedule(tx, certificate);
          if (!current->step.renews) {
            certificate.noticed = current->object.current;
            TRY(store::put(tx, tenant, certificate));
            TRY(certificates.schedule(tx, certificate));
            log(LogLevel::warning,
                "a certificate ends soon, and its policy says to tell the vault's contacts",
                {{"certificate", resource}});
            return context.record("Microsoft.KeyVault/vaults/certificates/nearExpiry/action", resource,
                                  {{"version", current->object.current}});
          }
          if (!ready) return put_off();
          const auto chain = chain_for(certificates, tx, *current, *ready, now);
          if (!chain) {
            if (chain.error().kind != ErrorKind::invalid) return std::unexpected(chain.error());
            TRY(put_off());
            return context.record("Microsoft.KeyVault/vaults/certificates/renew/action", resource,
                                  {{"failed", chain.error().message}});
          }
          NewCertificate made{certificates.objects().new_version_id(), current->object.facts, **ready,
                              *chain};
          made.facts.created = made.facts.updated = to_seconds(now);
          const Version version =
              TRY(certificates.complete(tx, current->vault, certificate, std::move(made)));
          return context.record("Microsoft.KeyVault/vaults/certificates/renew/action", resource,
                                {{"version", version.id}});
        });
  });
}

}  // namespace merlon::vault
