// Making and destroying keys in the token.
#include "crypto/hsm.h"

#include <array>

#include "crypto/hsm_sessions.h"
#include "crypto/key_algorithms.h"

namespace merlon::crypto {
namespace {

CK_BBOOL yes = CK_TRUE;  // p11-kit's templates take no constants
CK_BBOOL no = CK_FALSE;

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

// Object identifiers in DER: SEC 2 section A.2, RFC 5480 section 2.1.1.1.
struct CurveRow {
  std::string_view name;
  std::array<uint8_t, 10> oid;
  size_t oid_bytes;
};
constexpr std::array<CurveRow, 4> kCurves = {
    {{"P-256", {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 10},
     {"P-384", {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}, 7},
     {"P-521", {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23}, 7},
     {"P-256K", {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a}, 7}}};

const CurveRow* curve_named(std::string_view name) {
  for (const CurveRow& row : kCurves)
    if (row.name == name) return &row;
  return nullptr;
}

// What the token does not do is the caller's mistake; anything else is the token's.
std::unexpected<Error> not_made(CK_RV code) {
  const bool cannot = code == CKR_MECHANISM_INVALID || code == CKR_MECHANISM_PARAM_INVALID ||
                      code == CKR_KEY_SIZE_RANGE || code == CKR_DOMAIN_PARAMS_INVALID ||
                      code == CKR_ATTRIBUTE_VALUE_INVALID || code == CKR_TEMPLATE_INCONSISTENT;
  if (cannot)
    return bad("The server's hardware token does not make keys of this kind and size (" +
               std::string(p11_kit().strerror(code)) + ").");
  return token_refused("make a key", code);
}

// A template whose texts live as long as it does.
class Template {
 public:
  Template& flag(CK_ATTRIBUTE_TYPE type, bool value) {
    attributes_.push_back({type, value ? &yes : &no, sizeof(CK_BBOOL)});
    return *this;
  }
  Template& bytes(CK_ATTRIBUTE_TYPE type, Bytes& value) {
    attributes_.push_back({type, value.data(), value.size()});
    return *this;
  }
  Template& number(CK_ATTRIBUTE_TYPE type, CK_ULONG& value) {
    attributes_.push_back({type, &value, sizeof value});
    return *this;
  }
  // Stays in the token, is used there, and is shown to nobody (PKCS #11 v2.40, sections 4.9 and 4.10).
  Template& kept(Bytes& id, Bytes& label) {
    return flag(CKA_TOKEN, true)
        .flag(CKA_PRIVATE, true)
        .flag(CKA_SENSITIVE, true)
        .flag(CKA_EXTRACTABLE, false)
        .bytes(CKA_ID, id)
        .bytes(CKA_LABEL, label);
  }
  CK_ATTRIBUTE* data() { return attributes_.data(); }
  CK_ULONG size() const { return attributes_.size(); }

 private:
  std::vector<CK_ATTRIBUTE> attributes_;
};

CK_RV read_bytes(const TokenSession& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, Bytes& out) {
  CK_ATTRIBUTE wanted{type, nullptr, 0};
  if (const CK_RV code = session.functions.C_GetAttributeValue(session.handle, object, &wanted, 1);
      code != CKR_OK)
    return code;
  out.resize(wanted.ulValueLen);
  wanted.pValue = out.data();
  return session.functions.C_GetAttributeValue(session.handle, object, &wanted, 1);
}

// A token that does not keep what it was asked to keep is no place for a key.
CK_RV check_kept(const TokenSession& session, CK_OBJECT_HANDLE key) {
  CK_BBOOL sensitive = CK_FALSE;
  CK_BBOOL extractable = CK_TRUE;
  std::array<CK_ATTRIBUTE, 2> asked{
      {{CKA_SENSITIVE, &sensitive, sizeof sensitive}, {CKA_EXTRACTABLE, &extractable, sizeof extractable}}};
  const CK_RV code = session.functions.C_GetAttributeValue(session.handle, key, asked.data(), asked.size());
  if (code != CKR_OK) return code;
  return sensitive == CK_TRUE && extractable == CK_FALSE ? CKR_OK : CKR_TEMPLATE_INCONSISTENT;
}

struct Pair {
  Bytes first, second;  // modulus and exponent, or the point
};

CK_RV make_pair(const TokenSession& session, CK_MECHANISM_TYPE type, Template& open, Template& kept,
                std::array<CK_ATTRIBUTE_TYPE, 2> shown, Pair& pair) {
  CK_MECHANISM mechanism{type, nullptr, 0};
  CK_OBJECT_HANDLE public_key = 0;
  CK_OBJECT_HANDLE private_key = 0;
  CK_RV code = session.functions.C_GenerateKeyPair(session.handle, &mechanism, open.data(), open.size(),
                                                   kept.data(), kept.size(), &public_key, &private_key);
  if (code != CKR_OK) return code;
  code = check_kept(session, private_key);
  if (code == CKR_OK) code = read_bytes(session, public_key, shown[0], pair.first);
  if (code == CKR_OK && shown[1] != shown[0]) code = read_bytes(session, public_key, shown[1], pair.second);
  session.functions.C_DestroyObject(session.handle, public_key);
  if (code != CKR_OK) session.functions.C_DestroyObject(session.handle, private_key);
  return code;
}

Result<JsonObject> make_rsa(HsmSessions& sessions, const HsmKeyWish& wish) {
  if (wish.bits != 2048 && wish.bits != 3072 && wish.bits != 4096)
    return bad("An RSA key has 2048, 3072 or 4096 bits.");
  if (wish.exponent <= 65536 || wish.exponent > INT32_MAX || wish.exponent % 2 == 0)
    return bad("public_exponent must be an odd number above 65536, such as 65537.");
  CK_ULONG bits = static_cast<CK_ULONG>(wish.bits);
  Bytes exponent;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const auto octet = static_cast<uint8_t>(wish.exponent >> shift);
    if (octet != 0 || !exponent.empty()) exponent.push_back(octet);
  }
  Bytes id = wish.id;
  Bytes label = to_bytes(wish.label);
  Template open;
  open.flag(CKA_TOKEN, false)
      .flag(CKA_VERIFY, true)
      .flag(CKA_ENCRYPT, true)
      .number(CKA_MODULUS_BITS, bits)
      .bytes(CKA_PUBLIC_EXPONENT, exponent);
  Template kept;
  kept.kept(id, label).flag(CKA_SIGN, true).flag(CKA_DECRYPT, true).flag(CKA_UNWRAP, false);
  Pair pair;
  const CK_RV code = TRY(sessions.run([&](const TokenSession& session) {
    return make_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, open, kept, {CKA_MODULUS, CKA_PUBLIC_EXPONENT},
                     pair);
  }));
  if (code != CKR_OK) return not_made(code);
  return JsonObject{{"kty", "RSA-HSM"}, {"n", to_base64url(pair.first)}, {"e", to_base64url(pair.second)}};
}

// CKA_EC_POINT is the point in an OCTET STRING; some tokens leave that out.
std::optional<ByteView> point_of(ByteView value, size_t width) {
  const size_t wanted = 2 * width + 1;
  if (value.size() > wanted) value = value.last(wanted);
  if (value.size() != wanted || value[0] != 4) return std::nullopt;
  return value.subspan(1);
}

Result<JsonObject> make_ec(HsmSessions& sessions, const HsmKeyWish& wish) {
  const CurveRow* curve = curve_named(wish.curve);
  if (curve == nullptr) return bad("crv must be P-256, P-384, P-521 or P-256K.");
  Bytes parameters(curve->oid.begin(), curve->oid.begin() + static_cast<long>(curve->oid_bytes));
  Bytes id = wish.id;
  Bytes label = to_bytes(wish.label);
  Template open;
  open.flag(CKA_TOKEN, false).flag(CKA_VERIFY, true).bytes(CKA_EC_PARAMS, parameters);
  Template kept;
  kept.kept(id, label).flag(CKA_SIGN, true).flag(CKA_DERIVE, false);
  Pair pair;
  const CK_RV code = TRY(sessions.run([&](const TokenSession& session) {
    return make_pair(session, CKM_EC_KEY_PAIR_GEN, open, kept, {CKA_EC_POINT, CKA_EC_POINT}, pair);
  }));
  if (code != CKR_OK) return not_made(code);
  const size_t width = scalar_bytes(curve->name);
  const auto point = point_of(pair.first, width);
  if (!point) return token_refused("made an EC key and shows no point of its curve.");
  return JsonObject{{"kty", "EC-HSM"},
                    {"crv", wish.curve},
                    {"x", to_base64url(point->first(width))},
                    {"y", to_base64url(point->last(width))}};
}

Result<JsonObject> make_oct(HsmSessions& sessions, const HsmKeyWish& wish) {
  const bool aes = wish.bits == 128 || wish.bits == 192 || wish.bits == 256;
  if (!aes && (!wish.signs || (wish.bits != 384 && wish.bits != 512)))
    return bad(
        "A symmetric key in a token has 128, 192 or 256 bits for AES; to sign and verify (key_ops) also 384 "
        "or "
        "512.");
  CK_ULONG bytes = static_cast<CK_ULONG>(wish.bits / 8);
  Bytes id = wish.id;
  Bytes label = to_bytes(wish.label);
  Template kept;
  kept.kept(id, label).number(CKA_VALUE_LEN, bytes);
  for (const CK_ATTRIBUTE_TYPE use : {CKA_SIGN, CKA_VERIFY}) kept.flag(use, wish.signs);
  for (const CK_ATTRIBUTE_TYPE use : {CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP})
    kept.flag(use, !wish.signs);
  CK_MECHANISM mechanism{wish.signs ? CKM_GENERIC_SECRET_KEY_GEN : CKM_AES_KEY_GEN, nullptr, 0};
  const CK_RV code = TRY(sessions.run([&](const TokenSession& session) {
    CK_OBJECT_HANDLE key = 0;
    CK_RV made = session.functions.C_GenerateKey(session.handle, &mechanism, kept.data(), kept.size(), &key);
    if (made != CKR_OK) return made;
    made = check_kept(session, key);
    if (made != CKR_OK) session.functions.C_DestroyObject(session.handle, key);
    return made;
  }));
  if (code != CKR_OK) return not_made(code);
  return JsonObject{{"kty", "oct-HSM"}};
}

}  // namespace

Result<std::unique_ptr<Hsm>> Hsm::at(const std::string& uri) {
  UriHandle parsed = TRY(parse_token_uri(uri, UriObject::none));
  return std::unique_ptr<Hsm>(new Hsm(std::make_unique<HsmSessions>(std::move(parsed))));
}

Hsm::Hsm(std::unique_ptr<HsmSessions> sessions) : sessions_(std::move(sessions)) {}
Hsm::~Hsm() = default;

Result<void> Hsm::probe() {
  const CK_RV code = TRY(sessions_->run([](const TokenSession& session) {
    CK_SESSION_INFO info{};
    return session.functions.C_GetSessionInfo(session.handle, &info);
  }));
  if (code != CKR_OK) return token_refused("tell of its session", code);
  return {};
}

Result<JsonObject> Hsm::generate(const HsmKeyWish& wish) {
  switch (wish.kind) {
    case MaterialKind::rsa:
      return make_rsa(*sessions_, wish);
    case MaterialKind::ec:
      return make_ec(*sessions_, wish);
    case MaterialKind::oct:
      return make_oct(*sessions_, wish);
  }
  return internal_error("a kind of key that there is not");
}

Result<void> Hsm::destroy(ByteView id) {
  const CK_RV code = TRY(sessions_->run([&](const TokenSession& session) {
    std::vector<CK_OBJECT_HANDLE> found;
    CK_RV done = find_objects(session, std::nullopt, id, found);
    for (const CK_OBJECT_HANDLE object : found)
      if (done == CKR_OK) done = session.functions.C_DestroyObject(session.handle, object);
    return done;
  }));
  sessions_->forget(id);
  if (code != CKR_OK) return token_refused("destroy a key", code);
  return {};
}

Result<bool> Hsm::holds(ByteView id) {
  std::vector<CK_OBJECT_HANDLE> found;
  const CK_RV code = TRY(sessions_->run(
      [&](const TokenSession& session) { return find_objects(session, std::nullopt, id, found); }));
  if (code != CKR_OK) return token_refused("search for a key", code);
  return !found.empty();
}

}  // namespace merlon::crypto
