// What the server itself uses of a vault, by the right of whoever has lent it: judged as a request to the
// vault is, entered as one is, and told apart in the ledger by its actor.
#include "services/vault/objects.h"

namespace merlon::vault {

Result<void> check_names(const Asked& asked);  // plane.cpp

namespace {

std::unexpected<Error> out_of_its_time(const Version& version, std::string_view why) {
  return fault(ErrorKind::forbidden, "Forbidden",
               "The secret " + version.name.name + "/" + version.id + " is not used: " + std::string(why),
               "SecretNotCurrent");
}

// Whoever asks a vault is given what is out of its time as well (Azure's rule). What its owner has put an end
// to opens nothing by itself.
Result<void> check_dates(const Version& version, Timestamp now) {
  if (version.facts.not_before && now < from_seconds(*version.facts.not_before))
    return out_of_its_time(version, "its time has not come yet.");
  if (version.facts.expires && now >= from_seconds(*version.facts.expires))
    return out_of_its_time(version, "it has expired.");
  return {};
}

net::Request request_for(const SecretName& secret, const std::string& domain) {
  net::Request request;
  request.method = "GET";
  request.host = secret.vault + ".vault." + domain;
  request.segments = {"secrets", secret.name};
  if (!secret.version.empty()) request.segments.push_back(secret.version);
  return request;
}

}  // namespace

// Everything but from where: that is the caller's.
Result<Version> Plane::lent_version(Asked& asked, store::Reader& reader) const {
  TRY(check_names(asked));
  asked.reason = TRY(check_right(platform_.core, reader, asked));
  Version version = TRY(
      Objects(platform_.core).require_version(reader, asked.object(Kind::secrets), asked.arguments.at(1)));
  asked.details["version"] = version.id;
  if (!version.facts.enabled)
    return fault(ErrorKind::forbidden, "Forbidden", "Operation get is not allowed on a disabled secret.",
                 "SecretDisabled");
  TRY(check_dates(version, asked.now));
  return version;
}

Result<void> Plane::check_lender(store::Reader& reader, const SecretName& secret,
                                 const identity::Principal& lender) const {
  const net::Request request = request_for(secret, platform_.core.domain);
  Asked asked = asked_of(request);
  asked.principal = lender;
  TRY(find_vault(asked, reader));
  TRY(check_network(platform_, reader, asked.vault(), lender.address));
  TRY(route(asked));
  TRY(lent_version(asked, reader));
  return {};
}

Result<Version> Plane::version_to_use(Asked& asked, store::Reader& reader) const {
  asked.by_server = true;
  asked.reason.clear();
  TRY(find_vault(asked, reader));
  TRY(check_trusted_service(asked.vault()));
  TRY(route(asked));
  const auto lender = TRY(platform_.core.directory.find_object(reader, asked.principal.object_id));
  if (!lender || !lender->enabled)
    return fault(ErrorKind::forbidden, "Forbidden", "Who has lent the secret is disabled or gone.",
                 "LenderDisabled");
  return lent_version(asked, reader);
}

Result<void> Plane::check_use(store::Reader& reader, const SecretUse& use) const {
  const net::Request request = request_for(use.secret, platform_.core.domain);
  Asked asked = asked_of(request);
  asked.principal = use.lender;
  TRY(version_to_use(asked, reader));
  return {};
}

Result<UsedSecret> Plane::use_secret(const SecretUse& use) const {
  net::Request request = request_for(use.secret, platform_.core.domain);
  request.request_id = use.correlation_id;
  Asked asked = asked_of(request);
  asked.principal = use.lender;
  asked.details = use.details;
  const Objects objects(platform_.core);
  auto used =
      store::write_value<UsedSecret>(platform_.core.store, [&](store::Transaction& tx) -> Result<UsedSecret> {
        const Version version = TRY(version_to_use(asked, tx));
        TRY(spend(asked));
        Secret value = TRY(objects.keyring(asked.vault()).open(version.seal_context(), version.sealed));
        TRY(platform_.core.ledger.append(tx, entry_for(asked, ledger::Decision::allowed)));
        return UsedSecret{std::move(value), version.id};
      });
  const auto refusal = used ? std::nullopt : refusal_entry(asked, used.error());
  if (refusal)
    TRY(platform_.core.store.write(
        [&](store::Transaction& tx) { return platform_.core.ledger.append(tx, *refusal); }));
  return used;
}

}  // namespace merlon::vault
