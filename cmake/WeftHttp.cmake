# weft::http, the HTTP client: libweft_http.a (target weft_http) over libweft.a, libweft_http.so (weft_http_shared) over
# libweft.so. Apart from the library because it needs libcurl.

find_package(CURL 7.87)
if(NOT CURL_FOUND)
  message(FATAL_ERROR "The HTTP client needs libcurl 7.87 or later with its headers (Debian: libcurl4-openssl-dev). "
    "To build weft without it, configure with -DWEFT_BUILD_HTTP=OFF")
endif()

file(GLOB weft_http_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/http/*.cpp")
add_library(weft_http_objects OBJECT ${weft_http_sources})
set_target_properties(weft_http_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_include_directories(weft_http_objects PRIVATE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(weft_http_objects PRIVATE WEFT_HTTP_VERSION="${PROJECT_VERSION}")
target_link_libraries(weft_http_objects PRIVATE Threads::Threads CURL::libcurl weft_warnings)

foreach(kind STATIC SHARED)
  set(suffix "")
  if(kind STREQUAL SHARED)
    set(suffix _shared)
  endif()
  set(name weft_http${suffix})
  add_library(${name} ${kind} $<TARGET_OBJECTS:weft_http_objects>)
  add_library(weft::http${suffix} ALIAS ${name})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME weft_http EXPORT_NAME http${suffix} LINKER_LANGUAGE CXX)
  target_link_libraries(${name} PUBLIC weft::weft${suffix} PRIVATE CURL::libcurl)
endforeach()
set_target_properties(weft_http_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
