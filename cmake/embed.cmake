# merlon_embed(TARGET FUNCTION HEADER FILE): puts FILE's bytes into TARGET's read-only data, so that the one binary
# carries what it needs. HEADER (a path as #include writes it) declares FUNCTION (qualified, e.g. merlon::a::b), which
# answers them as a std::string_view. The assembler's .incbin reads the file: a C array of the same bytes would cost
# the compiler seconds and megabytes, and #embed is C++26. Works alike with clang and GCC on ELF.
# FILE may be one that the build makes, and does not exist yet, when it is in the build's directory.
function(merlon_embed target function header file)
  get_filename_component(file ${file} ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
  cmake_path(IS_PREFIX CMAKE_BINARY_DIR ${file} is_built)
  if(NOT is_built AND NOT EXISTS ${file})
    message(FATAL_ERROR "merlon_embed: ${file} does not exist")
  endif()
  string(REGEX MATCH "^(.*)::([^:]+)$" matched ${function})
  if(NOT matched)
    message(FATAL_ERROR "merlon_embed: ${function} must be a function inside a namespace")
  endif()
  set(namespace ${CMAKE_MATCH_1})
  set(name ${CMAKE_MATCH_2})
  string(REPLACE "::" "_" symbol ${function})
  set(generated ${CMAKE_BINARY_DIR}/generated)
  string(REGEX REPLACE "\\.h$" ".cpp" source ${header})
  file(RELATIVE_PATH shown ${CMAKE_SOURCE_DIR} ${file})

  # file(CONFIGURE) leaves an unchanged file's time alone, so configuring again rebuilds nothing.
  file(CONFIGURE OUTPUT ${generated}/${header} @ONLY CONTENT [[
// Made by cmake/embed.cmake: the bytes of @shown@.
#pragma once
#include <string_view>

namespace @namespace@ {
std::string_view @name@();
}
]])
  file(CONFIGURE OUTPUT ${generated}/${source} @ONLY CONTENT [[
// Made by cmake/embed.cmake: the bytes of @shown@.
#include "@header@"

__asm__(
    ".pushsection .rodata.@symbol@,\"a\",@progbits\n"
    ".balign 16\n"
    "@symbol@_begin:\n"
    ".incbin \"@file@\"\n"
    "@symbol@_end:\n"
    ".byte 0\n"
    ".popsection\n");

// Unsized on purpose: the two labels are all the compiler knows. Hidden, so that a position-independent build
// reaches them without the global offset table.
extern "C" {
extern const char @symbol@_begin[] __attribute__((visibility("hidden")));
extern const char @symbol@_end[] __attribute__((visibility("hidden")));
}

namespace @namespace@ {
std::string_view @name@() {
  return {@symbol@_begin, static_cast<std::size_t>(@symbol@_end - @symbol@_begin)};
}
}  // namespace @namespace@
]])
  target_sources(${target} PRIVATE ${generated}/${source})
  target_include_directories(${target} PUBLIC ${generated})
  # The compiler's dependency scan does not see .incbin.
  set_source_files_properties(${generated}/${source} PROPERTIES OBJECT_DEPENDS ${file})
endfunction()
