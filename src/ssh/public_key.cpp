// Reading and writing of public keys; their kinds are a table.
#include "ssh/public_key.h"

#include <array>

#include "base/text.h"
#include "crypto/digest.h"
#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

constexpr size_t kLineBytesMax = 16 * 1024;
constexpr size_t kBlobBytesMax = 8 * 1024;
constexpr size_t kCommentBytesMax = 256;
constexpr size_t kApplicationBytesMax = 1024;
constexpr size_t kRsaBytesMin = 256;   // 2048 bits
constexpr size_t kRsaBytesMax = 1024;  // beyond this, one verification is a way to keep a server busy
constexpr size_t kEd25519Bytes = 32;
// RFC 8410: the head of an Ed25519 key's SubjectPublicKeyInfo, and of its PKCS #8.
constexpr std::array<uint8_t, 12> kSpkiHead = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                               0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::array<uint8_t, 16> kPkcs8Head = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

enum class Fields { ed25519, ecdsa, rsa };

struct KindRow {
  std::string_view name;
  Fields fields;
  std::string_view curve;
  size_t point_bytes = 0;
  bool security_key = false;
};

constexpr std::array<KindRow, 7> kKinds = {{
    {"ssh-ed25519", Fields::ed25519, "", 0, false},
    {"ecdsa-sha2-nistp256", Fields::ecdsa, "nistp256", 65, false},
    {"ecdsa-sha2-nistp384", Fields::ecdsa, "nistp384", 97, false},
    {"ecdsa-sha2-nistp521", Fields::ecdsa, "nistp521", 133, false},
    {"ssh-rsa", Fields::rsa, "", 0, false},
    {"sk-ssh-ed25519@openssh.com", Fields::ed25519, "", 0, true},
    {"sk-ecdsa-sha2-nistp256@openssh.com", Fields::ecdsa, "nistp256", 65, true},
}};

const KindRow* row_of(std::string_view kind) {
  for (const KindRow& row : kKinds)
    if (row.name == kind) return &row;
  return nullptr;
}

std::unexpected<Error> bad_key(std::string_view why) {
  return fail(ErrorKind::invalid, "InvalidSshPublicKey",
              "This is no SSH public key that can be used: " + std::string(why) +
                  ". Give the line of a .pub file: ssh-ed25519, ecdsa-sha2-nistp256, -384 or -521, ssh-rsa "
                  "of 2048 to "
                  "8192 bits, or a security key (sk-…).");
}

// RFC 4251 section 5: positive, without needless zeros.
bool is_positive_mpint(ByteView number) {
  if (number.empty() || (number[0] & 0x80) != 0) return false;
  return number[0] != 0 || (number.size() > 1 && (number[1] & 0x80) != 0);
}

bool rsa_fields(WireReader& reader) {
  const ByteView exponent = reader.string(8);
  const ByteView modulus = reader.string(kRsaBytesMax + 1);
  if (reader.failed() || !is_positive_mpint(exponent) || !is_positive_mpint(modulus)) return false;
  const size_t bytes = modulus.size() - (modulus[0] == 0 ? 1 : 0);
  return bytes >= kRsaBytesMin && bytes <= kRsaBytesMax && (exponent.back() & 1) != 0 &&
         (exponent.size() > 1 || exponent[0] > 1);
}

std::string printable_comment(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kCommentBytesMax))
    if (c >= ' ' && c <= '~') out += c;
  return out;
}

}  // namespace

bool skip_key_fields(WireReader& reader, std::string_view kind) {
  const KindRow* row = row_of(kind);
  if (row == nullptr) return false;
  bool good = true;
  if (row->fields == Fields::ed25519) good = reader.string(kEd25519Bytes).size() == kEd25519Bytes;
  if (row->fields == Fields::ecdsa) {
    good = as_text(reader.string(32)) == row->curve;
    const ByteView point = reader.string(row->point_bytes);
    good = good && point.size() == row->point_bytes && point[0] == 4;  // uncompressed (RFC 5656 section 3.1)
  }
  if (row->fields == Fields::rsa) good = rsa_fields(reader);
  if (row->security_key) good = !reader.string(kApplicationBytesMax).empty() && good;
  return good && !reader.failed();
}

Result<PublicKey> PublicKey::from_blob(ByteView blob) {
  if (blob.size() > kBlobBytesMax) return bad_key("it is too long");
  WireReader reader(blob);
  PublicKey key;
  key.kind_ = reader.text(64);
  if (reader.failed() || row_of(key.kind_) == nullptr) return bad_key("its kind is not known");
  if (!skip_key_fields(reader, key.kind_)) return bad_key("its numbers are not those of a key of its kind");
  if (!reader.at_end()) return bad_key("something stands behind it");
  key.blob_.assign(blob.begin(), blob.end());
  return key;
}

Result<PublicKey> PublicKey::from_line(std::string_view line) {
  if (line.size() > kLineBytesMax) return bad_key("it is too long");
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  line = trim(line);
  const size_t space = line.find(' ');
  if (space == std::string_view::npos)
    return bad_key("a line has a kind and the key, with a space between them");
  const std::string_view kind = line.substr(0, space);
  const std::string_view rest = trim(line.substr(space));
  const size_t end = std::min(rest.find(' '), rest.size());
  const auto blob = from_base64(rest.substr(0, end));
  if (!blob) return bad_key("it is not in base64");
  PublicKey key = TRY(from_blob(*blob));
  if (key.kind() != kind) return bad_key("its line and its content name different kinds");
  key.comment_ = printable_comment(trim(rest.substr(end)));
  return key;
}

PublicKey PublicKey::of(const crypto::PublicKey& ed25519) {
  PublicKey key;
  key.kind_ = "ssh-ed25519";
  key.blob_ = WireWriter().string(key.kind_).string(raw_ed25519(ed25519)).take();
  return key;
}

std::string PublicKey::line() const { return kind_ + " " + to_base64(blob_); }

std::string PublicKey::fingerprint() const {
  std::string text = to_base64(crypto::sha256(blob_));
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

Bytes raw_ed25519(const crypto::PublicKey& key) {
  const Bytes der = key.spki_der();
  MERLON_CHECK(key.kind() == crypto::KeyKind::ed25519 && der.size() == kSpkiHead.size() + kEd25519Bytes);
  return {der.begin() + kSpkiHead.size(), der.end()};
}

Result<crypto::PublicKey> ed25519_from_raw(ByteView raw) {
  if (raw.size() != kEd25519Bytes) return bad_key("an Ed25519 key has 32 bytes");
  Bytes der(kSpkiHead.begin(), kSpkiHead.end());
  der.insert(der.end(), raw.begin(), raw.end());
  return crypto::PublicKey::from_spki_der(der);
}

Result<Secret> openssh_private_key(const crypto::PrivateKey& key, std::string_view comment) {
  const Secret der = key.pkcs8_der();
  const ByteView bytes = der.expose();
  if (key.kind() != crypto::KeyKind::ed25519 || bytes.size() != kPkcs8Head.size() + kEd25519Bytes)
    return internal_error("only Ed25519 keys are written for OpenSSH");
  const Bytes half = raw_ed25519(key.public_key());
  Bytes whole(bytes.begin() + kPkcs8Head.size(), bytes.end());
  whole.insert(whole.end(), half.begin(), half.end());
  const Secret pair(std::move(whole));
  const uint32_t check =
      0x6d65726c;  // any number, twice: it shows whether decryption worked, and there is none
  WireWriter inner;
  inner.number32(check)
      .number32(check)
      .string("ssh-ed25519")
      .string(half)
      .string(pair.expose())
      .string(comment);
  for (uint8_t pad = 1; inner.bytes().size() % 8 != 0; ++pad) inner.byte(pad);
  const Secret private_part(inner.take());
  WireWriter outer;
  outer.raw(as_bytes("openssh-key-v1")).byte(0).string("none").string("none").string("").number32(1);
  outer.string(PublicKey::of(key.public_key()).blob()).string(private_part.expose());
  const Secret body(outer.take());
  const std::string text = to_base64(body.expose());
  std::string pem = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (size_t at = 0; at < text.size(); at += 70) pem += text.substr(at, 70) + "\n";
  return Secret(std::string_view(pem + "-----END OPENSSH PRIVATE KEY-----\n"));
}

std::string authority_line(std::string_view patterns, const PublicKey& key, std::string_view comment) {
  return "@cert-authority " + std::string(patterns) + " " + key.line() + " " + std::string(comment);
}

std::string host_line(std::string_view patterns, const PublicKey& key) {
  return std::string(patterns) + " " + key.line();
}

}  // namespace merlon::ssh
