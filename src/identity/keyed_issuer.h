// The issuer as it is: for issuer.cpp and issuer_keys.cpp alone.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "identity/issuer.h"
#include "identity/known_tokens.h"
#include "identity/signing_keys.h"

namespace merlon::identity {

// Signs what browsers bring back (form_seal.h). Made once, sealed, the same on every server.
Result<Secret> open_form_key(store::Store& store, const seal::Seal& seal, Random& random,
                             const TenantId& tenant);

class KeyedIssuer final : public Issuer {
 public:
  KeyedIssuer(store::Store& store, SigningKeyStore key_store, SigningKeys keys, Secret form_key,
              const seal::Seal& seal, const Clock& clock, Random& random, IssuerParameters parameters)
      : store_(store),
        key_store_(std::move(key_store)),
        keys_(std::make_shared<const SigningKeys>(std::move(keys))),
        form_key_(std::move(form_key)),
        seal_(seal),
        clock_(clock),
        random_(random),
        parameters_(std::move(parameters)),
        directory_(parameters_.tenant, clock, random) {}

  Result<std::string> issue(const TokenSubject& subject, const std::string& origin,
                            Duration lifetime) override;
  Result<std::string> issue_id_token(const TokenSubject& subject, const IdTokenForm& form,
                                     Duration lifetime) override;
  bool is_resource_manager(std::string_view audience) const override;
  bool is_resource_manager_at(std::string_view audience, const std::string& origin) const override;
  bool is_vault(std::string_view audience) const override;
  Result<Principal> authenticate(store::Reader& reader, std::string_view authorization, const IpAddress& peer,
                                 Api api) override;
  JsonObject jwks() override;
  Result<JsonArray> describe_keys(store::Reader& reader) override;
  Result<store::Row> make_key(Rotation rotation) override;
  Result<void> adopt_key(store::Transaction& tx, const store::Row& made, Rotation rotation) override;
  Result<void> tick(ledger::Ledger& ledger) override;
  const Secret& form_key() const override { return form_key_; }
  const seal::Seal& seal() const override { return seal_; }
  const std::string& domain() const override { return parameters_.domain; }
  const TenantId& tenant() const override { return parameters_.tenant; }

 private:
  Result<std::string> sign(const JsonObject& payload);
  bool is_for(const TokenClaims& claims, Api api) const;
  Result<void> require_audience(const KnownToken& known, Api api) const;
  Result<std::shared_ptr<const KnownToken>> know(store::Reader& reader, std::string_view token);
  // As they are in this snapshot.
  Result<std::shared_ptr<const SigningKeys>> keys(store::Reader& reader);
  Result<std::shared_ptr<const SigningKeys>> keys();

  store::Store& store_;
  const SigningKeyStore key_store_;
  std::mutex mutex_;
  std::shared_ptr<const SigningKeys> keys_;  // under mutex_
  const Secret form_key_;
  const seal::Seal& seal_;
  const Clock& clock_;
  Random& random_;
  const IssuerParameters parameters_;
  Directory directory_;
  KnownTokens known_;
  std::optional<Duration> looked_;  // tick's alone
};

}  // namespace merlon::identity
