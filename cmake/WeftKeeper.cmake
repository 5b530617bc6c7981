# The keeper (src/keeper/main.cpp): a program without libc, whose file becomes a constant of the library. Only for the processors for which
# it has system calls. Compiled by a command of its own: what a project wants of its other code (sanitizers, coverage, profiling, its own
# libraries) calls what is not there.
set(weft_has_keeper OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|aarch64|arm64)$")
  set(weft_has_keeper ON)
endif()
option(WEFT_KEEPER "Remove names of shared memory that a killed process leaves, by a small program within the library" ${weft_has_keeper})
if(NOT WEFT_KEEPER)
  return()
endif()

set(weft_keeper "${PROJECT_BINARY_DIR}/generated/weft_keeper")
separate_arguments(weft_keeper_compiler UNIX_COMMAND "${CMAKE_CXX_COMPILER_ARG1}")  # of CXX="ccache g++"
list(PREPEND weft_keeper_compiler "${CMAKE_CXX_COMPILER}")
if(CMAKE_CXX_COMPILER_TARGET)
  list(APPEND weft_keeper_compiler "--target=${CMAKE_CXX_COMPILER_TARGET}")
endif()
if(CMAKE_SYSROOT)
  list(APPEND weft_keeper_compiler "--sysroot=${CMAKE_SYSROOT}")
endif()
add_custom_command(OUTPUT "${weft_keeper}"
  COMMAND ${weft_keeper_compiler} -std=c++20 -Wall -Wextra -Os -ffreestanding -fno-exceptions -fno-rtti -fno-stack-protector -fno-pie
    -fno-asynchronous-unwind-tables -I "${PROJECT_SOURCE_DIR}/src" -static -nostdlib -s
    -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code -o "${weft_keeper}" "${PROJECT_SOURCE_DIR}/src/keeper/main.cpp"
  DEPENDS "${PROJECT_SOURCE_DIR}/src/keeper/main.cpp" "${PROJECT_SOURCE_DIR}/src/keeper/order.hpp"
  COMMENT "Building the keeper of names" VERBATIM)
add_custom_target(weft_keeper DEPENDS "${weft_keeper}")

add_dependencies(weft_objects weft_keeper)
set_property(SOURCE "${PROJECT_SOURCE_DIR}/src/process/memory/keeper_image.S" APPEND PROPERTY COMPILE_DEFINITIONS
  "WEFT_KEEPER_IMAGE=\"${weft_keeper}\"")
set_property(SOURCE "${PROJECT_SOURCE_DIR}/src/process/memory/keeper_image.S" APPEND PROPERTY OBJECT_DEPENDS "${weft_keeper}")
