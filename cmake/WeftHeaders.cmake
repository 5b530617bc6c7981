# Every public header compiles alone, and twice over: one generated source a header.

file(GLOB_RECURSE weft_public_headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_SOURCE_DIR}/include/weft/*.hpp")
list(FILTER weft_public_headers EXCLUDE REGEX "^weft/detail/")
set(weft_header_sources "")
foreach(header IN LISTS weft_public_headers)
  string(REGEX REPLACE "[/.]" "_" stem "${header}")
  set(source "${PROJECT_BINARY_DIR}/generated/headers/${stem}.cpp")
  # file(CONFIGURE) leaves an unchanged file alone, so nothing is rebuilt for it.
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include <${header}>\n#include <${header}>  // NOLINT: guarded\n")
  list(APPEND weft_header_sources "${source}")
endforeach()
if(weft_header_sources)
  add_library(weft_header_check OBJECT ${weft_header_sources})
  target_link_libraries(weft_header_check PRIVATE weft::weft weft_warnings)
  target_compile_options(weft_header_check PRIVATE -O0 -g0)
endif()
