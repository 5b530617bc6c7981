# Each examples/NAME.cpp is one program: build/<preset>/examples/NAME. Examples see only what a user of the library sees.

file(GLOB weft_example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp")
set(weft_example_targets "")
foreach(source IN LISTS weft_example_sources)
  cmake_path(GET source STEM name)
  set(target example_${name})
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  target_link_libraries(${target} PRIVATE weft::weft weft_warnings)
  list(APPEND weft_example_targets ${target})
endforeach()
