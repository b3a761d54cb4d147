// Extensions and fields of certificates.
#include "crypto/certificate_extensions.h"

#include <algorithm>
#include <array>

#include "base/ip.h"
#include "base/text.h"
#include "crypto/digest.h"

namespace merlon::crypto {
namespace {

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(label, [](char c) {
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// RFC 7093 section 2, method 1: the first 160 bits of SHA-256 over the public key's bit string.
Bytes key_identifier(const X509* certificate) {
  const ASN1_BIT_STRING* bits = X509_get0_pubkey_bitstr(certificate);
  MERLON_CHECK(bits != nullptr);
  const Sha256Digest digest = sha256({bits->data, static_cast<size_t>(bits->length)});
  return {digest.begin(), digest.begin() + 20};
}

}  // namespace

bool is_dns_name(std::string_view name, bool wildcard_allowed) {
  if (name.empty() || name.size() > 253 || IpAddress::parse(name)) return false;
  if (wildcard_allowed && name.starts_with("*.")) {
    name.remove_prefix(2);
    if (name.find('.') == std::string_view::npos) return false;
  }
  return std::ranges::all_of(split(name, '.'), is_label);
}

bool add_extension(X509* certificate, int nid, void* value, Criticality criticality) {
  return X509_add1_ext_i2d(certificate, nid, value, static_cast<int>(criticality), X509V3_ADD_DEFAULT) == 1;
}

BasicConstraintsHandle basic_constraints_of(bool authority) {
  BasicConstraintsHandle constraints(BASIC_CONSTRAINTS_new());
  if (!constraints || !authority) return constraints;
  constraints->ca = 0xff;
  constraints->pathlen = ASN1_INTEGER_new();
  if (constraints->pathlen == nullptr || ASN1_INTEGER_set(constraints->pathlen, 0) != 1) return nullptr;
  return constraints;
}

BitStringHandle key_usage_of(const std::vector<int>& bits) {
  BitStringHandle usage(ASN1_BIT_STRING_new());
  for (const int bit : bits)
    if (!usage || ASN1_BIT_STRING_set_bit(usage.get(), bit, 1) != 1) return nullptr;
  return usage;
}

bool add_subject_key_id(X509* certificate) {
  const Bytes identifier = key_identifier(certificate);
  const OctetStringHandle value(ASN1_OCTET_STRING_new());
  return value &&
         ASN1_OCTET_STRING_set(value.get(), identifier.data(), static_cast<int>(identifier.size())) == 1 &&
         add_extension(certificate, NID_subject_key_identifier, value.get(), Criticality::no);
}

AuthorityKeyIdHandle authority_key_id_of(X509* issuer) {
  // The issuer's own spelling, where it has one: an authority made elsewhere may have used another method.
  const ASN1_OCTET_STRING* own = X509_get0_subject_key_id(issuer);
  const Bytes identifier =
      own != nullptr ? Bytes(own->data, own->data + own->length) : key_identifier(issuer);
  AuthorityKeyIdHandle value(AUTHORITY_KEYID_new());
  if (!value) return nullptr;
  value->keyid = ASN1_OCTET_STRING_new();
  if (value->keyid == nullptr ||
      ASN1_OCTET_STRING_set(value->keyid, identifier.data(), static_cast<int>(identifier.size())) != 1)
    return nullptr;
  return value;
}

bool add_authority_key_id(X509* certificate, X509* issuer) {
  const AuthorityKeyIdHandle value = authority_key_id_of(issuer);
  return value && add_extension(certificate, NID_authority_key_identifier, value.get(), Criticality::no);
}

bool add_revocation_url(X509* certificate, std::string_view url) {
  GeneralNamesHandle names(sk_GENERAL_NAME_new_null());
  DistributionPointHandle point(DIST_POINT_new());
  const DistributionPointsHandle points(sk_DIST_POINT_new_null());
  if (!names || !point || !points ||
      !push_name(names.get(), general_name(GEN_URI, V_ASN1_IA5STRING, as_bytes(url))))
    return false;
  point->distpoint = DIST_POINT_NAME_new();
  if (point->distpoint == nullptr) return false;
  point->distpoint->type = 0;  // fullName
  point->distpoint->name.fullname = names.release();
  if (sk_DIST_POINT_push(points.get(), point.get()) <= 0) return false;
  static_cast<void>(point.release());
  return add_extension(certificate, NID_crl_distribution_points, points.get(), Criticality::no);
}

std::string revocation_url_of(X509* certificate) {
  const DistributionPointsHandle points(static_cast<CRL_DIST_POINTS*>(
      X509_get_ext_d2i(certificate, NID_crl_distribution_points, nullptr, nullptr)));
  for (int i = 0; points && i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT_NAME* place = sk_DIST_POINT_value(points.get(), i)->distpoint;
    if (place == nullptr || place->type != 0) continue;
    for (int j = 0; j < sk_GENERAL_NAME_num(place->name.fullname); ++j) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(place->name.fullname, j);
      if (name->type != GEN_URI) continue;
      const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
      return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
              static_cast<size_t>(ASN1_STRING_length(text))};
    }
  }
  return {};
}

GeneralNameHandle general_name(int type, int string_type, ByteView value) {
  GeneralNameHandle name(GENERAL_NAME_new());
  ASN1_STRING* text = ASN1_STRING_type_new(string_type);
  if (!name || text == nullptr || ASN1_STRING_set(text, value.data(), static_cast<int>(value.size())) != 1) {
    ASN1_STRING_free(text);
    return nullptr;
  }
  GENERAL_NAME_set0_value(name.get(), type, text);
  return name;
}

bool push_name(GENERAL_NAMES* names, GeneralNameHandle name) {
  if (!name || sk_GENERAL_NAME_push(names, name.get()) <= 0) return false;
  static_cast<void>(name.release());
  return true;
}

// 159 random bits: RFC 5280 section 4.1.2.2 allows 20 octets and wants a positive number.
bool set_serial(X509* certificate, Random& random) {
  std::array<uint8_t, 20> bytes{};
  random.fill(bytes);
  bytes.front() = static_cast<uint8_t>(bytes.front() & 0x7f);
  const BignumHandle number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  if (!number || (BN_is_zero(number.get()) && BN_one(number.get()) != 1)) return false;
  const IntegerHandle serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  return serial && X509_set_serialNumber(certificate, serial.get()) == 1;
}

bool set_times(X509* certificate, Timestamp not_before, Timestamp not_after) {
  const auto seconds = [](Timestamp time) {
    return static_cast<time_t>(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
  };
  const TimeHandle start(ASN1_TIME_set(nullptr, seconds(not_before)));
  const TimeHandle end(ASN1_TIME_set(nullptr, seconds(not_after)));
  return start && end && X509_set1_notBefore(certificate, start.get()) == 1 &&
         X509_set1_notAfter(certificate, end.get()) == 1;
}

}  // namespace merlon::crypto
