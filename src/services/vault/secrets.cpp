// Secrets: values of up to 25 KB, in versions.
#include "services/vault/objects.h"

namespace merlon::vault {
namespace {

constexpr size_t kValueBytesMax = 25 * 1024;

const std::string& version_of(const Asked& asked) { return asked.arguments.at(1); }

class Secrets {
 public:
  explicit Secrets(const resource::Core& core) : objects_(core), known_(core) {}

  Result<Answer> get(Asked& asked, store::Reader& reader) {
    const auto found = TRY(known_.require(reader, asked.object(Kind::secrets), version_of(asked)));
    const Version& version = *found;
    asked.details["version"] = version.id;
    // The dates inform and forbid nothing (contract, Rules).
    if (!version.facts.enabled)
      return fault(ErrorKind::forbidden, "Forbidden", "Operation get is not allowed on a disabled secret.",
                   "SecretDisabled");
    const Secret value = TRY(objects_.keyring(asked.vault()).open(version.seal_context(), version.sealed));
    JsonObject shown{{"value", value.expose_text()}};
    for (const auto& member : shown_version(asked, version)) shown.insert(member);
    return Answer{200, std::move(shown)};
  }

  Result<Answer> set(Asked& asked, store::Transaction& tx) const {
    ObjectName name = asked.object(Kind::secrets);
    TRY(objects_.require_own_name(tx, name));
    const auto existing = TRY(objects_.find(tx, name));
    TRY(require_unmanaged(existing, "set"));
    if (existing) name = existing->name;
    const Secret value(TRY(required_text(asked.body, "value")));
    if (value.size() > kValueBytesMax) return bad_parameter("The secret's value exceeds 25 KB.");
    Version version;
    version.name = name;
    version.id = objects_.new_version_id();
    version.facts = TRY(read_facts(asked.body, {}, asked.now));
    version.sealed =
        TRY(objects_.keyring(asked.vault()).seal(version.seal_context(), value, objects_.core().random));
    TRY(objects_.add_version(tx, version));
    asked.details["version"] = version.id;
    JsonObject shown{{"value", value.expose_text()}};
    for (const auto& member : shown_version(asked, version)) shown.insert(member);
    return Answer{200, std::move(shown)};
  }

  Result<Answer> update(Asked& asked, store::Transaction& tx) const {
    TRY(require_unmanaged(TRY(objects_.require(tx, asked.object(Kind::secrets))), "update"));
    Version version = TRY(objects_.require_version(tx, asked.object(Kind::secrets), version_of(asked)));
    version.facts = TRY(read_facts(asked.body, std::move(version.facts), asked.now));
    TRY(objects_.change_version(tx, version));
    asked.details["version"] = version.id;
    return Answer{200, shown_version(asked, version)};
  }

 private:
  Objects objects_;
  KnownVersions known_;
};

}  // namespace

void add_secret_operations(const resource::Core& core, const AddOperation& add) {
  const auto secrets = std::make_shared<Secrets>(core);
  add({.method = "PUT",
       .path = "secrets/{name}",
       .action = "secrets/setSecret/action",
       .policy_kind = "secrets",
       .policy_word = "set",
       .write = [secrets](Asked& asked, store::Transaction& tx) { return secrets->set(asked, tx); }});
  add({.method = "GET",
       .path = "secrets/{name}/{version}",
       .action = "secrets/getSecret/action",
       .policy_kind = "secrets",
       .policy_word = "get",
       .read = [secrets](Asked& asked, store::Reader& reader) { return secrets->get(asked, reader); },
       .pace = always_quick});
  add({.method = "PATCH",
       .path = "secrets/{name}/{version}",
       .action = "secrets/update/action",
       .policy_kind = "secrets",
       .policy_word = "set",
       .write = [secrets](Asked& asked, store::Transaction& tx) { return secrets->update(asked, tx); }});
}

}  // namespace merlon::vault
