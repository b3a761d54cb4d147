// Slow steps (Argon2id, a token, a TPM) run before the transaction, which only wraps a few keys anew.
#include "server/root_operations.h"

#include "base/time_text.h"

namespace merlon::server {
namespace {

JsonObject place_json(const seal::RootPlace& place) {
  JsonObject json{{"kind", seal::kind_text(place.kind)}};
  if (place.kind == seal::RootKind::file) json["file"] = place.detail;
  return json;
}

Result<void> record(Assembly& assembly, store::Transaction& tx, std::string_view action, unsigned user,
                    JsonObject details) {
  ledger::Entry entry;
  entry.time = assembly.core().clock.now();
  entry.actor = {.kind = "LocalUser", .object_id = {}, .name = "uid " + std::to_string(user), .address = {}};
  entry.action = action;
  entry.resource = "/tenants/" + assembly.settings().tenant.text();
  entry.details = std::move(details);
  return assembly.core().ledger.append(tx, entry);
}

// "20261126T010203Z": for the name of a file.
std::string file_time(Timestamp now) {
  std::string text;
  for (const char c : to_rfc3339(now).substr(0, 19))
    if (c != '-' && c != ':') text += c;
  return text + "Z";
}

Result<JsonObject> rotate(Assembly& assembly, const std::string& state_dir, const ControlRequest& request) {
  seal::RootPlace to = assembly.core().seal.place();
  if (!request.subject.empty()) to = TRY(seal::RootPlace::parse(request.subject, state_dir));
  if (to.kind == seal::RootKind::passphrase) {
    if (request.secret.empty())
      return fail(ErrorKind::invalid, "InvalidPassphrase", "A new passphrase is needed, and none was given.");
    to.typed = request.secret;
  }
  const auto pending = TRY(assembly.seal().prepare_root(to));
  int64_t keys = 0;
  TRY(assembly.store().write([&](store::Transaction& tx) -> Result<void> {
    keys = TRY(assembly.seal().rewrap(tx, *pending));
    return record(assembly, tx, "Merlon.Seal/rootKey/rotate/action", request.user,
                  {{"to", place_json(to)}, {"keys", keys}});
  }));
  const std::string retired =
      TRY(assembly.seal().finish_root(*pending, file_time(assembly.core().clock.now())));
  JsonObject result{{"place", place_json(to)}, {"keys", keys}};
  if (!retired.empty()) result["retiredFile"] = retired;
  return result;
}

Result<JsonObject> make_recovery_key(Assembly& assembly, const ControlRequest& request) {
  const Secret key =
      TRY(store::write_value<Secret>(assembly.store(), [&](store::Transaction& tx) -> Result<Secret> {
        Secret made = TRY(assembly.seal().make_recovery_key(tx));
        TRY(record(assembly, tx, "Merlon.Seal/recoveryKey/write", request.user, {}));
        return made;
      }));
  return JsonObject{{"recoveryKey", key.expose_text()}};
}

}  // namespace

Result<JsonObject> handle_root_request(Assembly& assembly, const std::string& state_dir,
                                       const ControlRequest& request) {
  if (request.action == "root-status") return JsonObject{{"place", place_json(assembly.core().seal.place())}};
  if (request.action == "root-rotate") return rotate(assembly, state_dir, request);
  if (request.action == "root-recovery-key") return make_recovery_key(assembly, request);
  if (request.action == "unseal")
    return fail(ErrorKind::conflict, "NotSealed", "This server is not sealed: it is serving already.");
  return fail(ErrorKind::invalid, "UnknownAction",
              "This server does not know the action '" + request.action +
                  "'. Is it of the same version as this "
                  "program?");
}

Result<void> record_unsealed(Assembly& assembly, unsigned user, int64_t failed_attempts) {
  return assembly.store().write([&](store::Transaction& tx) {
    return record(assembly, tx, "Merlon.Seal/unseal/action", user, {{"failedAttempts", failed_attempts}});
  });
}

}  // namespace merlon::server
