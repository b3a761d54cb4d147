// What is done with keys, and the table of everything that keys have. A key's material is kept opened for a
// while: unsealing and parsing an RSA key costs as much as using it.
#include <list>
#include <map>
#include <mutex>

#include "base/text.h"
#include "services/vault/keys.h"

namespace merlon::vault {
namespace {

using crypto::KeyMaterial;

constexpr size_t kOpenedMax = 1024;
constexpr Duration kOpenedFor = std::chrono::minutes(10);  // unused
constexpr int64_t kRandomBytesMax = 128;

// A version's material never changes and its name is never used again, so what is here is never stale.
// Whether the version is still there, enabled and permitted is read each time, from the store. What nobody
// uses goes after some minutes: a purged key is not to live on here.
class OpenedKeys {
 public:
  std::optional<KeyMaterial> find(const std::string& name, Timestamp now) {
    const std::lock_guard lock(mutex_);
    drop_unused(now);
    const auto at = by_name_.find(name);
    if (at == by_name_.end()) return std::nullopt;
    at->second->used = now;
    order_.splice(order_.begin(), order_, at->second);
    return at->second->material;
  }
  void keep(const std::string& name, const KeyMaterial& material, Timestamp now) {
    const std::lock_guard lock(mutex_);
    if (by_name_.contains(name)) return;
    order_.push_front({name, material, now});
    by_name_[name] = order_.begin();
    if (order_.size() > kOpenedMax) drop_last();
  }

 private:
  struct Opened {
    std::string name;
    KeyMaterial material;
    Timestamp used;
  };
  void drop_last() {
    by_name_.erase(order_.back().name);
    order_.pop_back();
  }
  void drop_unused(Timestamp now) {
    while (!order_.empty() && order_.back().used + kOpenedFor < now) drop_last();
  }

  std::mutex mutex_;
  std::list<Opened> order_;  // the last used first
  std::map<std::string, std::list<Opened>::iterator> by_name_;
};

struct Loaded {
  std::shared_ptr<const Version> version;
  std::optional<KeyMaterial> material;  // in memory; of a key in the token its public half, when it has one
  std::optional<crypto::HsmKey> in_token{};
};

// By Azure's table: 4000 uses of an RSA key of 2048 bits are 1000 of one of 3072, and 500 of one of 4096.
Cost cost_of_use(const Version& version) {
  const Transaction kind = version.in_hsm ? Transaction::use_key_in_token : Transaction::use_key;
  const std::string modulus = string_at(version.public_key, "n").value_or("");
  const size_t bits = modulus.empty() ? 0 : from_base64url(modulus).value_or(Bytes()).size() * 8;
  if (bits > 3072) return {kind, 8};
  return {kind, bits > 2048 ? 4U : 1U};
}

Result<Bytes> bytes_in(const JsonObject& body, std::string_view key, bool required) {
  const Json* value = body.if_contains(key);
  if (value == nullptr || value->is_null()) {
    if (required) return bad_parameter("The body needs '" + std::string(key) + "', in base64url.");
    return Bytes();
  }
  auto bytes = value->is_string() ? from_base64url(value->get_string()) : std::nullopt;
  if (!bytes) return bad_parameter("'" + std::string(key) + "' is not base64url without padding.");
  return *std::move(bytes);
}

// What is decrypted or unwrapped is a secret until it has left.
std::string text_of(const Secret& secret) { return to_base64url(secret.expose()); }

class Uses {
 public:
  Uses(const resource::Core& core, const HsmKeys& hsm) : objects_(core), known_(core), hsm_(hsm) {}

  // The dates stop what makes something new, never what reads the old (contract, Rules). KeyExpired and its
  // text are Azure's (Microsoft Learn, "Troubleshoot the k8s-azure-kms plugin"); KeyNotYetValid, which nobody
  // has published, is called likewise.
  Result<void> load(Asked& asked, store::Reader& reader, std::string_view op) {
    auto known = TRY(known_.require(reader, asked.object(Kind::keys), asked.arguments.at(1)));
    const Version& version = *known;
    asked.details["version"] = version.id;
    if (const auto algorithm = string_at(asked.body, "alg")) asked.details["alg"] = algorithm->substr(0, 32);
    const auto refused = [&](const std::string& why, std::string_view inner) {
      return fault(ErrorKind::forbidden, "Forbidden", "Operation " + std::string(op) + " is not " + why + ".",
                   inner);
    };
    if (!version.facts.enabled) return refused("allowed on a disabled key", "KeyDisabled");
    const bool makes = op == "encrypt" || op == "sign" || op == "wrapKey";
    const int64_t now = to_seconds(asked.now);
    if (makes && version.facts.not_before && now < *version.facts.not_before)
      return refused("allowed on a key that is not yet valid", "KeyNotYetValid");
    if (makes && version.facts.expires && now >= *version.facts.expires)
      return refused("allowed on an expired key", "KeyExpired");
    if (std::ranges::find(version.key_ops, op) == version.key_ops.end())
      return refused("permitted on this key", "KeyOperationForbidden");
    const std::string name = version.seal_context();
    auto material = opened_.find(name, asked.now);
    if (!material) {
      material = TRY(open(asked, version));
      if (material) opened_.keep(name, *material, asked.now);
    }
    Loaded found{std::move(known), std::move(material)};
    if (version.in_hsm) found.in_token = key_in_token(version);
    asked.cost = cost_of_use(version);
    asked.gathered = std::move(found);
    return {};
  }

  // Symmetric keys, P-256, and the public half of RSA: tens of microseconds. Other curves and RSA's private
  // half take hundreds and more, and a token takes its time.
  static Pace pace(const Asked& asked) {
    const Loaded& key = loaded(asked);
    if (key.version->in_hsm || !key.material) return Pace::waits;
    if (key.material->kind() == crypto::MaterialKind::oct) return Pace::quick;
    if (key.material->kind() == crypto::MaterialKind::ec)
      return key.material->curve() == "P-256" ? Pace::quick : Pace::computes;
    const std::string& path = asked.operation->path;
    const bool is_public =
        path.ends_with("/verify") || path.ends_with("/encrypt") || path.ends_with("/wrapkey");
    return is_public ? Pace::quick : Pace::computes;
  }

  Result<Answer> sign(Asked& asked) const {
    const Bytes digest = TRY(bytes_in(asked.body, "value", true));
    const std::string name = TRY(algorithm(asked));
    const auto& token_key = loaded(asked).in_token;
    return answer(asked, to_base64url(TRY(token_key ? TRY(hsm_.token())->sign(*token_key, name, digest)
                                                    : material(asked).sign(name, digest))));
  }
  Result<Answer> verify(Asked& asked) const {
    const Bytes digest = TRY(bytes_in(asked.body, "digest", true));
    const Bytes signature = TRY(bytes_in(asked.body, "value", true));
    const std::string name = TRY(algorithm(asked));
    const Loaded& key = loaded(asked);
    return Answer{
        200,
        {{"value",
          TRY(key.material ? key.material->verify(name, digest, signature)
                           : TRY(hsm_.token())->verify_mac(*key.in_token, name, digest, signature))}}};
  }
  Result<Answer> encrypt(Asked& asked) const {
    const Secret plaintext(TRY(bytes_in(asked.body, "value", true)));
    const crypto::EncryptParameters parameters{.algorithm = TRY(algorithm(asked)),
                                               .iv = TRY(bytes_in(asked.body, "iv", false)),
                                               .aad = TRY(bytes_in(asked.body, "aad", false))};
    const Loaded& key = loaded(asked);
    Random& random = objects_.core().random;
    const auto made =
        TRY(key.material ? key.material->encrypt(parameters, plaintext.expose(), random)
                         : TRY(hsm_.token())->encrypt(*key.in_token, parameters, plaintext.expose(), random));
    Answer shown = answer(asked, to_base64url(made.value));
    if (!made.iv.empty()) shown.body["iv"] = to_base64url(made.iv);
    if (!made.tag.empty()) shown.body["tag"] = to_base64url(made.tag);
    if (!parameters.aad.empty()) shown.body["aad"] = to_base64url(parameters.aad);
    return shown;
  }
  Result<Answer> decrypt(Asked& asked) const {
    const Bytes ciphertext = TRY(bytes_in(asked.body, "value", true));
    const crypto::DecryptParameters parameters{.algorithm = TRY(algorithm(asked)),
                                               .iv = TRY(bytes_in(asked.body, "iv", false)),
                                               .aad = TRY(bytes_in(asked.body, "aad", false)),
                                               .tag = TRY(bytes_in(asked.body, "tag", false))};
    const auto& token_key = loaded(asked).in_token;
    return answer(asked,
                  text_of(TRY(token_key ? TRY(hsm_.token())->decrypt(*token_key, parameters, ciphertext)
                                        : material(asked).decrypt(parameters, ciphertext))));
  }
  Result<Answer> wrap(Asked& asked) const {
    const Secret key(TRY(bytes_in(asked.body, "value", true)));
    const std::string name = TRY(algorithm(asked));
    const Loaded& by = loaded(asked);
    return answer(asked,
                  to_base64url(TRY(by.material ? by.material->wrap(name, key.expose())
                                               : TRY(hsm_.token())->wrap(*by.in_token, name, key.expose()))));
  }
  Result<Answer> unwrap(Asked& asked) const {
    const Bytes wrapped = TRY(bytes_in(asked.body, "value", true));
    const std::string name = TRY(algorithm(asked));
    const auto& token_key = loaded(asked).in_token;
    return answer(asked, text_of(TRY(token_key ? TRY(hsm_.token())->unwrap(*token_key, name, wrapped)
                                               : material(asked).unwrap(name, wrapped))));
  }
  Result<Answer> random_bytes(Asked& asked) const {
    const auto count = int_at(asked.body, "count");
    if (!count || *count < 1 || *count > kRandomBytesMax)
      return bad_parameter("The body needs 'count', a number from 1 to 128.");
    const auto size = static_cast<size_t>(*count);
    const Secret bytes = hsm_.has_token() ? TRY(TRY(hsm_.token())->random_bytes(size))
                                          : Secret(objects_.core().random.bytes(size));
    return Answer{200, {{"value", text_of(bytes)}}};
  }
  static Result<Answer> not_released(const char* what) {
    return fault(
        ErrorKind::unsupported, "NotSupported",
        std::string(what) +
            " needs attestation, which this server does not have. The release policy is kept and shown.");
  }

 private:
  static const Loaded& loaded(const Asked& asked) { return *std::any_cast<Loaded>(&asked.gathered); }
  static const KeyMaterial& material(const Asked& asked) { return *loaded(asked).material; }
  // Nothing for a symmetric key in the token.
  Result<std::optional<KeyMaterial>> open(const Asked& asked, const Version& version) const {
    if (!version.in_hsm)
      return std::optional(TRY(KeyMaterial::load(
          TRY(objects_.keyring(asked.vault()).open(version.seal_context(), version.sealed)))));
    if (version.oct_bits != 0) return std::optional<KeyMaterial>();
    return std::optional(TRY(KeyMaterial::from_jwk(version.public_key)));
  }
  static Result<std::string> algorithm(const Asked& asked) { return required_text(asked.body, "alg"); }
  static Answer answer(const Asked& asked, std::string value) {
    const Version& version = *loaded(asked).version;
    return {200, {{"kid", object_url(asked, version.name, version.id)}, {"value", std::move(value)}}};
  }

  Objects objects_;
  KnownVersions known_;
  const HsmKeys& hsm_;
  OpenedKeys opened_;
};

void add_uses(const resource::Core& core, const HsmKeys& hsm, const AddOperation& add) {
  const auto uses = std::make_shared<Uses>(core, hsm);
  using Use = Result<Answer> (Uses::*)(Asked&) const;
  const auto use = [&](std::string verb, std::string right, std::string word, Use work) {
    Operation operation{.method = "POST",
                        .path = "keys/{name}/{version}/" + verb,
                        .action = "keys/" + right + "/action",
                        .policy_kind = "keys",
                        .policy_word = word};
    operation.load = [uses, word](Asked& asked, store::Reader& reader) {
      return uses->load(asked, reader, word);
    };
    operation.compute = [uses, work](Asked& asked) { return ((*uses).*work)(asked); };
    operation.pace = Uses::pace;
    add(std::move(operation));
  };
  use("encrypt", "encrypt", "encrypt", &Uses::encrypt);
  use("decrypt", "decrypt", "decrypt", &Uses::decrypt);
  use("sign", "sign", "sign", &Uses::sign);
  use("verify", "verify", "verify", &Uses::verify);
  use("wrapkey", "wrap", "wrapKey", &Uses::wrap);
  use("unwrapkey", "unwrap", "unwrapKey", &Uses::unwrap);
  add({.method = "POST",
       .path = "rng",
       .action = "keys/rng/action",
       .policy_kind = "keys",
       .policy_word = "get",
       .read = [uses](Asked& asked, store::Reader&) { return uses->random_bytes(asked); }});
  add({.method = "POST",
       .path = "keys/{name}/{version}/release",
       .action = "keys/release/action",
       .policy_kind = "keys",
       .policy_word = "release",
       .read = [](Asked&, store::Reader&) { return Uses::not_released("Releasing a key"); }});
  add({.method = "GET",
       .path = "keys/{name}/{version}/attestation",
       .action = "keys/read",
       .policy_kind = "keys",
       .policy_word = "get",
       .read = [](Asked&, store::Reader&) { return Uses::not_released("A key's attestation"); }});
}

}  // namespace

void add_key_operations(const resource::Core& core, const HsmKeys& hsm, const AddOperation& add) {
  const auto keys = std::make_shared<Keys>(core, hsm);
  using Gather = Result<void> (Keys::*)(Asked&) const;
  using Write = Result<Answer> (Keys::*)(Asked&, store::Transaction&) const;
  using Read = Result<Answer> (Keys::*)(Asked&, store::Reader&) const;
  const auto writing = [&](const char* method, std::string path, std::string action, const char* word,
                           Write work, Gather gather) {
    Operation operation{.method = method,
                        .path = std::move(path),
                        .action = std::move(action),
                        .policy_kind = "keys",
                        .policy_word = word};
    if (gather != nullptr)
      operation.gather = [keys, gather](Asked& asked) { return ((*keys).*gather)(asked); };
    operation.write = [keys, work](Asked& asked, store::Transaction& tx) {
      return ((*keys).*work)(asked, tx);
    };
    add(std::move(operation));
  };
  const auto reading = [&](std::string path, std::string action, const char* word, Read work) {
    Operation operation{.method = "GET",
                        .path = std::move(path),
                        .action = std::move(action),
                        .policy_kind = "keys",
                        .policy_word = word};
    operation.read = [keys, work](Asked& asked, store::Reader& reader) {
      return ((*keys).*work)(asked, reader);
    };
    add(std::move(operation));
  };
  writing("POST", "keys/{name}/create", "keys/create/action", "create", &Keys::add, &Keys::make);
  writing("PUT", "keys/{name}", "keys/import/action", "import", &Keys::add, &Keys::take);
  reading("keys/{name}/{version}", "keys/read", "get", &Keys::get);
  writing("PATCH", "keys/{name}/{version}", "keys/update/action", "update", &Keys::update, nullptr);
  writing("POST", "keys/{name}/rotate", "keys/rotate/action", "rotate", &Keys::rotate,
          &Keys::make_like_newest);
  reading("keys/{name}/rotationpolicy", "keyrotationpolicies/read", "getrotationpolicy", &Keys::policy);
  writing("PUT", "keys/{name}/rotationpolicy", "keyrotationpolicies/write", "setrotationpolicy",
          &Keys::set_policy, nullptr);
  add_uses(core, hsm, add);
}

}  // namespace merlon::vault
