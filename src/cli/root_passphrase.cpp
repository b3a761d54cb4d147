// Reads with read(2) into memory that is wiped: a stream would keep a copy in its buffer.
#include "cli/root_passphrase.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/prompt.h"

namespace merlon::cli {
namespace {

constexpr size_t kBytesMax = 1024;

Result<Secret> read_file(const std::string& path) {
  const int file = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (file < 0)
    return fail(ErrorKind::invalid, "FileNotReadable",
                "The file " + path + " with the passphrase cannot be read: " + std::strerror(errno) + ".");
  Bytes bytes(kBytesMax + 2);
  size_t used = 0;
  while (used < bytes.size()) {
    const ssize_t got = ::read(file, bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += static_cast<size_t>(got);
  }
  ::close(file);
  if (used > 0 && bytes[used - 1] == '\n') --used;
  Secret secret(as_text(ByteView(bytes).first(used)));
  ::explicit_bzero(bytes.data(), bytes.size());
  if (secret.empty() || secret.size() > kBytesMax)
    return fail(ErrorKind::invalid, "InvalidPassphrase",
                "The file " + path + " does not hold a passphrase of up to 1024 bytes.");
  return secret;
}

}  // namespace

Result<Secret> read_passphrase(const std::string& question, const std::string& file) {
  return file.empty() ? ask_secret(question, "give --passphrase-file FILE, or '-' for standard input")
                      : read_file(file);
}

Result<Secret> read_new_passphrase(const std::string& file) {
  Secret first = TRY(read_passphrase("New passphrase: ", file));
  if (file.empty() && first != TRY(read_passphrase("The same again: ", file)))
    return fail(ErrorKind::invalid, "PassphrasesDiffer",
                "The two new passphrases differ. Nothing was changed.");
  return first;
}

Result<server::StateLocation> with_passphrase(server::StateLocation location, const std::string& file) {
  const auto place = TRY(server::root_key_of(location));
  if (place.kind == seal::RootKind::passphrase || (!file.empty() && place.kind != seal::RootKind::file))
    location.typed = TRY(read_passphrase("Passphrase of the root key: ", file));
  return location;
}

}  // namespace merlon::cli
