# The program weft: build/<preset>/apps/weft/weft. Its code is a library, weft_app, so that tests can call it.

file(GLOB_RECURSE weft_app_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/apps/weft/*.cpp")
set(weft_app_main "${PROJECT_SOURCE_DIR}/apps/weft/main.cpp")
if(weft_app_sources)
  find_package(fmt REQUIRED)
  find_package(spdlog REQUIRED)
  find_package(nlohmann_json REQUIRED)
  find_package(CLI11 REQUIRED)
  find_package(OpenSSL REQUIRED COMPONENTS Crypto)
  find_path(WEFT_XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
  find_library(WEFT_XXHASH_LIBRARY xxhash REQUIRED)

  set(weft_app_rest ${weft_app_sources})
  list(REMOVE_ITEM weft_app_rest "${weft_app_main}")
  if(weft_app_rest)
    add_library(weft_app STATIC ${weft_app_rest})
    set(weft_app_scope PUBLIC)
    target_link_libraries(weft_app PRIVATE weft_warnings)
  else()
    add_library(weft_app INTERFACE)
    set(weft_app_scope INTERFACE)
  endif()
  target_include_directories(weft_app ${weft_app_scope} "${PROJECT_SOURCE_DIR}/apps/weft")
  target_include_directories(weft_app SYSTEM ${weft_app_scope} "${WEFT_XXHASH_INCLUDE_DIR}")
  target_compile_definitions(weft_app ${weft_app_scope} WEFT_VERSION_STRING="${PROJECT_VERSION}")
  target_link_libraries(weft_app ${weft_app_scope} weft::weft fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json
    CLI11::CLI11 OpenSSL::Crypto "${WEFT_XXHASH_LIBRARY}")

  if(weft_app_main IN_LIST weft_app_sources)
    # The target cannot be called weft, which is the library.
    add_executable(weft_program "${weft_app_main}")
    set_target_properties(weft_program PROPERTIES OUTPUT_NAME weft
      RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/apps/weft")
    target_link_libraries(weft_program PRIVATE weft_app weft_warnings)
  endif()
endif()
