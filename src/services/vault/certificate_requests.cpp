// Requests under way: a certificate whose issuer is elsewhere waits, with its key, for what that issuer
// signs.
#include <algorithm>

#include "base/text.h"
#include "crypto/key_bundle.h"
#include "services/vault/certificates.h"

namespace merlon::vault {
namespace {

constexpr size_t kChainMax = 20;

std::string operation_url(const Asked& asked, const Certificate& certificate) {
  return object_url(asked, certificate.name, {}) + "/pending";
}

std::unexpected<Error> no_request(const ObjectName& name) {
  return fault(ErrorKind::not_found, "PendingCertificateNotFound",
               "The certificate '" + name.name + "' has no request under way.");
}

std::unexpected<Error> is_over(const ObjectName& name) {
  return fault(ErrorKind::conflict, "Conflict",
               "The request for the certificate '" + name.name + "' is over. Create another.");
}

Result<std::vector<Bytes>> read_chain(const JsonObject& body) {
  const JsonArray* given = array_at(body, "x5c");
  if (given == nullptr || given->empty() || given->size() > kChainMax)
    return bad_parameter("The body needs 'x5c': the certificate and those above it, at most 20, in base64.");
  std::vector<Bytes> chain;
  for (const Json& one : *given) {
    auto der = one.is_string() ? from_base64(one.get_string()) : std::nullopt;
    if (!der) return bad_parameter("'x5c' has what is not base64.");
    // Clients send the bytes of a file as they are: PEM, or what stands between its lines, in base64 once
    // more (the example of @azure/keyvault-certificates' mergeCertificate).
    if (auto inner = from_base64(as_text(*der))) der = std::move(inner);
    if (as_text(*der).find("-----BEGIN") != std::string_view::npos) {
      for (Bytes& certificate : TRY(crypto::read_pem_certificates(as_text(*der))))
        chain.push_back(std::move(certificate));
      continue;
    }
    TRY(crypto::read_customer_certificate(*der));
    chain.push_back(*std::move(der));
  }
  if (chain.size() > kChainMax) return bad_parameter("'x5c' has more than 20 certificates.");
  return chain;
}

// The one that is for the key first.
Result<void> put_own_first(std::vector<Bytes>& chain, const crypto::KeyMaterial& material) {
  for (size_t i = 0; i < chain.size(); ++i)
    if (TRY(crypto::certificate_is_for(chain[i], material))) {
      std::rotate(chain.begin(), chain.begin() + static_cast<std::ptrdiff_t>(i),
                  chain.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      return {};
    }
  return bad_parameter(
      "Public key from x509 certificate and key of this instance doesn't match: none of the certificates in "
      "'x5c' is for the key of the request.");
}

// For people: programs go by the status.
std::string_view details_of(const PendingRequest& request) {
  if (request.status == "completed") return "The certificate is issued.";
  if (request.status == "inProgress")
    return "Pending certificate created. Please Perform Merge to complete the request.";
  return "The request has ended without a certificate.";
}

}  // namespace

JsonObject shown_operation(const Asked& asked, const Certificate& certificate) {
  const PendingRequest& request = *certificate.pending;
  JsonObject issuer{{"name", request.issuer}};
  if (!request.issuer_type.empty()) issuer["cty"] = request.issuer_type;
  JsonObject shown{{"id", operation_url(asked, certificate)},
                   {"issuer", std::move(issuer)},
                   {"csr", request.csr},
                   {"cancellation_requested", request.cancellation_requested},
                   {"status", request.status},
                   {"status_details", details_of(request)},
                   {"request_id", request.request_id}};
  if (request.status == "completed") shown["target"] = object_url(asked, certificate.name, {});
  return shown;
}

JsonObject shown_policy(const Asked& asked, const Certificate& certificate) {
  JsonObject shown{{"id", object_url(asked, certificate.name, {}) + "/policy"}};
  for (const auto& member : certificate.policy) shown.insert(member);
  shown["attributes"] = JsonObject{
      {"enabled", true}, {"created", certificate.policy_created}, {"updated", certificate.policy_updated}};
  return shown;
}

Result<JsonObject> shown_whole(const resource::Core& core, const Asked& asked, store::Reader& reader,
                               const Version& version) {
  JsonObject shown = shown_version(asked, version);
  if (version.name.kind != Kind::certificates) return shown;
  const auto certificate = TRY(store::get<Certificate>(reader, core.tenant, version.name.key()));
  if (!certificate) return internal_error("the policy of " + version.name.key() + " is not there");
  shown["policy"] = shown_policy(asked, *certificate);
  if (certificate->pending) shown["pending"] = JsonObject{{"id", operation_url(asked, *certificate)}};
  return shown;
}

Result<Answer> Certificates::pending(Asked& asked, store::Reader& reader) const {
  const Certificate certificate = TRY(require(reader, asked.object(Kind::certificates)));
  if (!certificate.pending) return no_request(certificate.name);
  return Answer{200, shown_operation(asked, certificate)};
}

Result<Answer> Certificates::cancel(Asked& asked, store::Transaction& tx) const {
  Certificate certificate = TRY(require(tx, asked.object(Kind::certificates)));
  if (!certificate.pending) return no_request(certificate.name);
  const auto wanted = bool_at(asked.body, "cancellation_requested");
  if (!wanted) return bad_parameter("The body needs 'cancellation_requested', true or false.");
  PendingRequest& request = *certificate.pending;
  if (request.status != "inProgress") return is_over(certificate.name);
  request.cancellation_requested = *wanted;
  if (*wanted) {
    // Nobody else is at work on it: it is over at once, and its key with it.
    request.status = "cancelled";
    request.sealed = {};
  }
  TRY(store::put(tx, objects_.core().tenant, certificate));
  return Answer{200, shown_operation(asked, certificate)};
}

Result<Answer> Certificates::forget(Asked& asked, store::Transaction& tx) const {
  Certificate certificate = TRY(require(tx, asked.object(Kind::certificates)));
  if (!certificate.pending) return no_request(certificate.name);
  const JsonObject shown = shown_operation(asked, certificate);
  certificate.pending.reset();
  TRY(store::put(tx, objects_.core().tenant, certificate));
  // What never became a certificate is nothing without its request.
  const Object object = TRY(objects_.require(tx, certificate.name));
  if (object.facts.pending) TRY(objects_.destroy(tx, object));
  return Answer{200, shown};
}

Result<Answer> Certificates::merge(Asked& asked, store::Transaction& tx) const {
  Certificate certificate = TRY(require(tx, asked.object(Kind::certificates)));
  if (!certificate.pending) return no_request(certificate.name);
  PendingRequest& request = *certificate.pending;
  if (request.status != "inProgress") return is_over(certificate.name);
  TRY(require_names_free(tx, certificate.name));
  auto chain = TRY(read_chain(asked.body));
  auto material = TRY(crypto::KeyMaterial::load(
      TRY(objects_.keyring(asked.vault()).open(request.seal_context(certificate.name), request.sealed))));
  TRY(put_own_first(chain, material));
  JsonObject said{{"tags", nullptr}, {"attributes", nullptr}};
  for (const std::string_view key : {"tags", "attributes"})
    if (const Json* value = asked.body.if_contains(key)) said[key] = *value;
  Facts facts = TRY(read_facts(said, request.facts, asked.now));
  request.status = "completed";
  request.sealed = {};
  const Version version = TRY(complete(
      tx, asked.vault(), certificate,
      {request.version, std::move(facts), {std::move(material), request.exportable}, std::move(chain)}));
  TRY(store::put(tx, objects_.core().tenant, certificate));
  asked.details["version"] = version.id;
  return Answer{201, TRY(shown_whole(objects_.core(), asked, tx, version))};
}

}  // namespace merlon::vault
