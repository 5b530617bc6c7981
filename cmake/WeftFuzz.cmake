# tests/fuzz/NAME_fuzz.cpp is a libFuzzer target, build/fuzz/tests/fuzz/NAME_fuzz, with its corpus in
# tests/fuzz/corpus/NAME_fuzz/. As a test it runs the corpus and then looks for new inputs for a few seconds; what it
# finds goes to the build tree.

set(WEFT_FUZZ_SECONDS 10 CACHE STRING "Length of the short run of each fuzz target")

file(GLOB weft_fuzz_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/fuzz/*_fuzz.cpp")
file(GLOB weft_fuzz_corpora CONFIGURE_DEPENDS LIST_DIRECTORIES true "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/*")
add_custom_target(weft_fuzz)  # all of them, without the rest of the tree
foreach(source IN LISTS weft_fuzz_sources)
  cmake_path(GET source STEM name)
  add_executable(${name} "${source}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/fuzz")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/tests")
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE weft::weft weft_warnings)
  if(TARGET weft_app)
    target_link_libraries(${name} PRIVATE weft_app)
  endif()
  add_dependencies(weft_fuzz ${name})

  set(found "${PROJECT_BINARY_DIR}/tests/fuzz/found/${name}")
  set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  file(MAKE_DIRECTORY "${found}")
  if(NOT corpus IN_LIST weft_fuzz_corpora)
    set(corpus "")
  endif()
  add_test(NAME fuzz/${name} COMMAND ${name} -max_total_time=${WEFT_FUZZ_SECONDS} -timeout=10 -rss_limit_mb=2048
    -print_final_stats=1 "-artifact_prefix=${PROJECT_BINARY_DIR}/tests/fuzz/" "${found}" ${corpus})
  set_tests_properties(fuzz/${name} PROPERTIES LABELS "fuzz;sanitized" TIMEOUT 300)
endforeach()
