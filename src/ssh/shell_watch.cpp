// What begins as SSH does.
#include "ssh/shell_watch.h"

#include <algorithm>

namespace merlon::ssh {
namespace {

constexpr std::string_view kIdentification = "SSH-";
// A page about SSH is none.
constexpr std::string_view kHttp = "HTTP";
// What is no text is no line before an identification. Of text, this much is looked through.
constexpr size_t kLinesBytesMax = 16 * 1024;

bool is_text(char c) { return c == '\t' || c == '\r' || c == '\n' || static_cast<unsigned char>(c) >= ' '; }

}  // namespace

bool ShellWatch::looks_like_ssh(Beginning& beginning, std::string_view bytes, bool lines) {
  for (const char c : bytes) {
    if (beginning.done) return false;
    ++beginning.seen;
    if (beginning.line.size() < kIdentification.size()) beginning.line += c;
    if (beginning.line == kIdentification) return true;
    const bool could_be = kIdentification.starts_with(beginning.line);
    const bool is_answer = beginning.line == kHttp && beginning.seen == kHttp.size();
    beginning.done = !could_be && (!lines || is_answer || !is_text(c) || beginning.seen >= kLinesBytesMax);
    if (c == '\n') beginning.line.clear();
  }
  return false;
}

std::string ShellWatch::pass(Beginning& beginning, std::string_view bytes, bool lines) {
  if (!is_shell_ && looks_like_ssh(beginning, bytes, lines)) {
    is_shell_ = true;
    found_();
  }
  return is_shell_ ? std::string() : std::string(bytes);
}

// A client's identification is the first that it says; a server may say other lines before its own.
std::string ShellWatch::from_person(std::string_view bytes, std::string&) {
  return pass(person_, bytes, false);
}

std::string ShellWatch::from_machine(std::string_view bytes) { return pass(machine_, bytes, true); }

std::string_view ShellWatch::objection() const {
  return is_shell_ ? "Merlon: a recorded session forwards no SSH. Ask the bastion for the machine itself."
                   : "";
}

}  // namespace merlon::ssh
