// A vault's contacts and issuers. An issuer here is the customer's own authority: a certificate in the same
// vault that may issue others. Merlon trusts none of them, and asks no authority elsewhere: for those there
// is the issuer "Unknown", with a request and a merge.
#include "base/text.h"
#include "services/vault/certificates.h"
#include "services/vault/revocation.h"

namespace merlon::vault {
namespace {

constexpr std::string_view kContacts = "contacts";
constexpr std::string_view kProvider = "Merlon";
constexpr size_t kContactsMax = 100;
constexpr size_t kTextMax = 256;

std::unexpected<Error> no_issuer(std::string_view name) {
  return fault(ErrorKind::not_found, "CertificateIssuerNotFound",
               "There is no issuer '" + std::string(name) + "' in this key vault.");
}

Result<void> check_texts(const JsonObject& from, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const Json* value = from.if_contains(key);
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_string() || value->get_string().size() > kTextMax)
      return bad_parameter("'" + std::string(key) + "' is not a text of at most 256 bytes.");
  }
  return {};
}

// Those of `keys` that are there and say something.
JsonObject kept(const JsonObject& from, std::initializer_list<std::string_view> keys) {
  JsonObject out;
  for (const std::string_view key : keys)
    if (const Json* value = from.if_contains(key); value != nullptr && !value->is_null()) out[key] = *value;
  return out;
}

Result<JsonArray> read_contacts(const JsonObject& body) {
  const JsonArray* given = array_at(body, "contacts");
  if (given == nullptr || given->empty() || given->size() > kContactsMax)
    return bad_parameter("The body needs 'contacts', a list of 1 to 100.");
  JsonArray contacts;
  for (const Json& one : *given) {
    if (!one.is_object()) return bad_parameter("A contact is not an object.");
    TRY(check_texts(one.get_object(), {"email", "name", "phone"}));
    const std::string email = string_at(one.get_object(), "email").value_or("");
    if (email.find('@') == std::string::npos) return bad_parameter("A contact needs 'email', an address.");
    contacts.push_back(kept(one.get_object(), {"email", "name", "phone"}));
  }
  return contacts;
}

Result<JsonObject> read_organization(const JsonObject& given) {
  TRY(check_texts(given, {"id"}));
  JsonObject organization = kept(given, {"id"});
  const JsonArray* people = array_at(given, "admin_details");
  if (people == nullptr) return organization;
  if (people->size() > kContactsMax) return bad_parameter("There are more than 100 admin_details.");
  JsonArray administrators;
  for (const Json& one : *people) {
    if (!one.is_object()) return bad_parameter("A member of admin_details is not an object.");
    TRY(check_texts(one.get_object(), {"first_name", "last_name", "email", "phone"}));
    administrators.push_back(kept(one.get_object(), {"first_name", "last_name", "email", "phone"}));
  }
  organization["admin_details"] = std::move(administrators);
  return organization;
}

class Settings {
 public:
  explicit Settings(const resource::Core& core) : objects_(core) {}

  Result<Answer> contacts(Asked& asked, store::Reader& reader) const {
    const auto setting = TRY(find(reader, asked.vault(), std::string(kContacts)));
    if (!setting) return no_contacts();
    return Answer{200, shown_contacts(asked, *setting)};
  }
  Result<Answer> set_contacts(Asked& asked, store::Transaction& tx) const {
    const Setting setting{
        asked.vault().uid, std::string(kContacts), {{"contacts", TRY(read_contacts(asked.body))}}};
    TRY(store::put(tx, tenant(), setting));
    return Answer{200, shown_contacts(asked, setting)};
  }
  Result<Answer> remove_contacts(Asked& asked, store::Transaction& tx) const {
    const auto setting = TRY(find(tx, asked.vault(), std::string(kContacts)));
    if (!setting) return no_contacts();
    TRY(store::erase<Setting>(tx, tenant(), setting->key()));
    return Answer{200, shown_contacts(asked, *setting)};
  }

  Result<Answer> issuers(Asked& asked, store::Reader& reader) const {
    return list_rows(objects_.core(), asked, reader, Setting::table(), asked.vault().uid.text() + "/issuers/",
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Setting setting = TRY(store::decode<Setting>(row));
                       return JsonObject{{"id", url(asked, setting)},
                                         {"provider", setting.body.at("provider")}};
                     });
  }
  Result<Answer> issuer(Asked& asked, store::Reader& reader) const {
    return Answer{200, shown_issuer(asked, TRY(require(asked, reader)))};
  }
  Result<Answer> set_issuer(Asked& asked, store::Transaction& tx) const {
    const std::string& name = asked.arguments.at(0);
    for (const std::string_view reserved : {kSelf, kUnknown})
      if (ascii_iequal(name, reserved))
        return bad_parameter("Self and Unknown are issuers already, and no others can have their names.");
    const auto before = TRY(find(tx, asked.vault(), issuer_path(name)));
    Setting setting = before.value_or(Setting{asked.vault().uid, issuer_path(name), {{"name", name}}});
    setting.body = TRY(read_issuer(asked, tx, std::move(setting.body)));
    TRY(store::put(tx, tenant(), setting));
    asked.details["authority"] = setting.body.at("authority");
    return Answer{200, shown_issuer(asked, setting)};
  }
  Result<Answer> update_issuer(Asked& asked, store::Transaction& tx) const {
    Setting setting = TRY(require(asked, tx));
    setting.body = TRY(read_issuer(asked, tx, std::move(setting.body)));
    TRY(store::put(tx, tenant(), setting));
    asked.details["authority"] = setting.body.at("authority");
    return Answer{200, shown_issuer(asked, setting)};
  }
  Result<Answer> remove_issuer(Asked& asked, store::Transaction& tx) const {
    const Setting setting = TRY(require(asked, tx));
    TRY(store::erase<Setting>(tx, tenant(), setting.key()));
    return Answer{200, shown_issuer(asked, setting)};
  }

 private:
  const TenantId& tenant() const { return objects_.core().tenant; }
  Result<std::optional<Setting>> find(store::Reader& reader, const Vault& vault, std::string path) const {
    return store::get<Setting>(reader, tenant(), Setting{vault.uid, std::move(path), {}}.key());
  }
  Result<Setting> require(const Asked& asked, store::Reader& reader) const {
    auto setting = TRY(find(reader, asked.vault(), issuer_path(asked.arguments.at(0))));
    if (!setting) return no_issuer(asked.arguments.at(0));
    return *std::move(setting);
  }
  static std::unexpected<Error> no_contacts() {
    return fault(ErrorKind::not_found, "ContactsNotFound", "This key vault has no certificate contacts.");
  }

  // The account of an issuer is the name of its authority's certificate. Its password is never kept: there is
  // nobody to give it to.
  Result<JsonObject> read_issuer(const Asked& asked, store::Reader& reader, JsonObject issuer) const {
    TRY(check_texts(asked.body, {"provider"}));
    const std::string provider =
        string_at(asked.body, "provider").value_or(string_at(issuer, "provider").value_or(""));
    if (!ascii_iequal(provider, kProvider))
      return bad_parameter(
          "provider must be Merlon, with the name of an authority's certificate in this vault as "
          "credentials.account_id ('merlon ca create' makes one). For another authority, use the issuer "
          "Unknown: send it the request, and merge what it signs.");
    issuer["provider"] = kProvider;
    const std::string authority =
        string_at(asked.body, "credentials.account_id").value_or(string_at(issuer, "authority").value_or(""));
    const ObjectName name{asked.vault().uid, Kind::certificates, authority};
    const auto object = TRY(objects_.find(reader, name));
    if (authority.empty() || !object || object->facts.pending)
      return bad_parameter("credentials.account_id names no certificate of this vault.");
    const Version version = TRY(objects_.require_version(reader, name, {}));
    const auto der = from_base64(version.certificate);
    if (!der || !TRY(crypto::read_customer_certificate(*der)).profile.authority)
      return bad_parameter("The certificate '" + authority +
                           "' may not issue others. Make an authority's with 'merlon ca create'.");
    issuer["authority"] = version.name.name;
    issuer["revocationOrigin"] = asked.origin;
    if (const JsonObject* organization = object_at(asked.body, "org_details"))
      issuer["org_details"] = TRY(read_organization(*organization));
    const auto enabled = bool_at(asked.body, "attributes.enabled");
    issuer["enabled"] = enabled.value_or(bool_at(issuer, "enabled").value_or(true));
    issuer["updated"] = to_seconds(asked.now);
    if (!issuer.contains("created")) issuer["created"] = issuer.at("updated");
    return issuer;
  }

  static std::string url(const Asked& asked, const Setting& setting) {
    return asked.origin + "/certificates/issuers/" + string_at(setting.body, "name").value_or("");
  }
  static JsonObject shown_contacts(const Asked& asked, const Setting& setting) {
    return {{"id", asked.origin + "/certificates/contacts"}, {"contacts", setting.body.at("contacts")}};
  }
  static JsonObject shown_issuer(const Asked& asked, const Setting& setting) {
    const JsonObject& body = setting.body;
    JsonObject shown{{"id", url(asked, setting)},
                     {"provider", body.at("provider")},
                     {"credentials", {{"account_id", body.at("authority")}}}};
    if (const JsonObject* organization = object_at(body, "org_details")) shown["org_details"] = *organization;
    shown["attributes"] = JsonObject{
        {"enabled", body.at("enabled")}, {"created", body.at("created")}, {"updated", body.at("updated")}};
    return shown;
  }

  Objects objects_;
};

}  // namespace

Result<crypto::CertificateIssuer> issuer_named(const Objects& objects, store::Reader& reader,
                                               const Vault& vault, std::string_view name, Timestamp now) {
  const auto setting = TRY(
      store::get<Setting>(reader, objects.core().tenant, Setting{vault.uid, issuer_path(name), {}}.key()));
  const std::string shown(name);
  if (!setting)
    return bad_parameter("There is no issuer '" + shown +
                         "' in this key vault. Use Self, Unknown, or one that 'merlon ca create' makes.");
  if (!bool_at(setting->body, "enabled").value_or(false))
    return bad_parameter("The issuer '" + shown + "' is disabled.");
  const std::string authority = string_at(setting->body, "authority").value_or("");
  const auto object = TRY(objects.find(reader, {vault.uid, Kind::certificates, authority}));
  if (!object || !object->facts.enabled || object->facts.expires.value_or(0) <= to_seconds(now))
    return bad_parameter("The authority '" + authority + "' of the issuer '" + shown +
                         "' is deleted, disabled or has expired.");
  const Version version = TRY(objects.require_version(reader, object->name, {}));
  const Version key = TRY(objects.require_version(reader, {vault.uid, Kind::keys, authority}, version.id));
  auto der = from_base64(version.certificate);
  if (!der || !TRY(crypto::read_customer_certificate(*der)).profile.authority)
    return bad_parameter("The newest version of the certificate '" + authority + "' may not issue others.");
  auto material =
      TRY(crypto::KeyMaterial::load(TRY(objects.keyring(vault).open(key.seal_context(), key.sealed))));
  const std::string origin = string_at(setting->body, "revocationOrigin").value_or("");
  return crypto::CertificateIssuer{
      *std::move(der), std::move(material),
      origin.empty() ? std::string() : origin + revocation_path(authority, version.id)};
}

void add_issuer_operations(const resource::Core& core, const AddOperation& add) {
  const auto settings = std::make_shared<Settings>(core);
  using Read = Result<Answer> (Settings::*)(Asked&, store::Reader&) const;
  using Write = Result<Answer> (Settings::*)(Asked&, store::Transaction&) const;
  const auto reading = [&](const char* path, const char* action, const char* word, Read work) {
    add({.method = "GET",
         .path = path,
         .action = action,
         .policy_kind = "certificates",
         .policy_word = word,
         .object_folder = "certificates/issuers",
         .read = [settings, work](Asked& asked, store::Reader& reader) {
           return ((*settings).*work)(asked, reader);
         }});
  };
  const auto writing = [&](const char* method, const char* path, const char* action, const char* word,
                           Write work) {
    add({.method = method,
         .path = path,
         .action = action,
         .policy_kind = "certificates",
         .policy_word = word,
         .object_folder = "certificates/issuers",
         .write = [settings, work](Asked& asked, store::Transaction& tx) {
           return ((*settings).*work)(asked, tx);
         }});
  };
  const char* contacts = "certificates/contacts";
  const char* contacts_action = "certificatecontacts/write";  // Azure has no other for contacts
  reading(contacts, contacts_action, "managecontacts", &Settings::contacts);
  writing("PUT", contacts, contacts_action, "managecontacts", &Settings::set_contacts);
  writing("DELETE", contacts, contacts_action, "managecontacts", &Settings::remove_contacts);
  const char* issuer = "certificates/issuers/{name}";
  reading("certificates/issuers", "certificatecas/read", "listissuers", &Settings::issuers);
  reading(issuer, "certificatecas/read", "getissuers", &Settings::issuer);
  writing("PUT", issuer, "certificatecas/write", "setissuers", &Settings::set_issuer);
  writing("PATCH", issuer, "certificatecas/write", "setissuers", &Settings::update_issuer);
  writing("DELETE", issuer, "certificatecas/delete", "deleteissuers", &Settings::remove_issuer);
}

}  // namespace merlon::vault
