// The parts that certificates and requests are built of (RFC 5280): values, never OpenSSL's configuration
// strings, where a comma in a name would start another name. Not for other rooms.
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "crypto/certificate_parts.h"
#include "crypto/key_material.h"

namespace merlon::crypto {

using ExtendedUsageHandle = std::unique_ptr<EXTENDED_KEY_USAGE, FreeWith<EXTENDED_KEY_USAGE_free>>;
using GeneralNameHandle = std::unique_ptr<GENERAL_NAME, FreeWith<GENERAL_NAME_free>>;
using GeneralNamesHandle = std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>>;
using NameConstraintsHandle = std::unique_ptr<NAME_CONSTRAINTS, FreeWith<NAME_CONSTRAINTS_free>>;
using SubtreeHandle = std::unique_ptr<GENERAL_SUBTREE, FreeWith<GENERAL_SUBTREE_free>>;
using BasicConstraintsHandle = std::unique_ptr<BASIC_CONSTRAINTS, FreeWith<BASIC_CONSTRAINTS_free>>;
using BitStringHandle = std::unique_ptr<ASN1_BIT_STRING, FreeWith<ASN1_BIT_STRING_free>>;
using OctetStringHandle = std::unique_ptr<ASN1_OCTET_STRING, FreeWith<ASN1_OCTET_STRING_free>>;
using AuthorityKeyIdHandle = std::unique_ptr<AUTHORITY_KEYID, FreeWith<AUTHORITY_KEYID_free>>;
using IntegerHandle = std::unique_ptr<ASN1_INTEGER, FreeWith<ASN1_INTEGER_free>>;
using DistributionPointsHandle = std::unique_ptr<CRL_DIST_POINTS, FreeWith<CRL_DIST_POINTS_free>>;
using DistributionPointHandle = std::unique_ptr<DIST_POINT, FreeWith<DIST_POINT_free>>;
using TimeHandle = std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>>;

enum class Criticality : int { no = 0, yes = 1 };

// A host name in the preferred syntax (RFC 1034 section 3.5), underscores allowed. A wildcard is the whole
// leftmost label and has at least two labels after it (RFC 9525 section 6.3).
bool is_dns_name(std::string_view name, bool wildcard_allowed);

bool add_extension(X509* certificate, int nid, void* value, Criticality criticality);
BasicConstraintsHandle basic_constraints_of(bool authority);  // path length 0; empty on failure
BitStringHandle key_usage_of(const std::vector<int>& bits);   // RFC 5280 section 4.2.1.3; empty on failure
// RFC 7093 section 2, method 1: the first 160 bits of SHA-256 over the public key's bit string.
bool add_subject_key_id(X509* certificate);
bool add_authority_key_id(X509* certificate, X509* issuer);
AuthorityKeyIdHandle authority_key_id_of(X509* issuer);  // empty on failure
// Where the list of what the issuer has revoked is (RFC 5280 section 4.2.1.13); empty when it is not said.
bool add_revocation_url(X509* certificate, std::string_view url);
std::string revocation_url_of(X509* certificate);
GeneralNameHandle general_name(int type, int string_type, ByteView value);
bool push_name(GENERAL_NAMES* names, GeneralNameHandle name);
// The digest that goes with a customer's key.
const EVP_MD* certificate_digest_for(const KeyMaterial& key);
bool set_serial(X509* certificate, Random& random);
bool set_times(X509* certificate, Timestamp not_before, Timestamp not_after);

}  // namespace merlon::crypto
