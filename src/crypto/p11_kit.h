// p11-kit, loaded when a PKCS#11 token is first named. Not for other rooms.
#pragma once

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include "base/shared_library.h"

namespace merlon::crypto {

struct P11Kit : SharedLibrary {
  P11Kit() : SharedLibrary({"libp11-kit.so.0", "The library for PKCS#11 tokens", "libp11-kit0"}) {}

  decltype(&::p11_kit_message) message = function("p11_kit_message");
  decltype(&::p11_kit_module_finalize) module_finalize = function("p11_kit_module_finalize");
  decltype(&::p11_kit_module_initialize) module_initialize = function("p11_kit_module_initialize");
  decltype(&::p11_kit_module_load) module_load = function("p11_kit_module_load");
  decltype(&::p11_kit_module_release) module_release = function("p11_kit_module_release");
  decltype(&::p11_kit_strerror) strerror = function("p11_kit_strerror");
  decltype(&::p11_kit_uri_any_unrecognized) uri_any_unrecognized = function("p11_kit_uri_any_unrecognized");
  decltype(&::p11_kit_uri_free) uri_free = function("p11_kit_uri_free");
  decltype(&::p11_kit_uri_get_attribute) uri_get_attribute = function("p11_kit_uri_get_attribute");
  decltype(&::p11_kit_uri_get_module_path) uri_get_module_path = function("p11_kit_uri_get_module_path");
  decltype(&::p11_kit_uri_get_pin_source) uri_get_pin_source = function("p11_kit_uri_get_pin_source");
  decltype(&::p11_kit_uri_get_pin_value) uri_get_pin_value = function("p11_kit_uri_get_pin_value");
  decltype(&::p11_kit_uri_match_token_info) uri_match_token_info = function("p11_kit_uri_match_token_info");
  decltype(&::p11_kit_uri_new) uri_new = function("p11_kit_uri_new");
  decltype(&::p11_kit_uri_parse) uri_parse = function("p11_kit_uri_parse");
};

// Loaded by the first call. Whoever is the first asks loaded(): parse_token_uri, with which all work begins.
const P11Kit& p11_kit();

}  // namespace merlon::crypto
