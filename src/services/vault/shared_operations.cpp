// What secrets, keys and certificates do alike: lists, soft delete, recovery, purge, backup and restore. What
// happens to a certificate happens to its key and its secret.
#include "base/log.h"
#include "services/vault/backup.h"
#include "services/vault/hsm_keys.h"
#include "services/vault/objects.h"

namespace merlon::vault {
namespace {

class Shared {
 public:
  Shared(const resource::Core& core, Kind kind) : objects_(core), kind_(kind) {}

  Result<Answer> list(const Asked& asked, store::Reader& reader) const {
    const std::string prefix = asked.vault().uid.text() + "/" + std::string(kind_text(kind_)) + "/";
    const std::string* asks = asked.request.query.find("includePending");
    const bool with_pending = asks != nullptr && *asks == "true";
    return list_rows(core(), asked, reader, Object::table(), prefix,
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Object object = TRY(store::decode<Object>(row));
                       if (object.facts.pending && !with_pending) return std::optional<JsonObject>();
                       return shown_item(asked, object.name, {}, object.facts);
                     });
  }

  Result<Answer> versions(const Asked& asked, store::Reader& reader) const {
    const Object object = TRY(objects_.require(reader, asked.object(kind_)));
    return list_rows(core(), asked, reader, Version::table(), object.name.version_prefix(),
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Version version = TRY(store::decode<Version>(row));
                       if (version.facts.pending) return std::optional<JsonObject>();
                       return shown_item(asked, version.name, version.id, version.facts);
                     });
  }

  Result<Answer> remove(Asked& asked, store::Transaction& tx) const {
    Object object = TRY(objects_.require(tx, asked.object(kind_)));
    TRY(require_unmanaged(object, "delete"));
    const Version version = TRY(objects_.require_version(tx, object.name, {}));
    for (const Kind kind : family()) {
      auto one = TRY(objects_.find(tx, {object.name.vault, kind, object.name.name}));
      if (!one || (kind != kind_ && !one->facts.managed)) continue;
      TRY(store::erase<Object>(tx, core().tenant, one->key()));
      one->deleted = asked.now;
      one->purge_due = asked.now + std::chrono::hours(24 * asked.vault().retention_days());
      TRY(store::put(tx, core().tenant, *one));
      if (kind == kind_) object = *std::move(one);
    }
    return Answer{200, shown_deleted(asked, object, TRY(shown_whole(core(), asked, tx, version)))};
  }

  Result<Answer> deleted_list(const Asked& asked, store::Reader& reader) const {
    const std::string prefix = asked.vault().uid.text() + "/deleted" + std::string(kind_text(kind_)) + "/";
    return list_rows(core(), asked, reader, Object::table(), prefix,
                     [&](const store::Row& row) -> Result<std::optional<JsonObject>> {
                       const Object object = TRY(store::decode<Object>(row));
                       return shown_deleted(asked, object, shown_item(asked, object.name, {}, object.facts));
                     });
  }

  Result<Answer> deleted_get(const Asked& asked, store::Reader& reader) const {
    const Object object = TRY(objects_.require_deleted(reader, asked.object(kind_)));
    const Version version = TRY(newest(reader, object));
    return Answer{200, shown_deleted(asked, object, TRY(shown_whole(core(), asked, reader, version)))};
  }

  Result<Answer> recover(Asked& asked, store::Transaction& tx) const {
    const Object object = TRY(objects_.require_deleted(tx, asked.object(kind_)));
    TRY(require_unmanaged(object, "recover"));
    const Version version = TRY(newest(tx, object));
    for (Object& one : TRY(deleted_family(tx, object))) {
      if (TRY(objects_.find(tx, one.name)))
        return fault(ErrorKind::conflict, "Conflict",
                     "'" + one.name.name +
                         "' cannot be recovered: another of its name is in the vault. Delete "
                         "that one first.");
      TRY(store::erase<Object>(tx, core().tenant, one.key()));
      one.deleted.reset();
      one.purge_due.reset();
      TRY(store::put(tx, core().tenant, one));
    }
    return Answer{200, TRY(shown_whole(core(), asked, tx, version))};
  }

  Result<Answer> purge(Asked& asked, store::Transaction& tx) const {
    const Object object = TRY(objects_.require_deleted(tx, asked.object(kind_)));
    if (asked.vault().is_purge_protected())
      return fault(ErrorKind::forbidden, "Forbidden",
                   "The vault '" + asked.vault().name +
                       "' is protected against purging: what is deleted goes by itself when its retention is "
                       "over, and "
                       "by nobody before.");
    TRY(require_unmanaged(object, "purge"));
    for (const Object& one : TRY(deleted_family(tx, object))) TRY(objects_.destroy(tx, one));
    return Answer{204, {}};
  }

  Result<Answer> backup(Asked& asked, store::Reader& reader) const {
    const Object object = TRY(objects_.require(reader, asked.object(kind_)));
    TRY(require_unmanaged(object, "backup"));
    return Answer{200, {{"value", TRY(make_backup(objects_, asked.vault(), object, reader))}}};
  }

  Result<Answer> restore(Asked& asked, store::Transaction& tx) const {
    const std::string text = TRY(required_text(asked.body, "value"));
    const Version newest_version = TRY(restore_backup(objects_, asked.vault(), kind_, text, tx));
    asked.details["name"] = newest_version.name.name;
    return Answer{200, TRY(shown_whole(core(), asked, tx, newest_version))};
  }

 private:
  const resource::Core& core() const { return objects_.core(); }
  // A certificate with its key and its secret, which one that waits for its issuer has not.
  std::vector<Kind> family() const {
    if (kind_ != Kind::certificates) return {kind_};
    return {Kind::certificates, Kind::keys, Kind::secrets};
  }
  Result<std::vector<Object>> deleted_family(store::Reader& reader, const Object& object) const {
    std::vector<Object> all;
    for (const Kind kind : family()) {
      const ObjectName name{object.name.vault, kind, object.name.name};
      auto one = TRY(store::get<Object>(reader, core().tenant, name.deleted_key()));
      if (one && (kind == kind_ || one->facts.managed)) all.push_back(*std::move(one));
    }
    return all;
  }
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

void add_shared_operations(const resource::Core& core, const HsmKeys& hsm, Kind kind,
                           const AddOperation& add) {
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
                           Write work, std::function<void(const Asked&)> after = {}) {
    add({.method = method,
         .path = std::move(path),
         .action = words + "/" + std::move(verb),
         .policy_kind = words,
         .policy_word = word,
         .write = [shared, work](Asked& asked,
                                 store::Transaction& tx) { return ((*shared).*work)(asked, tx); },
         .after = std::move(after)});
  };
  reading(words, "list", &Shared::list);
  reading(words + "/{name}/versions", "list", &Shared::versions);
  reading("deleted" + words, "list", &Shared::deleted_list);
  reading("deleted" + words + "/{name}", "get", &Shared::deleted_get);
  writing("DELETE", words + "/{name}", "delete", "delete", &Shared::remove);
  writing("POST", "deleted" + words + "/{name}/recover", "recover/action", "recover", &Shared::recover);
  writing("DELETE", "deleted" + words + "/{name}", "purge/action", "purge", &Shared::purge,
          [&core, &hsm](const Asked&) {
            if (const auto swept = hsm.sweep({}, core.clock.now()); !swept)
              log_error("what was purged could not be destroyed in the hardware token yet", swept.error());
          });
  writing("POST", words + "/restore", "restore/action", "restore", &Shared::restore);
  add({.method = "POST",
       .path = words + "/{name}/backup",
       .action = words + "/backup/action",
       .policy_kind = words,
       .policy_word = "backup",
       .read = [shared](Asked& asked, store::Reader& reader) { return shared->backup(asked, reader); }});
}

}  // namespace merlon::vault
