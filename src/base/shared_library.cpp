// dlopen(3). RTLD_NOW: what is missing is told here, and not in the middle of later work.
#include "base/shared_library.h"

#include <dlfcn.h>

namespace merlon {
namespace {

std::string last_problem() {
  const char* said = ::dlerror();
  return said == nullptr ? "unknown" : said;
}

}  // namespace

SharedLibrary::SharedLibrary(Name name) : name_(name), handle_(::dlopen(name.file, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) problem_ = last_problem();
}

SharedLibrary::Function SharedLibrary::function(const char* symbol) {
  if (!problem_.empty()) return Function(nullptr);
  void* const address = ::dlsym(handle_, symbol);
  if (address == nullptr) problem_ = last_problem();
  return Function(address);
}

Result<void> SharedLibrary::loaded() const {
  if (problem_.empty()) return {};
  auto error =
      fail(ErrorKind::unavailable, "LibraryMissing",
           std::string(name_.what) + " (" + name_.file +
               ") is not installed, or is of another version. Install it: apt install " + name_.package);
  error.error().cause = problem_;
  return error;
}

}  // namespace merlon
