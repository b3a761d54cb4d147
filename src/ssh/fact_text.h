// Facts for the record as the bytes that go to the server. What people and machines name things is any bytes
// at all, and a fact is text within a frame: what is no UTF-8 is replaced, and what is long is cut, so that
// no name keeps a fact from being told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace merlon::ssh {

// Of one text in a fact, in bytes: two, written as \u00XX throughout, fit a frame.
inline constexpr size_t kFactTextMax = 4096;
// Of a whole fact.
inline constexpr size_t kFactBytesMax = 64 * 1024;

// As it stands in a fact. Sentences that go to a session's process are bounded so as well: others have a say
// in them, by the names that they give.
std::string told_text(std::string_view text);

std::string fact_text(std::string_view kind, JsonObject facts);

// `text` in parts of which none is cut as a fact's text; at least one.
std::vector<std::string> fact_parts(std::string_view text);

}  // namespace merlon::ssh
