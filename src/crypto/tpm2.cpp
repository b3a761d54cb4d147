// Over tpm2-tss's ESYS. The storage key is derived anew by each call from the owner hierarchy's seed (TCG TPM
// v2.0 Provisioning Guidance, "Storage Root Key"): nothing is left in the chip, and clearing the TPM voids
// what was sealed.
#include "crypto/tpm2.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "crypto/tss2.h"

namespace merlon::crypto {
namespace {

constexpr size_t kSecretBytesMax = 128;  // what every TPM can seal (MAX_SYM_DATA)
constexpr unsigned kRegisters = 24;      // TCG PC Client Platform
constexpr UINT16 kPolicySymmetricBits = 128;

const Tss& tss() {
  static const Tss libraries;
  return libraries;
}

struct FreeEsys {
  void operator()(void* memory) const noexcept { tss().esys.free(memory); }
};
template <class T>
using EsysHandle = std::unique_ptr<T, FreeEsys>;

std::unexpected<Error> refused(std::string why, std::string cause = {}) {
  auto error = fail(ErrorKind::unavailable, "TpmRefused", "The TPM " + std::move(why));
  error.error().cause = std::move(cause);
  return error;
}

Result<void> check(TSS2_RC code, const std::string& doing) {
  if (code == TSS2_RC_SUCCESS) return {};
  return refused(
      "could not " + doing + ". See that it is enabled and that this process may use it (/dev/tpmrm0).",
      std::string("tss2: ") + tss().reasons.decode(code));
}

TPML_PCR_SELECTION selection_of(const TpmPlace& place) {
  TPML_PCR_SELECTION selection{};
  selection.count = 1;
  selection.pcrSelections[0].hash = TPM2_ALG_SHA256;
  selection.pcrSelections[0].sizeofSelect = 3;
  for (const unsigned number : place.registers) {
    BYTE& part = selection.pcrSelections[0].pcrSelect[number / 8];
    part = static_cast<BYTE>(part | (1U << (number % 8)));
  }
  return selection;
}

// The template of the ECC P-256 storage root key, as the provisioning guidance has it.
TPM2B_PUBLIC storage_key_template() {
  TPM2B_PUBLIC area{};
  TPMT_PUBLIC& key = area.publicArea;
  key.type = TPM2_ALG_ECC;
  key.nameAlg = TPM2_ALG_SHA256;
  key.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                         TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
                         TPMA_OBJECT_DECRYPT;
  key.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_AES;
  key.parameters.eccDetail.symmetric.keyBits.aes = kPolicySymmetricBits;
  key.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_CFB;
  key.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
  key.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
  key.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
  return area;
}

// A connection to the chip; whatever was loaded through it is flushed with it.
class Chip {
 public:
  static Result<Chip> open(const TpmPlace& place) {
    TRY(tss().loaded());
    Chip chip;
    TSS2_TCTI_CONTEXT* tcti = nullptr;
    const char* name = place.interface.empty() ? nullptr : place.interface.c_str();
    if (const TSS2_RC code = tss().loader.initialize(name, &tcti); code != TSS2_RC_SUCCESS)
      return refused("of this machine cannot be reached" +
                         (name == nullptr ? std::string() : " by " + place.interface) +
                         ". Is there one, and may this process use it (/dev/tpmrm0, group tss)?",
                     std::string("tss2: ") + tss().reasons.decode(code));
    chip.tcti_.reset(tcti);
    ESYS_CONTEXT* context = nullptr;
    TRY(check(tss().esys.initialize(&context, tcti, nullptr), "be initialised"));
    chip.context_.reset(context);
    TRY(chip.make_storage_key());
    return chip;
  }
  Chip(Chip&&) = default;
  Chip& operator=(Chip&&) = delete;
  ~Chip() {
    if (!context_) return;
    for (const ESYS_TR handle : loaded_) tss().esys.flush_context(context_.get(), handle);
  }

  Result<Bytes> policy_of(const TpmPlace& place) {
    const ESYS_TR session = TRY(start_session(TPM2_SE_TRIAL, false));
    TRY(require_registers(session, place));
    TPM2B_DIGEST* digest = nullptr;
    TRY(check(tss().esys.policy_get_digest(context_.get(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           &digest),
              "name its policy"));
    const EsysHandle<TPM2B_DIGEST> owned(digest);
    return Bytes(digest->buffer, digest->buffer + digest->size);
  }

  Result<TpmSealed> create(const Secret& secret, const Bytes& policy) {
    const ESYS_TR session = TRY(start_session(TPM2_SE_HMAC, true));
    TPM2B_SENSITIVE_CREATE sensitive{};
    sensitive.sensitive.data.size = static_cast<UINT16>(secret.size());
    std::copy(secret.expose().begin(), secret.expose().end(), sensitive.sensitive.data.buffer);
    TPM2B_PUBLIC area{};
    area.publicArea.type = TPM2_ALG_KEYEDHASH;
    area.publicArea.nameAlg = TPM2_ALG_SHA256;
    // No USERWITHAUTH: the policy is the only way in. No dictionary attack logic either, as there is no
    // password.
    area.publicArea.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA;
    area.publicArea.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    area.publicArea.authPolicy.size = static_cast<UINT16>(policy.size());
    std::copy(policy.begin(), policy.end(), area.publicArea.authPolicy.buffer);
    const TPM2B_DATA outside{};
    const TPML_PCR_SELECTION creation{};
    TPM2B_PRIVATE* made_private = nullptr;
    TPM2B_PUBLIC* made_public = nullptr;
    const TSS2_RC code =
        tss().esys.create(context_.get(), storage_key_, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                          &area, &outside, &creation, &made_private, &made_public, nullptr, nullptr, nullptr);
    ::explicit_bzero(&sensitive, sizeof sensitive);
    const EsysHandle<TPM2B_PRIVATE> owned_private(made_private);
    const EsysHandle<TPM2B_PUBLIC> owned_public(made_public);
    TRY(check(code, "seal the key"));
    TpmSealed sealed{Bytes(sizeof(TPM2B_PUBLIC)), Bytes(sizeof(TPM2B_PRIVATE))};
    size_t public_size = 0;
    size_t private_size = 0;
    TRY(check(tss().marshal.write_public(made_public, sealed.public_part.data(), sealed.public_part.size(),
                                         &public_size),
              "name what it sealed"));
    TRY(check(tss().marshal.write_private(made_private, sealed.private_part.data(),
                                          sealed.private_part.size(), &private_size),
              "give out what it sealed"));
    sealed.public_part.resize(public_size);
    sealed.private_part.resize(private_size);
    return sealed;
  }

  Result<Secret> unseal(const TpmPlace& place, const TpmSealed& sealed) {
    TPM2B_PUBLIC area{};
    TPM2B_PRIVATE wrapped{};
    size_t used_public = 0;
    size_t used_private = 0;
    if (tss().marshal.read_public(sealed.public_part.data(), sealed.public_part.size(), &used_public,
                                  &area) != TSS2_RC_SUCCESS ||
        tss().marshal.read_private(sealed.private_part.data(), sealed.private_part.size(), &used_private,
                                   &wrapped) != TSS2_RC_SUCCESS ||
        used_public != sealed.public_part.size() || used_private != sealed.private_part.size())
      return refused("cannot open what was sealed: the record of it is damaged. Restore the database.");
    ESYS_TR object = ESYS_TR_NONE;
    if (const TSS2_RC code = tss().esys.load(context_.get(), storage_key_, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                             ESYS_TR_NONE, &wrapped, &area, &object);
        code != TSS2_RC_SUCCESS)
      return refused("of this machine is not the one that sealed this, or it was cleared since.",
                     std::string("tss2: ") + tss().reasons.decode(code));
    loaded_.push_back(object);
    const ESYS_TR session = TRY(start_session(TPM2_SE_POLICY, true));
    TRY(require_registers(session, place));
    TPM2B_SENSITIVE_DATA* data = nullptr;
    const TSS2_RC code =
        tss().esys.unseal(context_.get(), object, session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
    const EsysHandle<TPM2B_SENSITIVE_DATA> owned(data);
    if (code != TSS2_RC_SUCCESS)
      return refused(
          "does not open this in the state that the machine is in: a platform register (PCR) has changed "
          "since it was sealed, by new firmware, other boot settings or another boot loader, or another "
          "set of registers was named.",
          std::string("tss2: ") + tss().reasons.decode(code));
    Secret secret(Bytes(data->buffer, data->buffer + data->size));
    ::explicit_bzero(data->buffer, data->size);
    return secret;
  }

 private:
  struct EndTcti {
    void operator()(TSS2_TCTI_CONTEXT* tcti) const noexcept { tss().loader.finalize(&tcti); }
  };
  struct EndContext {
    void operator()(ESYS_CONTEXT* context) const noexcept { tss().esys.finalize(&context); }
  };

  Chip() = default;

  Result<void> make_storage_key() {
    const TPM2B_PUBLIC area = storage_key_template();
    const TPM2B_SENSITIVE_CREATE sensitive{};
    const TPM2B_DATA outside{};
    const TPML_PCR_SELECTION creation{};
    TPM2B_PUBLIC* made = nullptr;
    const TSS2_RC code = tss().esys.create_primary(
        context_.get(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area,
        &outside, &creation, &storage_key_, &made, nullptr, nullptr, nullptr);
    const EsysHandle<TPM2B_PUBLIC> owned(made);
    TRY(check(code, "derive its storage key; its owner hierarchy must have no password"));
    loaded_.push_back(storage_key_);
    return {};
  }

  // Salted by the storage key, so that who listens on the bus learns nothing.
  Result<ESYS_TR> start_session(TPM2_SE kind, bool encrypted) {
    TPMT_SYM_DEF symmetric{};
    symmetric.algorithm = TPM2_ALG_AES;
    symmetric.keyBits.aes = kPolicySymmetricBits;
    symmetric.mode.aes = TPM2_ALG_CFB;
    ESYS_TR session = ESYS_TR_NONE;
    TRY(check(
        tss().esys.start_auth_session(context_.get(), storage_key_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                      ESYS_TR_NONE, nullptr, kind, &symmetric, TPM2_ALG_SHA256, &session),
        "start a session"));
    loaded_.push_back(session);
    if (encrypted) {
      const TPMA_SESSION flags = TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION;
      TRY(check(tss().esys.set_attributes(context_.get(), session, flags, 0xff), "encrypt its session"));
    }
    return session;
  }

  Result<void> require_registers(ESYS_TR session, const TpmPlace& place) {
    const TPML_PCR_SELECTION selection = selection_of(place);
    const TPM2B_DIGEST current{};  // empty: the chip's own values of now
    return check(tss().esys.policy_pcr(context_.get(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                       &current, &selection),
                 "read its platform registers");
  }

  std::unique_ptr<TSS2_TCTI_CONTEXT, EndTcti> tcti_;
  std::unique_ptr<ESYS_CONTEXT, EndContext> context_;
  ESYS_TR storage_key_ = ESYS_TR_NONE;
  std::vector<ESYS_TR> loaded_;
};

std::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorKind::invalid, "InvalidTpmPlace",
              "The TPM's options are wrong: " + why +
                  " Write them as 'tpm:pcrs=0,2,7' or 'tpm:pcrs=7&interface=device:/dev/tpmrm0'.");
}

}  // namespace

Result<TpmPlace> parse_tpm_place(std::string_view text) {
  TpmPlace place;
  for (const std::string_view part : split(text, '&')) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    if (name == "interface" && !value.empty()) {
      place.interface = value;
    } else if (name == "pcrs") {
      place.registers.clear();
      for (const std::string_view number : split(value, ',')) {
        unsigned parsed = kRegisters;
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), parsed);
        if (error != std::errc() || end != number.data() + number.size() || parsed >= kRegisters)
          return malformed("'" + std::string(number) +
                           "' is no platform register, which are numbered 0 to 23.");
        place.registers.push_back(parsed);
      }
    } else {
      return malformed("'" + std::string(part) + "' is not known.");
    }
  }
  return place;
}

Result<TpmSealed> tpm_seal(const TpmPlace& place, const Secret& secret) {
  MERLON_CHECK(!secret.empty() && secret.size() <= kSecretBytesMax);
  Chip chip = TRY(Chip::open(place));
  return chip.create(secret, TRY(chip.policy_of(place)));
}

Result<Secret> tpm_unseal(const TpmPlace& place, const TpmSealed& sealed) {
  Chip chip = TRY(Chip::open(place));
  return chip.unseal(place, sealed);
}

}  // namespace merlon::crypto
