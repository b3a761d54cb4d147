// Over the structures of RFC 7292 section 4 and RFC 8018 appendix A.
#include "crypto/pfx_work.h"

#include <openssl/pkcs7.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace merlon::crypto {
namespace {

// A file of today has some 2048 to 600,000 rounds, two or three times.
constexpr long kRoundsMax = 2'000'000;
constexpr int kEncryptedMax = 4;  // contents and keys
constexpr int kBagsMax = 64;
constexpr unsigned kDepthMax = 4;  // of bags within bags

struct FreeContents {
  void operator()(STACK_OF(PKCS7) * all) const noexcept { sk_PKCS7_pop_free(all, PKCS7_free); }
};
struct FreeBags {
  void operator()(STACK_OF(PKCS12_SAFEBAG) * all) const noexcept {
    sk_PKCS12_SAFEBAG_pop_free(all, PKCS12_SAFEBAG_free);
  }
};
using ContentsHandle = std::unique_ptr<STACK_OF(PKCS7), FreeContents>;
using BagsHandle = std::unique_ptr<STACK_OF(PKCS12_SAFEBAG), FreeBags>;
using Pbes2Handle = std::unique_ptr<PBE2PARAM, FreeWith<PBE2PARAM_free>>;
using Pbkdf2Handle = std::unique_ptr<PBKDF2PARAM, FreeWith<PBKDF2PARAM_free>>;
using PbeHandle = std::unique_ptr<PBEPARAM, FreeWith<PBEPARAM_free>>;

int name_of(const ASN1_OBJECT* object) { return OBJ_obj2nid(object); }

// Nothing for what counts no rounds, or not in this way: scrypt, and whatever else there may be.
const ASN1_INTEGER* rounds_of(const X509_ALGOR* algorithm, Pbkdf2Handle& derivation, PbeHandle& old) {
  static constexpr std::array<int, 6> kOldOnes = {
      NID_pbe_WithSHA1And128BitRC4,           NID_pbe_WithSHA1And40BitRC4,
      NID_pbe_WithSHA1And3_Key_TripleDES_CBC, NID_pbe_WithSHA1And2_Key_TripleDES_CBC,
      NID_pbe_WithSHA1And128BitRC2_CBC,       NID_pbe_WithSHA1And40BitRC2_CBC};
  const int name = name_of(algorithm->algorithm);
  if (std::ranges::find(kOldOnes, name) != kOldOnes.end()) {
    old.reset(
        static_cast<PBEPARAM*>(ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBEPARAM), algorithm->parameter)));
    return old ? old->iter : nullptr;
  }
  if (name != NID_pbes2) return nullptr;
  const Pbes2Handle parameters(
      static_cast<PBE2PARAM*>(ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), algorithm->parameter)));
  if (!parameters || name_of(parameters->keyfunc->algorithm) != NID_id_pbkdf2) return nullptr;
  derivation.reset(static_cast<PBKDF2PARAM*>(
      ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBKDF2PARAM), parameters->keyfunc->parameter)));
  return derivation ? derivation->iter : nullptr;
}

class Budget {
 public:
  bool take(const ASN1_INTEGER* rounds) {
    const long count = rounds == nullptr ? 0 : ASN1_INTEGER_get(rounds);
    if (count < 1 || count > left_) return false;
    left_ -= count;
    return true;
  }
  bool take_encrypted(const X509_ALGOR* algorithm) {
    Pbkdf2Handle derivation;
    PbeHandle old;
    return encrypted_++ < kEncryptedMax && take(rounds_of(algorithm, derivation, old));
  }
  bool take_bag() { return bags_++ < kBagsMax; }

 private:
  long left_ = kRoundsMax;
  int encrypted_ = 0;
  int bags_ = 0;
};

bool take_bags(Budget& budget, const STACK_OF(PKCS12_SAFEBAG) * bags, unsigned depth) {
  if (bags == nullptr || depth > kDepthMax) return false;
  for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags); ++i) {
    const PKCS12_SAFEBAG* bag = sk_PKCS12_SAFEBAG_value(bags, i);
    if (!budget.take_bag()) return false;
    const int kind = PKCS12_SAFEBAG_get_nid(bag);
    if (kind == NID_safeContentsBag && !take_bags(budget, PKCS12_SAFEBAG_get0_safes(bag), depth + 1))
      return false;
    if (kind != NID_pkcs8ShroudedKeyBag) continue;
    const X509_ALGOR* algorithm = nullptr;
    X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &algorithm, nullptr);
    if (!budget.take_encrypted(algorithm)) return false;
  }
  return true;
}

}  // namespace

bool asks_for_bounded_work(const PKCS12* pfx, const char* password) {
  Budget budget;
  const ASN1_INTEGER* mac_rounds = nullptr;
  PKCS12_get0_mac(nullptr, nullptr, nullptr, &mac_rounds, pfx);
  if (mac_rounds != nullptr && !budget.take(mac_rounds)) return false;
  const ContentsHandle contents(PKCS12_unpack_authsafes(pfx));
  if (!contents) return true;  // PKCS12_parse says what is wrong with it
  for (int i = 0; i < sk_PKCS7_num(contents.get()); ++i) {
    PKCS7* content = sk_PKCS7_value(contents.get(), i);
    const int kind = name_of(content->type);
    if (kind == NID_pkcs7_encrypted) {
      if (content->d.encrypted == nullptr ||
          !budget.take_encrypted(content->d.encrypted->enc_data->algorithm))
        return false;
      // What does not open here does not open there. Where the password is empty, PKCS12_parse tries two
      // spellings of that, and a content may open by both.
      for (const char* spelling : {password, static_cast<const char*>(nullptr)}) {
        const size_t length = spelling == nullptr ? 0 : std::strlen(spelling);
        if (spelling == nullptr && *password != '\0') break;
        const BagsHandle bags(PKCS12_unpack_p7encdata(content, spelling, static_cast<int>(length)));
        if (bags && !take_bags(budget, bags.get(), 0)) return false;
      }
    } else if (kind == NID_pkcs7_data) {
      const BagsHandle bags(PKCS12_unpack_p7data(content));
      if (bags && !take_bags(budget, bags.get(), 0)) return false;
    }
  }
  return true;
}

}  // namespace merlon::crypto
