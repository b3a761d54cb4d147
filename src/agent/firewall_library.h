// libnftables, loaded where the firewall is opened: of an agent's two processes that is the one that may. It
// brings four libraries more. Not for other rooms.
#pragma once

#include <nftables/libnftables.h>

#include "base/shared_library.h"

namespace merlon::agent {

struct Libnftables : SharedLibrary {
  Libnftables()
      : SharedLibrary({"libnftables.so.1", "The library of the kernel's firewall", "libnftables1"}) {}

  decltype(&::nft_ctx_buffer_error) buffer_error = function("nft_ctx_buffer_error");
  decltype(&::nft_ctx_buffer_output) buffer_output = function("nft_ctx_buffer_output");
  decltype(&::nft_ctx_free) free = function("nft_ctx_free");
  decltype(&::nft_ctx_get_error_buffer) error_buffer = function("nft_ctx_get_error_buffer");
  decltype(&::nft_ctx_get_output_buffer) output_buffer = function("nft_ctx_get_output_buffer");
  decltype(&::nft_ctx_new) make = function("nft_ctx_new");
  decltype(&::nft_ctx_output_set_flags) set_output_flags = function("nft_ctx_output_set_flags");
  decltype(&::nft_run_cmd_from_buffer) run = function("nft_run_cmd_from_buffer");
};

}  // namespace merlon::agent
