// Enrolment tokens: one machine, one use, a short life. The text is "mrl1.<id>.<secret>"; only a digest of it
// is kept.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "machine/desired_state.h"
#include "store/table.h"

namespace merlon::machine {

struct EnrolmentToken {
  Uuid id;
  std::string group_id;  // resource group that the machine goes to
  std::string machine_name;
  Mode mode = Mode::audit;
  std::string digest;  // SHA-256 of the whole text, hex: it has 256 random bits, so no slow hash is needed
  Timestamp expires;
  std::string created_by;  // object id
  bool used = false;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<EnrolmentToken> from_json(const JsonObject& json);
};

// Sets id and digest; the text is shown once.
Secret make_token_text(EnrolmentToken& token, Random& random);

// The live token that `text` names. Every failure is the same error, EnrolmentTokenInvalid: it tells nothing
// to one who guesses.
Result<EnrolmentToken> find_token(store::Reader& reader, const TenantId& tenant, std::string_view text,
                                  Timestamp now);

}  // namespace merlon::machine
