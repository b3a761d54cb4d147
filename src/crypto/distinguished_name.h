// Distinguished names as text (RFC 4514), as certificate policies have them: "CN=www.example.org, O=Example".
// Not for other rooms.
#pragma once

#include <string>
#include <string_view>

#include "crypto/openssl_handles.h"

namespace merlon::crypto {

// Most specific part first, as RFC 4514 and Azure write it; plain, escaped and quoted values. Refused with
// BadParameter: attributes other than those of RFC 4514 section 3 and serialNumber, givenName, surname,
// title, emailAddress.
Result<NameHandle> parse_distinguished_name(std::string_view text);
std::string distinguished_name_text(const X509_NAME* name);

}  // namespace merlon::crypto
