// Loading libraries of the system when they are used.
#include "base/shared_library.h"

#include <gtest/gtest.h>

#include <cmath>

namespace merlon {
namespace {

struct Mathematics : SharedLibrary {
  Mathematics() : SharedLibrary({"libm.so.6", "The mathematical library", "libc6"}) {}
  double (*square_root)(double) = function("sqrt");
};

struct Absent : SharedLibrary {
  Absent() : SharedLibrary({"libmerlon-is-not-there.so.1", "The library of nobody", "libnobody1"}) {}
  double (*square_root)(double) = function("sqrt");
};

struct Older : SharedLibrary {
  Older() : SharedLibrary({"libm.so.6", "The mathematical library", "libc6"}) {}
  double (*square_root)(double) = function("sqrt");
  void (*later)() = function("merlon_only_a_later_version_has_this");
};

TEST(SharedLibrary, ItsFunctionsAreCalledByTheirTypes) {
  const Mathematics library;
  ASSERT_TRUE(library.loaded());
  EXPECT_EQ(library.square_root(9.0), 3.0);
}

TEST(SharedLibrary, WhatIsAbsentIsToldWithThePackageThatHasIt) {
  const Absent library;
  const auto loaded = library.loaded();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "LibraryMissing");
  EXPECT_EQ(loaded.error().message,
            "The library of nobody (libmerlon-is-not-there.so.1) is not installed, or is of another version. "
            "Install it: apt install libnobody1");
  EXPECT_NE(loaded.error().cause.find("libmerlon-is-not-there.so.1"), std::string::npos);
}

TEST(SharedLibrary, OneThatLacksAFunctionIsNotUsed) {
  const Older library;
  const auto loaded = library.loaded();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "LibraryMissing");
  EXPECT_NE(loaded.error().cause.find("merlon_only_a_later_version_has_this"), std::string::npos);
}

}  // namespace
}  // namespace merlon
