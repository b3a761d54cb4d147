// What is revoked stands beside the vault's issuers, and so does the newest list of each authority.
#include "services/vault/revocation.h"

#include "base/text.h"
#include "crypto/revocation_list.h"

namespace merlon::vault {
namespace {

using crypto::RevocationList;
using std::chrono::hours;

// A list is good for a week, so that a server that is away for a few days stops nobody, and a day old at
// most.
constexpr auto kGoodFor = hours(24 * 7);
constexpr auto kFreshFor = hours(24);
constexpr auto kSkew = std::chrono::minutes(5);  // of the clocks of those who check
constexpr size_t kPage = 500;
constexpr std::string_view kFolder = "crl";

std::string list_path(const RevocationListName& name) {
  return "crl/" + ascii_lower(name.authority) + "/" + name.version;
}
std::string entries_path(const RevocationListName& name) {
  return "revoked/" + ascii_lower(name.authority) + "/" + name.version + "/";
}

std::unexpected<Error> no_list() {
  return fault(ErrorKind::not_found, "RevocationListNotFound",
               "There is no such authority in this key vault, so there is no list of what it has revoked.");
}

// The authority's certificate, whatever has become of the issuer that named it. Nothing: it is none.
Result<std::optional<Version>> authority_version(const Objects& objects, store::Reader& reader,
                                                 const Vault& vault, const RevocationListName& name) {
  const ObjectName object{vault.uid, Kind::certificates, name.authority};
  auto version =
      TRY(store::get<Version>(reader, objects.core().tenant, object.version_prefix() + name.version));
  const auto der = version ? from_base64(version->certificate) : std::nullopt;
  if (!der || der->empty() || !TRY(crypto::read_customer_certificate(*der)).profile.authority)
    return std::optional<Version>();
  return version;
}

class Revocations {
 public:
  explicit Revocations(const resource::Core& core) : objects_(core) {}

  Result<Answer> revoke(Asked& asked, store::Transaction& tx) const {
    const int reason = TRY(reason_of(asked.body));
    const Version version =
        TRY(objects_.require_version(tx, asked.object(Kind::certificates), asked.arguments.at(1)));
    const auto der = from_base64(version.certificate);
    if (!der || der->empty()) return not_ours(version);
    const auto reading = TRY(crypto::read_customer_certificate(*der));
    const RevocationListName name = TRY(list_of(tx, asked.vault(), version, *der, reading));
    const std::string serial = to_hex(reading.serial);
    Setting entry{asked.vault().uid, entries_path(name) + serial, {}};
    if (TRY(store::get<Setting>(tx, tenant(), entry.key())))
      return fault(ErrorKind::conflict, "Conflict",
                   "This version of the certificate '" + version.name.name + "' is revoked already.");
    const std::string text = string_at(asked.body, "reason").value_or("unspecified");
    entry.body = {{"serial", serial},
                  {"at", to_seconds(asked.now)},
                  {"reason", reason},
                  {"expires", to_seconds(reading.not_after)},
                  {"certificate", version.name.name},
                  {"version", version.id}};
    TRY(store::put(tx, tenant(), entry));
    TRY(sign(tx, asked.vault(), name, asked.now));
    asked.details["version"] = version.id;
    asked.details["serial"] = serial;
    asked.details["reason"] = text;
    return Answer{200,
                  {{"id", object_url(asked, version.name, version.id)},
                   {"serial_number", serial},
                   {"revoked", to_seconds(asked.now)},
                   {"reason", text},
                   {"crl", reading.revocation_url}}};
  }

  // Of one authority, with the newest number. Signed with its key, which must still be there.
  Result<Bytes> sign(store::Transaction& tx, const Vault& vault, const RevocationListName& name,
                     Timestamp now) const {
    const auto authority = TRY(authority_version(objects_, tx, vault, name));
    if (!authority) return no_list();
    const Version key =
        TRY(objects_.require_version(tx, {vault.uid, Kind::keys, authority->name.name}, authority->id));
    const crypto::CertificateIssuer issuer{
        from_base64(authority->certificate).value_or(Bytes()),
        TRY(crypto::KeyMaterial::load(TRY(objects_.keyring(vault).open(key.seal_context(), key.sealed)))),
        {}};
    Setting stored{vault.uid, list_path(name), {}};
    const auto before = TRY(store::get<Setting>(tx, tenant(), stored.key()));
    RevocationList list{.number = before ? int_at(before->body, "number").value_or(0) + 1 : 1,
                        .this_update = now - kSkew,
                        .next_update = now + kGoodFor,
                        .revoked = TRY(entries(tx, vault, name, now))};
    Bytes der = TRY(crypto::sign_revocation_list(list, issuer));
    stored.body = {{"number", list.number}, {"made", to_seconds(now)}, {"der", to_base64(der)}};
    TRY(store::put(tx, tenant(), stored));
    return der;
  }

  Result<std::optional<Setting>> stored_list(store::Reader& reader, const Vault& vault,
                                             const RevocationListName& name) const {
    return store::get<Setting>(reader, tenant(), Setting{vault.uid, list_path(name), {}}.key());
  }
  const TenantId& tenant() const { return objects_.core().tenant; }
  const Objects& objects() const { return objects_; }

 private:
  static std::unexpected<Error> not_ours(const Version& version) {
    return bad_parameter(
        "The certificate '" + version.name.name +
        "' was not issued by an authority of this key vault that keeps a list of what it has "
        "revoked: whoever issued it must revoke it.");
  }
  static Result<int> reason_of(const JsonObject& body) {
    const Json* given = body.if_contains("reason");
    if (given == nullptr || given->is_null()) return 0;
    const auto known = given->is_string() ? crypto::revocation_reason(given->get_string()) : std::nullopt;
    if (known) return *known;
    return bad_parameter(
        "reason must be unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or "
        "privilegeWithdrawn.");
  }

  // A certificate says where its list is; that it says the truth, the authority's signature says.
  Result<RevocationListName> list_of(store::Reader& reader, const Vault& vault, const Version& version,
                                     const Bytes& der, const crypto::CertificateReading& reading) const {
    const auto parts = split(reading.revocation_url, '/');
    if (parts.size() < 3 || parts[parts.size() - 3] != kFolder) return not_ours(version);
    RevocationListName name{std::string(parts[parts.size() - 2]), std::string(parts.back())};
    const auto authority = TRY(authority_version(objects_, reader, vault, name));
    const auto issuer = authority ? from_base64(authority->certificate) : std::nullopt;
    if (!issuer || !TRY(crypto::is_issued_by(der, *issuer))) return not_ours(version);
    return name;
  }

  // What has expired meanwhile need not be listed (RFC 5280 section 3.3), but once after its end.
  Result<std::vector<crypto::RevokedCertificate>> entries(store::Reader& reader, const Vault& vault,
                                                          const RevocationListName& name,
                                                          Timestamp now) const {
    std::vector<crypto::RevokedCertificate> found;
    const std::string prefix = Setting{vault.uid, entries_path(name), {}}.key();
    std::string after;
    for (;;) {
      const auto page = TRY(store::scan<Setting>(
          reader, tenant(), {.prefix = prefix, .after = after, .after_key = {}, .limit = kPage}));
      for (const Setting& entry : page) {
        after = entry.key();
        if (int_at(entry.body, "expires").value_or(0) < to_seconds(now - kGoodFor)) continue;
        found.push_back({.serial = from_hex(string_at(entry.body, "serial").value_or("")).value_or(Bytes()),
                         .at = Timestamp(std::chrono::seconds(int_at(entry.body, "at").value_or(0))),
                         .reason = static_cast<int>(int_at(entry.body, "reason").value_or(0))});
      }
      if (page.size() < kPage) return found;
    }
  }

  Objects objects_;
};

bool is_fresh(const std::optional<Setting>& list, Timestamp now) {
  return list && to_seconds(now) < int_at(list->body, "made").value_or(0) +
                                       std::chrono::duration_cast<std::chrono::seconds>(kFreshFor).count();
}

Result<Bytes> der_of(const Setting& list) {
  auto der = from_base64(string_at(list.body, "der").value_or(""));
  if (!der) return internal_error("a stored revocation list is not base64");
  return *std::move(der);
}

}  // namespace

std::string revocation_path(std::string_view authority, std::string_view version) {
  return "/" + std::string(kFolder) + "/" + std::string(authority) + "/" + std::string(version);
}

std::optional<RevocationListName> revocation_list_of(const net::Request& request) {
  if (request.method != "GET" || request.segments.size() != 3 || request.segments[0] != kFolder)
    return std::nullopt;
  return RevocationListName{request.segments[1], ascii_lower(request.segments[2])};
}

Result<Bytes> current_revocation_list(const resource::Core& core, const std::string& vault_name,
                                      const RevocationListName& name) {
  const Revocations revocations(core);
  const Timestamp now = core.clock.now();
  struct Known {
    Vault vault;
    std::optional<Setting> list;
    bool can_sign = false;
  };
  const auto known = TRY(store::read_value<Known>(core.store, [&](store::Reader& reader) -> Result<Known> {
    const auto vault = TRY(store::get<Vault>(reader, core.tenant, vault_name));
    if (!vault || vault->deleted) return no_list();
    auto list = TRY(revocations.stored_list(reader, *vault, name));
    const auto authority = TRY(authority_version(revocations.objects(), reader, *vault, name));
    const bool can_sign =
        authority && TRY(revocations.objects().find(reader, {vault->uid, Kind::keys, authority->name.name}));
    if (!list && !can_sign) return no_list();
    return Known{*vault, std::move(list), can_sign};
  }));
  // An authority whose key is deleted signs no more: its last list is what there is, and nobody who asks for
  // it, which anybody may, makes the store write.
  if (known.list && (!known.can_sign || is_fresh(known.list, now))) return der_of(*known.list);
  const auto made = store::write_value<Bytes>(core.store, [&](store::Transaction& tx) -> Result<Bytes> {
    const auto vault = TRY(store::get<Vault>(tx, core.tenant, vault_name));
    if (!vault || vault->deleted) return no_list();
    // Another may have been faster.
    if (const auto list = TRY(revocations.stored_list(tx, *vault, name)); is_fresh(list, now))
      return der_of(*list);
    Bytes der = TRY(revocations.sign(tx, *vault, name, now));
    ledger::Entry entry;
    entry.time = now;
    entry.actor = {.kind = "System", .object_id = {}, .name = "merlon", .address = {}};
    entry.action = "Microsoft.KeyVault/vaults/certificates/crl/action";
    entry.resource = vault->resource_id + "/certificates/" + name.authority + "/" + name.version;
    entry.reason = "the list of revoked certificates was a day old";
    TRY(core.ledger.append(tx, entry));
    return der;
  });
  // Its key was deleted meanwhile.
  if (!made && known.list && made.error().kind == ErrorKind::not_found) return der_of(*known.list);
  return made;
}

void add_revocation_operations(const resource::Core& core, const AddOperation& add) {
  const auto revocations = std::make_shared<Revocations>(core);
  add({.method = "POST",
       .path = "certificates/{name}/{version}/revoke",
       .action = "certificates/revoke/action",
       .policy_kind = "certificates",
       .policy_word = "delete",  // Azure has no word for it
       .write = [revocations](Asked& asked, store::Transaction& tx) {
         return revocations->revoke(asked, tx);
       }});
}

}  // namespace merlon::vault
