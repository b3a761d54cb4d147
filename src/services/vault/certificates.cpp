// Versions of certificates with their keys and secrets, and the policies that say how they are made.
#include "services/vault/certificates.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/key_bundle.h"
#include "services/vault/keys.h"

namespace merlon::vault {
namespace {

using crypto::KeyMaterial;

constexpr size_t kRequestIdBytes = 16;

const std::string& version_of(const Asked& asked) { return asked.arguments.at(1); }

std::unexpected<Error> taken(const ObjectName& name) {
  return fault(ErrorKind::conflict, "Conflict",
               "A " + std::string(name.kind == Kind::keys ? "key" : "secret") + " named '" + name.name +
                   "' exists in this key vault and is no certificate's. A certificate brings a key and a "
                   "secret of its own name: choose another name.");
}

// The secret of a certificate: without its private key when that does not leave the vault.
Result<Secret> secret_value(const JsonObject& policy, const NewCertificate& made, bool exportable) {
  const crypto::KeyBundle bundle{made.key.material, made.chain};
  const crypto::KeyInBundle key = exportable ? crypto::KeyInBundle::yes : crypto::KeyInBundle::no;
  if (string_at(policy, "secret_props.contentType") == kPem) return crypto::write_pem_bundle(bundle, key);
  const Secret pfx = TRY(crypto::write_pfx(bundle, key));
  return Secret(to_base64(pfx.expose()));
}

// Facts of a body, without what the certificate itself says.
Result<Facts> read_certificate_facts(const JsonObject& body, Facts facts, Timestamp now) {
  const auto not_before = facts.not_before, expires = facts.expires;
  JsonObject said = body;
  said.erase("contentType");
  if (const Json* attributes = said.if_contains("attributes");
      attributes != nullptr && attributes->is_object()) {
    said.at("attributes").as_object().erase("nbf");
    said.at("attributes").as_object().erase("exp");
  }
  facts = TRY(read_facts(said, std::move(facts), now));
  facts.not_before = not_before;
  facts.expires = expires;
  return facts;
}

Result<const JsonObject*> policy_in(const JsonObject& body) {
  const Json* policy = body.if_contains("policy");
  if (policy == nullptr || policy->is_null()) return nullptr;
  if (!policy->is_object()) return bad_parameter("policy is not an object.");
  return &policy->get_object();
}

}  // namespace

Result<Certificate> Certificates::require(store::Reader& reader, const ObjectName& name) const {
  TRY(objects_.require(reader, name));
  auto certificate = TRY(store::get<Certificate>(reader, objects_.core().tenant, name.key()));
  if (!certificate) return internal_error("the policy of " + name.key() + " is not there");
  return *std::move(certificate);
}

Result<void> Certificates::require_names_free(store::Reader& reader, const ObjectName& name) const {
  for (const Kind kind : {Kind::certificates, Kind::keys, Kind::secrets}) {
    const ObjectName one{name.vault, kind, name.name};
    TRY(objects_.require_free(reader, one));
    const auto object = TRY(objects_.find(reader, one));
    if (object && kind != Kind::certificates && !object->facts.managed) return taken(one);
  }
  return {};
}

Result<std::optional<CertificateKey>> Certificates::key_to_reuse(store::Reader& reader, const Vault& vault,
                                                                 const ObjectName& name,
                                                                 const JsonObject& policy) const {
  const ObjectName key_name{name.vault, Kind::keys, name.name};
  if (!bool_at(policy, "key_props.reuse_key").value_or(false) || !TRY(objects_.find(reader, key_name)))
    return std::optional<CertificateKey>();
  const Version newest = TRY(objects_.require_version(reader, key_name, {}));
  const bool exportable = newest.facts.exportable.value_or(false);
  if (is_exportable(policy) && !exportable)
    return bad_parameter(
        "The key of the certificate '" + name.name +
        "' was made not to leave the vault: with 'reuse_key' the policy cannot have it 'exportable'. Leave "
        "one of the two out; without 'reuse_key' a new key is made.");
  return CertificateKey{
      TRY(KeyMaterial::load(TRY(objects_.keyring(vault).open(newest.seal_context(), newest.sealed)))),
      exportable};
}

Result<CertificateKey> Certificates::new_key(const JsonObject& policy) const {
  return CertificateKey{TRY(generate_key(*object_at(policy, "key_props"), objects_.core().random)),
                        is_exportable(policy)};
}

Result<std::vector<Bytes>> Certificates::sign(store::Reader& reader, const Vault& vault,
                                              const JsonObject& policy, const KeyMaterial& material,
                                              Timestamp now) const {
  const crypto::CertificateProfile profile = profile_of(policy);
  const crypto::CertificateTimes times = times_of(policy, now);
  Random& random = objects_.core().random;
  if (issuer_of(policy) == kSelf) {
    std::vector<Bytes> chain;
    chain.push_back(TRY(crypto::self_sign(profile, times, material, random)));
    return chain;
  }
  if (profile.authority) return bad_parameter("An authority's certificate is made with the issuer Self.");
  const auto issuer = TRY(issuer_named(objects_, reader, vault, issuer_of(policy), now));
  std::vector<Bytes> chain;
  chain.push_back(TRY(crypto::issue_certificate(profile, times, material, issuer, random)));
  chain.push_back(issuer.certificate_der);
  return chain;
}

// Out of any transaction: the policy and the key.
Result<void> Certificates::make(Asked& asked) const {
  JsonObject policy;
  std::optional<CertificateKey> key;
  TRY(objects_.core().store.read([&](store::Reader& reader) -> Result<void> {
    const ObjectName name = asked.object(Kind::certificates);
    TRY(require_names_free(reader, name));
    const JsonObject* given = TRY(policy_in(asked.body));
    const auto before = TRY(store::get<Certificate>(reader, objects_.core().tenant, name.key()));
    if (given == nullptr && !before)
      return bad_parameter("The body needs 'policy': this certificate is new.");
    policy = given == nullptr ? before->policy : TRY(read_certificate_policy(*given, {}));
    key = TRY(key_to_reuse(reader, asked.vault(), name, policy));
    return {};
  }));
  if (!key) key = TRY(new_key(policy));
  asked.gathered = MadeCertificate{*std::move(key), {}, std::move(policy)};
  return {};
}

// Of whoever writes the policy: the timer has it signed again later, in nobody's name.
Result<void> Certificates::require_issuer(const Asked& asked, store::Reader& reader,
                                          const JsonObject& policy) const {
  const std::string issuer = issuer_of(policy);
  if (issuer == kSelf || issuer == kUnknown) return {};
  return check_issuer_right(objects_.core(), reader, asked, issuer);
}

// The certificate's record with the policy that the request brings; refused while another version is under
// way.
Result<Certificate> Certificates::to_change(Asked& asked, store::Transaction& tx, JsonObject policy) const {
  ObjectName name = asked.object(Kind::certificates);
  TRY(require_names_free(tx, name));
  if (const auto object = TRY(objects_.find(tx, name))) name = object->name;
  Certificate certificate =
      TRY(store::get<Certificate>(tx, objects_.core().tenant, name.key()))
          .value_or(Certificate{.name = name, .policy = {}, .noticed = {}, .pending = {}});
  if (certificate.pending && certificate.pending->status == "inProgress")
    return fault(ErrorKind::conflict, "Conflict",
                 "The certificate '" + name.name +
                     "' has a request under way. Merge its certificate, or cancel it, before making another.",
                 "PendingCertificate");
  if (TRY(policy_in(asked.body)) != nullptr) TRY(require_issuer(asked, tx, policy));
  if (certificate.policy_created == 0) certificate.policy_created = to_seconds(asked.now);
  if (certificate.policy != policy) certificate.policy_updated = to_seconds(asked.now);
  certificate.policy = std::move(policy);
  return certificate;
}

Result<Answer> Certificates::create(Asked& asked, store::Transaction& tx) const {
  const auto* made = std::any_cast<MadeCertificate>(&asked.gathered);
  Certificate certificate = TRY(to_change(asked, tx, made->policy));
  const resource::Core& core = objects_.core();
  PendingRequest request;
  request.request_id = to_hex(core.random.bytes(kRequestIdBytes));
  request.version = objects_.new_version_id();
  request.issuer = issuer_of(certificate.policy);
  request.issuer_type = string_at(certificate.policy, "issuer.cty").value_or("");
  request.facts = TRY(read_certificate_facts(asked.body, {}, asked.now));
  request.csr =
      to_base64(TRY(crypto::make_certificate_request(profile_of(certificate.policy), made->key.material)));
  asked.details["version"] = request.version;
  asked.details["issuer"] = request.issuer;
  const bool elsewhere = request.issuer == kUnknown;
  request.status = elsewhere ? "inProgress" : "completed";
  certificate.pending = std::move(request);
  if (elsewhere) {
    TRY(wait_for_merge(tx, asked.vault(), certificate, made->key));
  } else {
    auto chain = TRY(sign(tx, asked.vault(), certificate.policy, made->key.material, asked.now));
    const PendingRequest& done = *certificate.pending;
    TRY(complete(tx, asked.vault(), certificate, {done.version, done.facts, made->key, std::move(chain)}));
  }
  TRY(store::put(tx, core.tenant, certificate));
  return Answer{202, shown_operation(asked, certificate)};
}

// The key waits with the request. A certificate that is new is there already, without being one yet.
Result<void> Certificates::wait_for_merge(store::Transaction& tx, const Vault& vault,
                                          Certificate& certificate, const CertificateKey& key) const {
  PendingRequest& request = *certificate.pending;
  request.exportable = key.exportable;
  request.sealed = TRY(objects_.keyring(vault).seal(request.seal_context(certificate.name),
                                                    key.material.store(), objects_.core().random));
  const auto object = TRY(objects_.find(tx, certificate.name));
  if (object && !object->facts.pending) return {};
  // One that waited before and was cancelled.
  if (object)
    TRY(tx.erase(Version::table(), objects_.core().tenant, object->name.version_prefix() + object->current));
  Version version;
  version.name = certificate.name;
  version.id = request.version;
  version.facts = request.facts;
  version.facts.enabled = false;
  version.facts.pending = true;
  TRY(objects_.add_version(tx, version));
  return {};
}

Result<Version> Certificates::complete(store::Transaction& tx, const Vault& vault,
                                       const Certificate& certificate, NewCertificate made) const {
  const resource::Core& core = objects_.core();
  const auto reading = TRY(crypto::read_customer_certificate(made.chain.front()));
  const ObjectName& name = certificate.name;
  // The policy may have been changed since the key was made, and lets no key out that was made to stay.
  const bool exportable = made.key.exportable && is_exportable(certificate.policy);
  if (const auto object = TRY(objects_.find(tx, name)); object && object->facts.pending)
    TRY(tx.erase(Version::table(), core.tenant, name.version_prefix() + object->current));
  Version version;
  version.name = name;
  version.id = made.version;
  version.facts = made.facts;
  version.facts.not_before = to_seconds(reading.not_before);
  version.facts.expires = to_seconds(reading.not_after);
  Facts shared = version.facts;
  version.facts.thumbprint = to_base64url(reading.thumbprint);
  version.certificate = to_base64(made.chain.front());
  TRY(objects_.add_version(tx, version));
  TRY(schedule(tx, certificate));

  shared.managed = true;
  const Keyring keyring = objects_.keyring(vault);
  Version key = new_key_version(objects_, {name.vault, Kind::keys, name.name}, made.key.material);
  key.id = made.version;
  key.facts = shared;
  key.facts.exportable = exportable;
  key.key_ops = TRY(read_key_ops(nullptr, made.key.material.kind(), true));
  key.sealed = TRY(keyring.seal(key.seal_context(), made.key.material.store(), core.random));
  TRY(objects_.add_version(tx, key));

  Version secret;
  secret.name = {name.vault, Kind::secrets, name.name};
  secret.id = made.version;
  secret.facts = shared;
  secret.facts.content_type = string_at(certificate.policy, "secret_props.contentType").value_or("");
  secret.sealed = TRY(keyring.seal(secret.seal_context(),
                                   TRY(secret_value(certificate.policy, made, exportable)), core.random));
  TRY(objects_.add_version(tx, secret));
  return version;
}

Result<void> Certificates::schedule(store::Transaction& tx, const Certificate& certificate) const {
  Object object = TRY(objects_.require(tx, certificate.name));
  const auto next = next_step(certificate, object.current, object.facts);
  object.rotate_due = next ? std::optional(next->due) : std::nullopt;
  return store::put(tx, objects_.core().tenant, object);
}

Result<void> Certificates::take(Asked& asked) const {
  const Secret value(TRY(required_text(asked.body, "value")));
  const Secret password(string_at(asked.body, "pwd").value_or(""));
  const bool pem = value.expose_text().find("-----BEGIN") != std::string_view::npos;
  std::optional<crypto::KeyBundle> bundle;
  if (pem) {
    bundle = TRY(crypto::read_pem_bundle(value));
  } else {
    const auto der = from_base64(value.expose_text());
    if (!der) return bad_parameter("'value' is neither PEM nor a PFX in base64.");
    const Secret pfx(*der);
    bundle = TRY(crypto::read_pfx(pfx.expose(), password));
  }
  const JsonObject* given = TRY(policy_in(asked.body));
  const auto reading = TRY(crypto::read_customer_certificate(bundle->certificates_der.front()));
  JsonObject policy = TRY(
      policy_of_imported(reading, bundle->key, given == nullptr ? JsonObject() : *given, pem ? kPem : kPfx));
  asked.gathered =
      MadeCertificate{{bundle->key, true}, std::move(bundle->certificates_der), std::move(policy)};
  asked.details["imported"] = true;
  return {};
}

Result<Answer> Certificates::import(Asked& asked, store::Transaction& tx) const {
  const auto* made = std::any_cast<MadeCertificate>(&asked.gathered);
  Certificate certificate = TRY(to_change(asked, tx, made->policy));
  certificate.pending.reset();
  const Version version =
      TRY(complete(tx, asked.vault(), certificate,
                   {objects_.new_version_id(), TRY(read_certificate_facts(asked.body, {}, asked.now)),
                    made->key, made->chain}));
  TRY(store::put(tx, objects_.core().tenant, certificate));
  asked.details["version"] = version.id;
  return Answer{200, TRY(shown_whole(objects_.core(), asked, tx, version))};
}

Result<Answer> Certificates::get(Asked& asked, store::Reader& reader) const {
  const Version version =
      TRY(objects_.require_version(reader, asked.object(Kind::certificates), version_of(asked)));
  return Answer{200, TRY(shown_whole(objects_.core(), asked, reader, version))};
}

// What is said of a certificate holds for its key and its secret.
Result<Answer> Certificates::update(Asked& asked, store::Transaction& tx) const {
  Version version = TRY(objects_.require_version(tx, asked.object(Kind::certificates), version_of(asked)));
  if (version.facts.pending)
    return fault(ErrorKind::conflict, "Conflict", "The certificate is not issued yet. Merge it first.",
                 "PendingCertificate");
  Certificate certificate = TRY(require(tx, version.name));
  if (const JsonObject* given = TRY(policy_in(asked.body))) {
    certificate.policy = TRY(read_certificate_policy(*given, certificate.policy));
    TRY(require_issuer(asked, tx, certificate.policy));
    certificate.policy_updated = to_seconds(asked.now);
    TRY(store::put(tx, objects_.core().tenant, certificate));
  }
  version.facts = TRY(read_certificate_facts(asked.body, std::move(version.facts), asked.now));
  TRY(objects_.change_version(tx, version));
  for (const Kind kind : {Kind::keys, Kind::secrets}) {
    Version managed =
        TRY(objects_.require_version(tx, {version.name.vault, kind, version.name.name}, version.id));
    managed.facts.enabled = version.facts.enabled;
    managed.facts.tags = version.facts.tags;
    managed.facts.updated = version.facts.updated;
    TRY(objects_.change_version(tx, managed));
  }
  TRY(schedule(tx, certificate));
  asked.details["version"] = version.id;
  return Answer{200, TRY(shown_whole(objects_.core(), asked, tx, version))};
}

Result<Answer> Certificates::policy(Asked& asked, store::Reader& reader) const {
  return Answer{200, shown_policy(asked, TRY(require(reader, asked.object(Kind::certificates))))};
}

Result<Answer> Certificates::set_policy(Asked& asked, store::Transaction& tx) const {
  Certificate certificate = TRY(require(tx, asked.object(Kind::certificates)));
  certificate.policy = TRY(read_certificate_policy(asked.body, certificate.policy));
  TRY(require_issuer(asked, tx, certificate.policy));
  certificate.policy_updated = to_seconds(asked.now);
  TRY(store::put(tx, objects_.core().tenant, certificate));
  TRY(schedule(tx, certificate));
  return Answer{200, shown_policy(asked, certificate)};
}

}  // namespace merlon::vault
