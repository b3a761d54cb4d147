# Precompiled headers: the standard library, fmt, Boost.JSON and, for tests, GoogleTest are half of the time that a usual
# file takes to compile. Never our own headers: a change to one would recompile everything. A file still includes what it
# uses: ./test --all compiles every file without any of this.
option(MERLON_PRECOMPILE "precompile the headers that most files include" ON)

# merlon_precompile(TARGET FROM): TARGET uses what the target FROM precompiled.
function(merlon_precompile target from)
  if(TARGET ${from})
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()

# merlon_precompiled_set(NAME HEADERS header... LIBS target...)
function(merlon_precompiled_set name)
  cmake_parse_arguments(SET "" "" "HEADERS;LIBS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.cpp.new "// Carries the precompiled headers.\n")
  file(COPY_FILE ${CMAKE_BINARY_DIR}/${name}.cpp.new ${CMAKE_BINARY_DIR}/${name}.cpp ONLY_IF_DIFFERENT)
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE merlon_options Boost::json fmt::fmt ${SET_LIBS})
  target_precompile_headers(${name} PRIVATE ${SET_HEADERS})
endfunction()

if(MERLON_PRECOMPILE)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    # Without the time of the build in it, equal headers give an equal file, which ccache asks for.
    target_compile_options(merlon_options INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
  set(headers <algorithm> <array> <chrono> <cstdint> <expected> <functional> <map> <memory> <mutex> <optional> <set>
    <span> <string> <string_view> <unordered_map> <utility> <variant> <vector> <fmt/format.h> <boost/json.hpp>)
  merlon_precompiled_set(merlon_precompiled HEADERS ${headers})
  if(MERLON_TESTS)
    merlon_precompiled_set(merlon_precompiled_tests HEADERS ${headers} <gmock/gmock.h> <gtest/gtest.h> LIBS GTest::gmock)
    # As programs are compiled, not libraries: clang compares.
    set_target_properties(merlon_precompiled_tests PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(merlon_precompiled_tests PRIVATE -fPIE)
  endif()
endif()
