// Certificates and requests as people carry them: PEM (RFC 7468).
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace merlon::cli {

// DER in base64, as the vault has it, as a PEM block.
std::string pem_of(std::string_view label, std::string_view base64);
std::string certificate_text(const JsonObject& certificate);  // facts, for a terminal
std::string seconds_text(const JsonObject& json, std::string_view path);

}  // namespace merlon::cli
