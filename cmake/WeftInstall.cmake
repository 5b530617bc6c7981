# cmake --install build/release --prefix P: both libraries, headers, the program, and what find_package and pkg-config
# read.

include(CMakePackageConfigHelpers)

install(TARGETS weft weft_shared ${weft_patch_target} EXPORT weftTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
set(weft_no_http PATTERN "http" EXCLUDE)
if(TARGET weft_http)
  set(weft_no_http "")
endif()
if(EXISTS "${PROJECT_SOURCE_DIR}/include/weft")
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/weft" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.hpp" ${weft_no_http})
endif()
if(TARGET weft_program)
  install(TARGETS weft_program RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

set(weft_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")
install(EXPORT weftTargets NAMESPACE weft:: DESTINATION "${weft_package_dir}")
if(TARGET weft_http)
  # A set of its own: programs that do not use it need no libcurl.
  install(TARGETS weft_http weft_http_shared EXPORT weftHttpTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT weftHttpTargets NAMESPACE weft:: DESTINATION "${weft_package_dir}")
endif()
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/weftConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/generated/weftConfig.cmake" INSTALL_DESTINATION "${weft_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/generated/weftConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/generated/weftConfig.cmake"
  "${PROJECT_BINARY_DIR}/generated/weftConfigVersion.cmake" DESTINATION "${weft_package_dir}")

# The prefix is known only when installing, so weft.pc is written relative to its own place.
file(RELATIVE_PATH weft_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" weft_pc_prefix "${weft_pc_prefix}")
set(weft_pc_libs "")
if(WEFT_BOOST_CONTEXT)
  set(weft_pc_libs " -lboost_context")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/weft.pc.in" "${PROJECT_BINARY_DIR}/generated/weft.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/generated/weft.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(TARGET weft_http)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/weft_http.pc.in" "${PROJECT_BINARY_DIR}/generated/weft_http.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/generated/weft_http.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endif()
