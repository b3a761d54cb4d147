// tpm2-tss, loaded when a TPM is first to seal or to unseal. Not for other rooms.
#pragma once

#include <tss2_esys.h>
#include <tss2_mu.h>
#include <tss2_rc.h>
#include <tss2_tctildr.h>

#include "base/shared_library.h"

namespace merlon::crypto {

struct TssEsys : SharedLibrary {
  TssEsys() : SharedLibrary({"libtss2-esys.so.0", "The TPM's library", "libtss2-esys-3.0.2-0"}) {}

  decltype(&::Esys_Create) create = function("Esys_Create");
  decltype(&::Esys_CreatePrimary) create_primary = function("Esys_CreatePrimary");
  decltype(&::Esys_Finalize) finalize = function("Esys_Finalize");
  decltype(&::Esys_FlushContext) flush_context = function("Esys_FlushContext");
  decltype(&::Esys_Free) free = function("Esys_Free");
  decltype(&::Esys_Initialize) initialize = function("Esys_Initialize");
  decltype(&::Esys_Load) load = function("Esys_Load");
  decltype(&::Esys_PolicyGetDigest) policy_get_digest = function("Esys_PolicyGetDigest");
  decltype(&::Esys_PolicyPCR) policy_pcr = function("Esys_PolicyPCR");
  decltype(&::Esys_StartAuthSession) start_auth_session = function("Esys_StartAuthSession");
  decltype(&::Esys_TRSess_SetAttributes) set_attributes = function("Esys_TRSess_SetAttributes");
  decltype(&::Esys_Unseal) unseal = function("Esys_Unseal");
};

struct TssMarshal : SharedLibrary {
  TssMarshal() : SharedLibrary({"libtss2-mu.so.0", "The TPM's library of records", "libtss2-mu0"}) {}

  decltype(&::Tss2_MU_TPM2B_PRIVATE_Marshal) write_private = function("Tss2_MU_TPM2B_PRIVATE_Marshal");
  decltype(&::Tss2_MU_TPM2B_PRIVATE_Unmarshal) read_private = function("Tss2_MU_TPM2B_PRIVATE_Unmarshal");
  decltype(&::Tss2_MU_TPM2B_PUBLIC_Marshal) write_public = function("Tss2_MU_TPM2B_PUBLIC_Marshal");
  decltype(&::Tss2_MU_TPM2B_PUBLIC_Unmarshal) read_public = function("Tss2_MU_TPM2B_PUBLIC_Unmarshal");
};

struct TssReasons : SharedLibrary {
  TssReasons() : SharedLibrary({"libtss2-rc.so.0", "The TPM's library of reasons", "libtss2-rc0"}) {}

  decltype(&::Tss2_RC_Decode) decode = function("Tss2_RC_Decode");
};

struct TssLoader : SharedLibrary {
  TssLoader()
      : SharedLibrary({"libtss2-tctildr.so.0", "The TPM's library of ways to it", "libtss2-tctildr0"}) {}

  decltype(&::Tss2_TctiLdr_Finalize) finalize = function("Tss2_TctiLdr_Finalize");
  decltype(&::Tss2_TctiLdr_Initialize) initialize = function("Tss2_TctiLdr_Initialize");
};

struct Tss {
  TssEsys esys;
  TssMarshal marshal;
  TssReasons reasons;
  TssLoader loader;

  Result<void> loaded() const {
    TRY(esys.loaded());
    TRY(marshal.loaded());
    TRY(reasons.loaded());
    return loader.loaded();
  }
};

}  // namespace merlon::crypto
