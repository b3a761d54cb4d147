// Revoking what an authority of a vault has issued, and the lists that say so: one for each version of an
// authority's certificate, at an address that is in what it issues and that anybody may read, because whoever
// checks a certificate has no right in the vault.
#pragma once

#include "services/vault/certificates.h"

namespace merlon::vault {

// "/crl/<authority>/<version>", below the vault's address.
std::string revocation_path(std::string_view authority, std::string_view version);

// "crl", authority, version: what a request asks for without a token; nothing when it asks for something
// else.
struct RevocationListName {
  std::string authority, version;
};
std::optional<RevocationListName> revocation_list_of(const net::Request& request);

// The list in DER, made anew when the last one is no longer fresh. Errors: not_found.
Result<Bytes> current_revocation_list(const resource::Core& core, const std::string& vault,
                                      const RevocationListName& name);

void add_revocation_operations(const resource::Core& core, const AddOperation& add);

}  // namespace merlon::vault
