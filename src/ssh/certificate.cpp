// PROTOCOL.certkeys: one layout for all kinds, with the key's own fields in the middle.
#include "ssh/certificate.h"

#include <algorithm>

#include "base/text.h"
#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

constexpr std::string_view kSuffix = "-cert-v01@openssh.com";
constexpr std::string_view kVendor = "@openssh.com";
constexpr size_t kBlobBytesMax = 16 * 1024;
constexpr size_t kPrincipalsMax = 256;
constexpr size_t kOptionsMax = 64;
constexpr size_t kNameBytesMax = 1024;

std::unexpected<Error> malformed(std::string_view why) {
  return fail(ErrorKind::invalid, "InvalidSshCertificate",
              "This is no SSH certificate that can be used: " + std::string(why) + ".");
}

std::unexpected<Error> refused(std::string why) {
  return fail(ErrorKind::unauthenticated, "SshCertificateRefused",
              "The certificate is refused: " + std::move(why) + ".");
}

// "sk-ssh-ed25519@openssh.com" is certified as "sk-ssh-ed25519-cert-v01@openssh.com".
std::string certificate_kind(std::string_view plain) {
  if (plain.ends_with(kVendor)) plain.remove_suffix(kVendor.size());
  return std::string(plain) + std::string(kSuffix);
}

std::string plain_kind(std::string_view kind) {
  kind.remove_suffix(kSuffix.size());
  return std::string(kind) + (kind.starts_with("sk-") ? std::string(kVendor) : "");
}

bool is_plain_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::optional<Options> read_options(ByteView bytes) {
  Options options;
  WireReader reader(bytes);
  while (!reader.failed() && !reader.at_end()) {
    std::string name = reader.text(kNameBytesMax);
    const ByteView data = reader.string();
    WireReader inner(data);
    std::string value = data.empty() ? std::string() : inner.text();
    if (reader.failed() || (!data.empty() && !inner.at_end()) || name.empty() ||
        options.size() == kOptionsMax)
      return std::nullopt;
    // In the order of their names, each once: a second one is a way to be read in two ways.
    if (!options.empty() && options.back().first >= name) return std::nullopt;
    options.emplace_back(std::move(name), std::move(value));
  }
  return reader.failed() ? std::nullopt : std::optional(std::move(options));
}

void write_options(WireWriter& writer, Options options) {
  std::sort(options.begin(), options.end());
  WireWriter all;
  for (const auto& [name, value] : options) {
    all.string(name);
    all.string(value.empty() ? Bytes() : WireWriter().string(value).take());
  }
  writer.string(all.bytes());
}

std::optional<std::vector<std::string>> read_principals(ByteView bytes) {
  std::vector<std::string> principals;
  WireReader reader(bytes);
  while (!reader.failed() && !reader.at_end()) {
    principals.push_back(reader.text(kNameBytesMax));
    if (principals.size() > kPrincipalsMax || principals.back().empty()) return std::nullopt;
  }
  return reader.failed() ? std::nullopt : std::optional(std::move(principals));
}

struct Signed {
  Certificate certificate;
  ByteView body;       // what is signed
  ByteView signature;  // its blob
};

Result<Signed> read_certificate(ByteView blob) {
  if (blob.size() > kBlobBytesMax) return malformed("it is too long");
  WireReader reader(blob);
  const std::string kind = reader.text(64);
  if (!Certificate::is_certificate_kind(kind)) return malformed("its kind is not known");
  const std::string plain = plain_kind(kind);
  const ByteView nonce = reader.string(256);
  const ByteView before = reader.rest();
  if (!skip_key_fields(reader, plain)) return malformed("its key is none");
  const ByteView fields = before.first(before.size() - reader.rest().size());
  Signed read;
  Certificate& it = read.certificate;
  it.key = TRY(PublicKey::from_blob(WireWriter().string(plain).raw(fields).take()));
  it.serial = reader.number64();
  const uint32_t type = reader.number32();
  it.key_id = reader.text(kNameBytesMax);
  const auto principals = read_principals(reader.string());
  it.valid_after_s = reader.number64();
  it.valid_before_s = reader.number64();
  const auto critical = read_options(reader.string());
  const auto extensions = read_options(reader.string());
  const ByteView reserved = reader.string(0);
  const ByteView authority = reader.string();
  read.body = blob.first(blob.size() - reader.rest().size());
  read.signature = reader.string();
  if (!reader.at_end()) return malformed("it is cut short, or something stands behind it");
  if (nonce.size() < 16 || !reserved.empty())
    return malformed("its nonce or its reserved field is not right");
  if (type != 1 && type != 2) return malformed("it is neither a user's nor a host's");
  if (!principals) return malformed("its principals cannot be read");
  if (!critical || !extensions) return malformed("its options cannot be read");
  it.type = static_cast<CertificateType>(type);
  it.principals = *principals;
  it.critical_options = *critical;
  it.extensions = *extensions;
  it.authority = TRY(PublicKey::from_blob(authority));
  return read;
}

Result<void> check_signature(const Signed& read) {
  WireReader key(read.certificate.authority.blob());
  WireReader signature(read.signature);
  const bool ed25519 = key.text() == "ssh-ed25519" && signature.text(64) == "ssh-ed25519";
  const ByteView raw = signature.string(64);
  if (!ed25519 || !signature.at_end() || raw.size() != 64)
    return refused("its signature is not one of Ed25519");
  if (!TRY(ed25519_from_raw(key.string())).verify(crypto::SignatureAlgorithm::eddsa, read.body, raw))
    return refused("its signature is wrong");
  return {};
}

bool names_address(std::string_view list, const IpAddress& source) {
  bool found = false;
  for (const std::string_view each : split(list, ',')) {
    const auto prefix = IpPrefix::parse(each);
    if (!prefix) return false;  // as OpenSSH: a list that cannot be read in whole lets nobody in
    found = found || (prefix->family() == source.family() && prefix->contains(source));
  }
  return found;
}

Result<void> check_critical(const Certificate& certificate, const Judge& judge) {
  for (const auto& [name, value] : certificate.critical_options) {
    if (certificate.type == CertificateType::host) return refused("a host's has no critical options");
    if (name == "source-address") {
      if (!judge.source || !names_address(value, *judge.source))
        return refused("it is not for the address that you come from");
    } else if (name != "force-command") {
      return refused("it demands what is not known here");
    }
  }
  return {};
}

}  // namespace

bool Certificate::is_certificate_kind(std::string_view kind) {
  return kind.ends_with(kSuffix) && kind.size() < 64 && kind.size() > kSuffix.size();
}

Result<Certificate> Certificate::from_blob(ByteView blob) { return TRY(read_certificate(blob)).certificate; }

Result<Certificate> Certificate::from_line(std::string_view line) {
  const auto parts = split(trim(line), ' ');
  const auto blob = parts.size() < 2 ? std::nullopt : from_base64(trim(split(parts[1], '\n')[0]));
  if (!blob) return malformed("a line has a kind and the certificate in base64");
  if (WireReader(*blob).text(64) != parts[0])
    return malformed("its line and its content name different kinds");
  return from_blob(*blob);
}

Result<Bytes> issue_certificate(const CertificateRequest& request, const crypto::PrivateKey& authority,
                                Random& random) {
  const auto seconds = [](Timestamp time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  };
  if (request.principals.empty() || request.principals.size() > kPrincipalsMax ||
      request.key.blob().empty() || authority.kind() != crypto::KeyKind::ed25519 ||
      request.valid_before <= request.valid_after || seconds(request.valid_after) < 0)
    return internal_error("a certificate without key, principal, Ed25519 authority or time was asked for");
  for (const std::string& principal : request.principals)
    if (principal.empty() || principal.size() > kNameBytesMax || !is_plain_text(principal))
      return malformed("a principal is printable ASCII, and not empty");
  WireWriter principals;
  for (const std::string& principal : request.principals) principals.string(principal);
  WireReader key(request.key.blob());
  key.string();
  WireWriter body;
  body.string(certificate_kind(request.key.kind())).string(random.bytes(32)).raw(key.rest());
  body.number64(request.serial).number32(static_cast<uint32_t>(request.type)).string(request.key_id);
  body.string(principals.bytes());
  body.number64(static_cast<uint64_t>(seconds(request.valid_after)));
  body.number64(static_cast<uint64_t>(seconds(request.valid_before)));
  write_options(body, request.critical_options);
  write_options(body, request.extensions);
  body.string("").string(PublicKey::of(authority.public_key()).blob());
  const Bytes signature = TRY(authority.sign(crypto::SignatureAlgorithm::eddsa, body.bytes()));
  body.string(WireWriter().string("ssh-ed25519").string(signature).take());
  Bytes blob = body.take();
  TRY(Certificate::from_blob(blob));
  return blob;
}

Result<std::string> certificate_line(ByteView blob, std::string_view comment) {
  const auto certificate = TRY(Certificate::from_blob(blob));
  return certificate_kind(certificate.key.kind()) + " " + to_base64(blob) + " " + std::string(comment);
}

Result<Certificate> judge_certificate(ByteView blob, const Judge& judge) {
  const Signed read = TRY(read_certificate(blob));
  const Certificate& it = read.certificate;
  if (std::find(judge.authorities.begin(), judge.authorities.end(), it.authority) == judge.authorities.end())
    return refused("its authority is not ours");
  TRY(check_signature(read));
  if (it.type != judge.type) return refused("it is of the other type, a user's or a host's");
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(judge.now.time_since_epoch()).count();
  if (now < 0 || static_cast<uint64_t>(now) < it.valid_after_s) return refused("it is not valid yet");
  if (static_cast<uint64_t>(now) >= it.valid_before_s) return refused("it has expired");
  if (it.principals.empty()) return refused("it names nobody");
  TRY(check_critical(it, judge));
  return it;
}

}  // namespace merlon::ssh
