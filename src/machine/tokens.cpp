// Making and checking enrolment tokens.
#include "machine/tokens.h"

#include "base/bytes.h"
#include "base/text.h"
#include "crypto/digest.h"

namespace merlon::machine {
namespace {

constexpr std::string_view kForm = "mrl1";
constexpr size_t kSecretBytes = 32;

std::unexpected<Error> invalid_token() {
  return fail(ErrorKind::unauthenticated, "EnrolmentTokenInvalid",
              "The enrolment token is unknown, used or expired. Make a new one with 'merlon machine token'.");
}

}  // namespace

Secret make_token_text(EnrolmentToken& token, Random& random) {
  token.id = Uuid::generate(random);
  const Secret text(std::string(kForm) + "." + token.id.text() + "." +
                    to_base64url(random.bytes(kSecretBytes)));
  token.digest = to_hex(crypto::sha256(text.expose()));
  return text;
}

Result<EnrolmentToken> find_token(store::Reader& reader, const TenantId& tenant, std::string_view text,
                                  Timestamp now) {
  const auto parts = split(text, '.');
  if (parts.size() != 3 || parts[0] != kForm) return invalid_token();
  const auto id = Uuid::parse(parts[1]);
  if (!id) return invalid_token();
  const auto token = TRY(store::get<EnrolmentToken>(reader, tenant, id->text()));
  if (!token || token->used || token->expires <= now) return invalid_token();
  const std::string digest = to_hex(crypto::sha256(as_bytes(text)));
  if (!constant_time_equal(as_bytes(digest), as_bytes(token->digest))) return invalid_token();
  return *token;
}

}  // namespace merlon::machine
