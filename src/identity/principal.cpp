// Principals as Azure and the ledger name them.
#include "identity/principal.h"

namespace merlon::identity {

std::string_view principal_kind_text(PrincipalKind kind) {
  return kind == PrincipalKind::user ? "User" : "ServicePrincipal";
}

ledger::Actor Principal::actor() const {
  return {.kind = std::string(principal_kind_text(kind)),
          .object_id = object_id.text(),
          .name = name,
          .address = address.text()};
}

}  // namespace merlon::identity
