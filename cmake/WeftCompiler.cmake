# Flags shared by everything in this tree. Nothing here reaches a program that merely links weft.

if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(PROJECT_IS_TOP_LEVEL)
  # -g1: function names and lines for reports and profiles, without the size of full debug information.
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
  set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")
  # Used by the sanitizer and fuzz presets: quick enough to run, honest stacks, asserts on.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g")
endif()

find_program(WEFT_CCACHE ccache)
if(WEFT_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${WEFT_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${WEFT_CCACHE}")
endif()

add_compile_options(
  -fno-omit-frame-pointer
  # Source locations in messages read "src/sync/lock.cpp", wherever the tree was checked out.
  "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/="
  $<$<CXX_COMPILER_ID:GNU>:-fdiagnostics-color=auto>)

if(WEFT_SANITIZE)
  if(NOT WEFT_SANITIZE MATCHES "^(address|thread)$")
    message(FATAL_ERROR "WEFT_SANITIZE is '${WEFT_SANITIZE}'; it can be empty, address or thread")
  endif()
  add_compile_options(-fsanitize=${WEFT_SANITIZE})
  add_link_options(-fsanitize=${WEFT_SANITIZE})
endif()
if(WEFT_BUILD_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "WEFT_BUILD_FUZZ needs Clang (libFuzzer); use the preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address)
  add_link_options(-fsanitize=address)
endif()

# Warnings for weft's own code; not for GoogleTest, when that is built here.
add_library(weft_warnings INTERFACE)
target_compile_options(weft_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align
    -Wformat=2 -Wundef -Wvla -Wextra-semi -Wunused>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wduplicated-cond -Wlogical-op>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-gnu-zero-variadic-macro-arguments>
  $<$<BOOL:${WEFT_WERROR}>:-Werror>)
