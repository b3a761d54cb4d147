// Certificate policies: what they may say (Azure's REST reference, CertificatePolicy), what they ask of the
// crypto room, and when they make a certificate due.
#pragma once

#include "crypto/customer_certificate.h"
#include "services/vault/certificate_records.h"

namespace merlon::vault {

inline constexpr std::string_view kSelf = "Self";        // the certificate signs itself
inline constexpr std::string_view kUnknown = "Unknown";  // somebody elsewhere signs, and merges
inline constexpr std::string_view kPem = "application/x-pem-file";
inline constexpr std::string_view kPfx = "application/x-pkcs12";

// The whole policy from a body, over what there was: members that the body has not stay as they were, and
// what was never said has Azure's defaults. Errors: BadParameter, NotSupported.
Result<JsonObject> read_certificate_policy(const JsonObject& body, const JsonObject& before);
// Of what somebody brings: its own subject, names and key; `body` says the rest.
Result<JsonObject> policy_of_imported(const crypto::CertificateReading& reading,
                                      const crypto::KeyMaterial& key, const JsonObject& body,
                                      std::string_view content_type);

std::string issuer_of(const JsonObject& policy);
bool is_exportable(const JsonObject& policy);
crypto::CertificateProfile profile_of(const JsonObject& policy);
// From ten minutes ago, as Azure's own: clocks differ.
crypto::CertificateTimes times_of(const JsonObject& policy, Timestamp now);

// What comes next for the newest version, whose facts these are.
struct LifetimeStep {
  bool renews = false;  // else the contacts are told
  Timestamp due;
};
std::optional<LifetimeStep> next_step(const Certificate& certificate, const std::string& newest,
                                      const Facts& facts);

}  // namespace merlon::vault
