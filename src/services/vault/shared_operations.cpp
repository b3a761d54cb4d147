// What secrets and keys do alike: lists, soft delete, recovery, purge, backup and restore.
#include "services/vault/backup.h"
#include "services/vault/objects.h"

namespace merlon::vault {
namespace {

class Shared {
 public:
  Shared(const resource::Core& core, Kind kind) : objects_(core), kind_(kind) {}

  Result<Answer> list(const Asked& asked, store::Reader& reader) const {
    const std::string prefix = asked.vault.uid.text() + "/" + std::string(kind_text(kind_)) + "/";
    return list_rows(core(), asked, reader, Object::table(), prefix,
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Object object = TRY(store::decode<Object>(row));
                       return shown_item(asked, object.name, {}, object.facts);
                     });
  }

  Result<Answer> versions(const Asked& asked, store::Reader& reader) const {
    const Object object = TRY(objects_.require(reader, asked.object(kind_)));
    return list_rows(core(), asked, reader, Version::table(), object.name.version_prefix(),
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Version version = TRY(store::decode<Version>(row));
                       return shown_item(asked, version.name, version.id, version.facts);
                     });
  }

  Result<Answer> remove(Asked& asked, store::Transaction& tx) const {
    Object object = TRY(objects_.require(tx, asked.object(kind_)));
    const Version version = TRY(objects_.require_version(tx, object.name, {}));
    TRY(store::erase<Object>(tx, core().tenant, object.key()));
    object.deleted = asked.now;
    object.purge_due = asked.now + std::chrono::hours(24 * asked.vault.retention_days());
    TRY(store::put(tx, core().tenant, object));
    return Answer{200, shown_deleted(asked, object, shown_version(asked, version))};
  }

  Result<Answer> deleted_list(const Asked& asked, store::Reader& reader) const {
    const std::string prefix = asked.vault.uid.text() + "/deleted" + std::string(kind_text(kind_)) + "/";
    return list_rows(core(), asked, reader, Object::table(), prefix,
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Object object = TRY(store::decode<Object>(row));
                       return shown_deleted(asked, object, shown_item(asked, object.name, {}, object.facts));
                     });
  }

  Result<Answer> deleted_get(const Asked& asked, store::Reader& reader) const {
    const Object object = TRY(objects_.require_deleted(reader, asked.object(kind_)));
    return Answer{200, shown_deleted(asked, object, shown_version(asked, TRY(newest(reader, object))))};
  }

  Result<Answer> recover(Asked& asked, store::Transaction& tx) const {
    Object object = TRY(objects_.require_deleted(tx, asked.object(kind_)));
    const Version version = TRY(newest(tx, object));
    TRY(store::erase<Object>(tx, core().tenant, object.key()));
    object.deleted.reset();
    object.purge_due.reset();
    TRY(store::put(tx, core().tenant, object));
    return Answer{200, shown_version(asked, version)};
  }

  Result<Answer> purge(Asked& asked, store::Transaction& tx) const {
    const Object object = TRY(objects_.require_deleted(tx, asked.object(kind_)));
    if (asked.vault.is_purge_protected())
      return fault(ErrorKind::forbidden, "Forbidden",
                   "The vault '" + asked.vault.name +
                       "' is protected against purging: what is deleted goes by itself when its retention is "
                       "over, and "
                       "by nobody before.");
    TRY(objects_.destroy(tx, object));
    return Answer{204, {}};
  }

  Result<Answer> backup(Asked& asked, store::Reader& reader) const {
    const Object object = TRY(objects_.require(reader, asked.object(kind_)));
    return Answer{200, {{"value", TRY(make_backup(objects_, asked.vault, object, reader))}}};
  }

  Result<Answer> restore(Asked& asked, store::Transaction& tx) const {
    const std::string text = TRY(required_text(asked.body, "value"));
    const Version newest_version = TRY(restore_backup(objects_, asked.vault, kind_, text, tx));
    asked.details["name"] = newest_version.name.name;
    return Answer{200, shown_version(asked, newest_version)};
  }

 private:
  const resource::Core& core() const { return objects_.core(); }
  Result<Version> newest(store::Reader& reader, const Object& object) const {
    auto version =
        TRY(store::get<Version>(reader, core().tenant, object.name.version_prefix() + object.current));
    if (!version) return internal_error("the newest version of " + object.key() + " is not there");
    return *std::move(version);
  }

  Objects objects_;
  Kind kind_;
};

}  // namespace

void add_shared_operations(const resource::Core& core, Kind kind, const AddOperation& add) {
  const auto shared = std::make_shared<Shared>(core, kind);
  const std::string words(kind_text(kind));
  const std::string read_action = words + (kind == Kind::secrets ? "/readMetadata/action" : "/read");
  using Read = Result<Answer> (Shared::*)(const Asked&, store::Reader&) const;
  const auto reading = [&](std::string path, const char* word, Read work) {
    add({.method = "GET",
         .path = std::move(path),
         .action = read_action,
         .policy_kind = words,
         .policy_word = word,
         .read = [shared, work](Asked& asked, store::Reader& reader) {
           return ((*shared).*work)(asked, reader);
         }});
  };
  using Write = Result<Answer> (Shared::*)(Asked&, store::Transaction&) const;
  const auto writing = [&](const char* method, std::string path, std::string verb, const char* word,
                           Write work) {
    add({.method = method,
         .path = std::move(path),
         .action = words + "/" + std::move(verb),
         .policy_kind = words,
         .policy_word = word,
         .write = [shared, work](Asked& asked, store::Transaction& tx) {
           return ((*shared).*work)(asked, tx);
         }});
  };
  reading(words, "list", &Shared::list);
  reading(words + "/{name}/versions", "list", &Shared::versions);
  reading("deleted" + words, "list", &Shared::deleted_list);
  reading("deleted" + words + "/{name}", "get", &Shared::deleted_get);
  writing("DELETE", words + "/{name}", "delete", "delete", &Shared::remove);
  writing("POST", "deleted" + words + "/{name}/recover", "recover/action", "recover", &Shared::recover);
  writing("DELETE", "deleted" + words + "/{name}", "purge/action", "purge", &Shared::purge);
  writing("POST", words + "/restore", "restore/action", "restore", &Shared::restore);
  add({.method = "POST",
       .path = words + "/{name}/backup",
       .action = words + "/backup/action",
       .policy_kind = words,
       .policy_word = "backup",
       .read = [shared](Asked& asked, store::Reader& reader) { return shared->backup(asked, reader); }});
}

}  // namespace merlon::vault
