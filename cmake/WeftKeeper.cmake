# The keeper (src/keeper/main.cpp): a program without libc, whose file becomes a constant of the library. Only for the processors for which
# it has system calls.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|aarch64|arm64)$")
  return()
endif()

set(weft_keeper_dir "${PROJECT_BINARY_DIR}/generated/keeper")
add_executable(weft_keeper "${PROJECT_SOURCE_DIR}/src/keeper/main.cpp")
set_target_properties(weft_keeper PROPERTIES POSITION_INDEPENDENT_CODE OFF
  RUNTIME_OUTPUT_DIRECTORY "$<1:${weft_keeper_dir}>")  # of whatever configuration
target_include_directories(weft_keeper PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(weft_keeper PRIVATE weft_warnings)
# Nothing that would call what is not there: sanitizers, guards of the stack, a memcpy() in place of a loop.
target_compile_options(weft_keeper PRIVATE -Os -g0 -ffreestanding -fno-exceptions -fno-rtti -fno-stack-protector -fno-pie
  -fno-asynchronous-unwind-tables -fno-sanitize=all -fno-lto -fomit-frame-pointer)
target_link_options(weft_keeper PRIVATE -static -nostdlib -no-pie -s -fno-sanitize=all -fno-lto
  -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noseparate-code)

add_dependencies(weft_objects weft_keeper)
set_property(SOURCE "${PROJECT_SOURCE_DIR}/src/process/name_keeper.cpp" APPEND PROPERTY
  COMPILE_DEFINITIONS "WEFT_KEEPER_IMAGE=\"${weft_keeper_dir}/weft_keeper\"")
set_property(SOURCE "${PROJECT_SOURCE_DIR}/src/process/name_keeper.cpp" APPEND PROPERTY
  OBJECT_DEPENDS "${weft_keeper_dir}/weft_keeper")
