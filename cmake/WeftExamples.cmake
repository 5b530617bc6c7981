# Each examples/NAME.cpp is one program: build/<preset>/examples/NAME. Examples see only what a user of the library sees.
# One that includes a header of weft/http links weft::http, and is left out with it.

file(GLOB weft_example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
set(weft_example_targets "")
foreach(source IN LISTS weft_example_sources)
  cmake_path(GET source STEM name)
  set(target example_${name})
  file(STRINGS "${source}" uses_http REGEX "^#include <weft/http/")
  if(uses_http AND NOT TARGET weft::http)
    continue()
  endif()
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  target_link_libraries(${target} PRIVATE weft::weft weft_warnings)
  if(uses_http)
    target_link_libraries(${target} PRIVATE weft::http)
  endif()
  list(APPEND weft_example_targets ${target})
endforeach()
