# tests/<folder>/*.cpp       one GoogleTest program a folder, build/<preset>/tests/<folder>_test. A folder with its own
#                            main.cpp uses that (process_failures that of process), the others GoogleTest's.
# tests/support/*.cpp        what tests share, linked to all of them, included as "support/x.hpp".
# tests/support/always/*.cpp part of every one of them.
# tests/programs/NAME.cpp    programs that tests start, build/<preset>/tests/programs/NAME. Those called http_* link weft::http and
#                            what tests share, and are left out without it, as is tests/http.
# tests/<folder>/*_test.sh   shell tests; they get WEFT_SOURCE_DIR and WEFT_BUILD_DIR, and exit with 77 to be skipped.
#
# Sanitizer builds hold the core's tests only: they are where races and lifetimes are decided.
set(weft_core_test_folders base port engine sync queue thread fiber futures io net http patch conformance regressions)
# Those of processes hold as much as the rest together; for who changes them: cmake --preset tsan -DWEFT_SANITIZE_PROCESSES=ON
option(WEFT_SANITIZE_PROCESSES "Sanitizer builds hold the tests of processes, too" OFF)
if(WEFT_SANITIZE_PROCESSES)
  list(APPEND weft_core_test_folders process process_failures)
endif()

if(WEFT_SANITIZE)
  # A sanitizer sees only what it has instrumented, so GoogleTest is built from source here.
  set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # let the next two override its options
  set(INSTALL_GTEST OFF)
  set(BUILD_GMOCK OFF)
  set(CMAKE_WARN_DEPRECATED OFF CACHE BOOL "" FORCE)  # GoogleTest 1.12 asks for CMake 3.5
  add_subdirectory(/usr/src/googletest "${PROJECT_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL SYSTEM)
else()
  find_package(GTest REQUIRED)
endif()

set(weft_test_environment "WEFT_SOURCE_DIR=${PROJECT_SOURCE_DIR}" "WEFT_BUILD_DIR=${PROJECT_BINARY_DIR}")
set(weft_test_timeout 300)
set(weft_test_labels "")
if(WEFT_SANITIZE)
  set(weft_test_labels sanitized)
  set(weft_test_timeout 900)
  find_program(WEFT_SYMBOLIZER NAMES llvm-symbolizer-19 llvm-symbolizer)
  set(symbolizer "")
  if(WEFT_SYMBOLIZER)
    set(symbolizer ":external_symbolizer_path=${WEFT_SYMBOLIZER}")
  endif()
  list(APPEND weft_test_environment
    "ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1${symbolizer}"
    "TSAN_OPTIONS=die_after_fork=0:second_deadlock_stack=1${symbolizer}")
endif()
if(WEFT_SANITIZE STREQUAL thread)
  # After fork() the runtime of TSan goes on reading the states of threads that the child does not have. They lie in
  # their stacks, which the child's glibc unmaps when it holds more than 40 MB of them: a fault in a thread as it starts,
  # in any program that forks beside threads and starts threads in the child (seen with Clang 14 and 19). So let it keep them.
  list(APPEND weft_test_environment "GLIBC_TUNABLES=glibc.pthread.stack_cache_size=1000000000000")
endif()

# Paths a test may ask for (tests/support/paths.hpp): in one file, so that the rest compiles alike in every folder.
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/generated/test_paths.cpp" @ONLY CONTENT [[
#include "support/paths.hpp"

namespace weft::test {
std::string source_dir() { return "@PROJECT_SOURCE_DIR@"; }
std::string build_dir() { return "@PROJECT_BINARY_DIR@"; }
}  // namespace weft::test
]])

file(GLOB weft_test_support_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.cpp")
add_library(weft_test_support STATIC ${weft_test_support_sources} "${PROJECT_BINARY_DIR}/generated/test_paths.cpp")
# Linked whole: nothing refers to it.
file(GLOB weft_test_always_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/always/*.cpp")
target_sources(weft_test_support INTERFACE ${weft_test_always_sources})
target_include_directories(weft_test_support PUBLIC "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(weft_test_support PUBLIC weft::weft GTest::gtest PRIVATE weft_warnings)

file(GLOB weft_test_programs CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/programs/*.cpp")
set(weft_test_program_targets "")
foreach(source IN LISTS weft_test_programs)
  cmake_path(GET source STEM name)
  if(name MATCHES "^http_" AND NOT TARGET weft::http)
    continue()
  endif()
  add_executable(test_program_${name} "${source}")
  set_target_properties(test_program_${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/programs")
  target_include_directories(test_program_${name} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(test_program_${name} PRIVATE weft::weft weft_warnings)
  if(name MATCHES "^http_")
    target_link_libraries(test_program_${name} PRIVATE weft_test_support weft::http)
  endif()
  list(APPEND weft_test_program_targets test_program_${name})
endforeach()

# tests/patch/clients/NAME.cpp, of those client libraries that are installed, build/<preset>/tests/programs/patched_NAME.
set(weft_patch_test_targets "")
find_package(PkgConfig QUIET)
if(TARGET weft_patch AND PKG_CONFIG_FOUND)
  foreach(library libcurl hiredis libmariadb)
    pkg_check_modules(weft_${library} QUIET IMPORTED_TARGET ${library})
    if(NOT TARGET PkgConfig::weft_${library})
      continue()
    endif()
    add_executable(test_program_patched_${library} "${PROJECT_SOURCE_DIR}/tests/patch/clients/${library}.cpp")
    set_target_properties(test_program_patched_${library} PROPERTIES OUTPUT_NAME patched_${library}
      RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/programs")
    target_link_libraries(test_program_patched_${library} PRIVATE weft::patch weft::weft PkgConfig::weft_${library} weft_warnings)
    list(APPEND weft_patch_test_targets test_program_patched_${library})
  endforeach()
endif()

file(GLOB weft_test_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*/*.cpp")
set(weft_test_folders "")
foreach(source IN LISTS weft_test_sources)
  cmake_path(GET source PARENT_PATH folder)
  cmake_path(GET folder FILENAME folder)
  list(APPEND weft_test_folders ${folder})
  list(APPEND weft_test_sources_of_${folder} "${source}")
endforeach()
list(REMOVE_DUPLICATES weft_test_folders)
list(APPEND weft_test_sources_of_process_failures "${PROJECT_SOURCE_DIR}/tests/process/main.cpp")
list(REMOVE_ITEM weft_test_folders support programs fuzz install)

foreach(folder IN LISTS weft_test_folders)
  if((WEFT_SANITIZE AND NOT folder IN_LIST weft_core_test_folders) OR (folder STREQUAL app AND NOT TARGET weft_app)
      OR (folder STREQUAL examples AND NOT WEFT_BUILD_EXAMPLES) OR (folder STREQUAL http AND NOT TARGET weft::http)
      OR (folder STREQUAL patch AND NOT TARGET weft_patch))
    continue()
  endif()
  set(target ${folder}_test)
  add_executable(${target} ${weft_test_sources_of_${folder}})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  target_link_libraries(${target} PRIVATE weft_test_support weft_warnings)
  if(NOT weft_test_sources_of_${folder} MATCHES "/main[.]cpp")
    target_link_libraries(${target} PRIVATE GTest::gtest_main)
  endif()
  if(weft_test_program_targets)
    add_dependencies(${target} ${weft_test_program_targets})
  endif()
  if(folder STREQUAL app)
    target_link_libraries(${target} PRIVATE weft_app)
    if(TARGET weft_program)
      add_dependencies(${target} weft_program)
    endif()
  elseif(folder STREQUAL http)
    target_link_libraries(${target} PRIVATE weft::http)
  elseif(folder STREQUAL patch)
    add_dependencies(${target} weft_patch ${weft_patch_test_targets})
  elseif(folder STREQUAL examples AND weft_example_targets)
    add_dependencies(${target} ${weft_example_targets})
  endif()
  add_test(NAME ${folder} COMMAND ${target})
  set_tests_properties(${folder} PROPERTIES LABELS "gtest;${weft_test_labels}" TIMEOUT ${weft_test_timeout}
    ENVIRONMENT "${weft_test_environment}")
endforeach()

# Pools start their workers by what is usual: all of them by the other start methods, too.
if(NOT WEFT_SANITIZE)
  foreach(method IN ITEMS fork spawn)
    foreach(folder IN ITEMS process process_failures)
      set(name ${folder}_by_${method})
      add_test(NAME ${name} COMMAND ${folder}_test "--gtest_filter=*Pool*:*Executor*:*SentWork*-FamilyPools*:*/FamilyPools*")
      set_tests_properties(${name} PROPERTIES LABELS gtest TIMEOUT ${weft_test_timeout}
        ENVIRONMENT "${weft_test_environment};WEFT_TEST_START_METHOD=${method}")
    endforeach()
  endforeach()
endif()

file(GLOB weft_shell_tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*/*_test.sh")
foreach(script IN LISTS weft_shell_tests)
  cmake_path(GET script PARENT_PATH folder)
  cmake_path(GET folder FILENAME folder)
  cmake_path(GET script STEM stem)
  if(WEFT_SANITIZE AND (NOT folder IN_LIST weft_core_test_folders OR stem STREQUAL must_not_compile_test))
    continue()  # a sanitizer has nothing to say about what does not compile
  endif()
  add_test(NAME ${folder}/${stem} COMMAND bash "${script}")
  set_tests_properties(${folder}/${stem} PROPERTIES LABELS "shell;${weft_test_labels}" TIMEOUT ${weft_test_timeout}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${weft_test_environment}")
endforeach()
