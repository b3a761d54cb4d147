// The declared shapes of Microsoft.KeyVault's control plane.
#pragma once

#include "schema/shape.h"

namespace merlon::vault {

schema::Shape vault_shape();
schema::Shape access_policies_shape();
schema::Shape name_availability_shape();

// The words of access policies (contract, Rules). "all" is every word but purge, as in Azure.
const std::vector<std::string>& permission_words(std::string_view kind);

}  // namespace merlon::vault
