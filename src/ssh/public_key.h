// Public keys as SSH writes them: the blob (RFC 4253 section 6.6, RFC 5656, RFC 8709, PROTOCOL.u2f), the line
// of authorized_keys and known_hosts files, and the fingerprint that people compare.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/key.h"

namespace merlon::ssh {

// Kinds that may sign in: no DSA, no RSA below 2048 bits.
class PublicKey {
 public:
  // The whole blob and nothing behind it.
  static Result<PublicKey> from_blob(ByteView blob);
  // "ssh-ed25519 AAAA… comment"; options before the kind are refused.
  static Result<PublicKey> from_line(std::string_view line);
  static PublicKey of(const crypto::PublicKey& ed25519);

  const std::string& kind() const { return kind_; }  // "ssh-ed25519"
  const Bytes& blob() const { return blob_; }
  const std::string& comment() const { return comment_; }  // printable ASCII, of a line
  std::string line() const;                                // kind and blob, without the comment
  std::string fingerprint() const;                         // "SHA256:…", as ssh-keygen -l
  bool is_security_key() const { return kind_.starts_with("sk-"); }
  bool operator==(const PublicKey& other) const { return blob_ == other.blob_; }

 private:
  std::string kind_;
  std::string comment_;
  Bytes blob_;
};

// The fields of a key of `kind` behind its name, as they stand in a blob and in a certificate.
class WireReader;
bool skip_key_fields(WireReader& reader, std::string_view kind);

// The 32 bytes of an Ed25519 key, and back.
Bytes raw_ed25519(const crypto::PublicKey& key);
Result<crypto::PublicKey> ed25519_from_raw(ByteView raw);

// A private Ed25519 key as OpenSSH keeps it (PROTOCOL.key), not encrypted: for a file of 0600.
Result<Secret> openssh_private_key(const crypto::PrivateKey& key, std::string_view comment);

// "@cert-authority PATTERN kind blob comment" and "PATTERN kind blob", for known_hosts files.
std::string authority_line(std::string_view patterns, const PublicKey& key, std::string_view comment);
std::string host_line(std::string_view patterns, const PublicKey& key);

}  // namespace merlon::ssh
