// Certificates as text.
#include "cli/certificate_text.h"

#include "base/bytes.h"
#include "base/time_text.h"
#include "cli/output.h"

namespace merlon::cli {

std::string pem_of(std::string_view label, std::string_view base64) {
  constexpr size_t kLine = 64;
  std::string text = "-----BEGIN " + std::string(label) + "-----\n";
  for (size_t at = 0; at < base64.size(); at += kLine) {
    text += base64.substr(at, kLine);
    text += '\n';
  }
  return text + "-----END " + std::string(label) + "-----\n";
}

std::string seconds_text(const JsonObject& json, std::string_view path) {
  const auto seconds = int_at(json, path);
  return seconds ? to_rfc3339(Timestamp(std::chrono::seconds(*seconds))) : std::string();
}

std::string certificate_text(const JsonObject& certificate) {
  const auto thumbprint = from_base64url(text_at(certificate, "x5t"));
  return facts_text({{"Certificate", text_at(certificate, "id")},
                     {"Subject", text_at(certificate, "policy.x509_props.subject")},
                     {"Names", joined_at(certificate, "policy.x509_props.sans.dns_names")},
                     {"Issuer", text_at(certificate, "policy.issuer.name")},
                     {"Thumbprint", thumbprint ? to_hex(*thumbprint) : std::string()},
                     {"Begins", seconds_text(certificate, "attributes.nbf")},
                     {"Ends", seconds_text(certificate, "attributes.exp")},
                     {"Enabled", text_at(certificate, "attributes.enabled")},
                     {"Key", text_at(certificate, "kid")},
                     {"Secret", text_at(certificate, "sid")}});
}

}  // namespace merlon::cli
