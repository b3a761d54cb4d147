# Batches of files that one compiler run reads (CMake calls that a unity build), for what is only ever built from scratch, as
# GCC's build is. Where people work a change should cost the one file that it changed. docs/decisions/0051 has the reasons
# and the figures, and batches.py says which files may share one.
set(MERLON_BATCH 0 CACHE STRING "how many files of a room the compiler reads in one run; 0: each alone")

if(MERLON_BATCH GREATER 1)
  find_package(Python3 COMPONENTS Interpreter REQUIRED)
  execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/batches.py ${CMAKE_BINARY_DIR}/batches.cmake
    ${MERLON_BATCH} COMMAND_ERROR_IS_FATAL ANY)
  include(${CMAKE_BINARY_DIR}/batches.cmake)
endif()

# A file that shares a batch with none, and one that the build makes, is compiled alone.
function(merlon_batches target)
  if(MERLON_BATCH GREATER 1)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  endif()
endfunction()
