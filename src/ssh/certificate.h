// OpenSSH certificates (PROTOCOL.certkeys), read strictly and judged, and issued by an Ed25519 authority.
// libssh reads their kinds but judges none of them, so nothing of this is left to it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/result.h"
#include "ssh/public_key.h"

namespace merlon::ssh {

enum class CertificateType : uint32_t { user = 1, host = 2 };

using Options =
    std::vector<std::pair<std::string, std::string>>;  // name and value, in the order of their names

struct Certificate {
  PublicKey key;  // the one that is certified
  uint64_t serial = 0;
  CertificateType type = CertificateType::user;
  std::string key_id;
  std::vector<std::string> principals;
  uint64_t valid_after_s = 0;   // since 1970, inclusive
  uint64_t valid_before_s = 0;  // exclusive
  Options critical_options;     // values as they are meant: without their inner string's length
  Options extensions;
  PublicKey authority;

  static bool is_certificate_kind(std::string_view kind);
  // Everything but the signature is checked here: forms, order, bounds, nothing behind it.
  static Result<Certificate> from_blob(ByteView blob);
  static Result<Certificate> from_line(std::string_view line);
};

struct CertificateRequest {
  PublicKey key;
  uint64_t serial = 0;
  CertificateType type = CertificateType::user;
  std::string key_id;
  std::vector<std::string> principals;  // at least one: one without any would be good for everybody
  Timestamp valid_after, valid_before;
  Options critical_options;  // "force-command", "source-address"
  Options extensions;        // "permit-pty", …
};

// The blob; its line is certificate_line(). `authority` is Ed25519.
Result<Bytes> issue_certificate(const CertificateRequest& request, const crypto::PrivateKey& authority,
                                Random& random);
Result<std::string> certificate_line(ByteView blob, std::string_view comment);

// What a certificate must be for somebody to be let in by it.
struct Judge {
  std::vector<PublicKey> authorities;  // Ed25519
  CertificateType type = CertificateType::user;
  Timestamp now;
  std::optional<IpAddress> source;  // where a user comes from
};

// The certificate when its signature is right and it says what `judge` asks; unauthenticated with the reason
// otherwise. Principals are the caller's to compare. Unknown critical options refuse; force-command is kept
// for the caller.
Result<Certificate> judge_certificate(ByteView blob, const Judge& judge);

}  // namespace merlon::ssh
