// Keys at rest, each under its own name.
#include "services/ssh/authorities.h"

#include "crypto/own_key.h"

namespace merlon::ssh_identity {
namespace {

std::string context_of(std::string_view name) { return "ssh_authorities/" + std::string(name) + "/key/1"; }

Result<crypto::PrivateKey> open_or_make(const resource::Core& core, std::string_view name) {
  const auto row = TRY(store::read_value<std::optional<store::Row>>(core.store, [&](store::Reader& reader) {
    return reader.get(Authorities::table(), core.tenant, name);
  }));
  if (row) {
    const JsonObject json = TRY(parse_json_object(row->body));
    return crypto::read_own_key(TRY(core.seal.open(context_of(name), TRY(require_string(json, "key")))));
  }
  auto made = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  // Servers that start together on one store keep the key of whichever was first.
  const auto kept =
      TRY(store::write_value<std::string>(core.store, [&](store::Transaction& tx) -> Result<std::string> {
        if (const auto there = TRY(tx.get(Authorities::table(), core.tenant, name)))
          return require_string(TRY(parse_json_object(there->body)), "key");
        const std::string sealed = core.seal.seal(context_of(name), made.pkcs8_der());
        const JsonObject json{{"publicKey", ssh::PublicKey::of(made.public_key()).line()}, {"key", sealed}};
        TRY(tx.put(Authorities::table(), core.tenant, {std::string(name), to_text(json), {}}));
        return sealed;
      }));
  return crypto::read_own_key(TRY(core.seal.open(context_of(name), kept)));
}

}  // namespace

const store::TableSpec& Authorities::table() {
  static const store::TableSpec spec{"ssh_authorities", {}};
  return spec;
}

Result<Authorities> Authorities::open(const resource::Core& core) {
  auto people = TRY(open_or_make(core, "people"));
  auto machines = TRY(open_or_make(core, "machines"));
  auto host = TRY(open_or_make(core, "host"));
  return Authorities(std::move(people), std::move(machines), std::move(host));
}

}  // namespace merlon::ssh_identity
