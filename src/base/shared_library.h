// A library of the system that only some processes need (PostgreSQL's client, a TPM's): loaded when it is
// first used instead of with the program, whose every process would otherwise pay for it in memory and
// start-up time. docs/decisions/0067-libraries-that-few-need-are-loaded-when-used.md.
#pragma once

#include <string>

#include "base/result.h"

namespace merlon {

// Derive one structure for each library, with a member for each function, of the type that the library's own
// header gives it:
//   struct Libpq : SharedLibrary {
//     Libpq() : SharedLibrary({"libpq.so.5", "PostgreSQL's client library", "libpq5"}) {}
//     decltype(&::PQclear) clear = function("PQclear");
//   };
// Make it once, as a function's static: what was loaded stays. No member may be called before loaded() has
// said that all is there.
class SharedLibrary {
 public:
  struct Name {
    const char* file;     // with its version: the one that the header is of
    const char* what;     // as an error calls it
    const char* package;  // Debian's
  };
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  Result<void> loaded() const;  // error: LibraryMissing

 protected:
  explicit SharedLibrary(Name name);
  ~SharedLibrary() = default;

  class Function {
   public:
    explicit Function(void* address) : address_(address) {}
    template <class Type>
    operator Type*() const noexcept {  // NOLINT(google-explicit-constructor): the member says the type
      return reinterpret_cast<Type*>(address_);
    }

   private:
    void* address_;
  };
  Function function(const char* symbol);

 private:
  Name name_;
  void* handle_ = nullptr;
  std::string problem_;  // empty: all that was asked for is there
};

}  // namespace merlon
