# libweft-patch.so, which makes the blocking calls of unmodified C libraries cooperative on fibers (docs/patching.md). It finds the
# engine by one symbol at run time and links nothing of weft's, so that it serves programs with libweft.a and libweft.so alike.
# Not under ThreadSanitizer, which has to see mutexes and calls itself.

set(weft_patch_target "")
file(GLOB weft_patch_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/patch/*.cpp")
if(weft_patch_sources AND NOT WEFT_SANITIZE STREQUAL "thread")
  add_library(weft_patch SHARED ${weft_patch_sources})
  add_library(weft::patch ALIAS weft_patch)
  set_target_properties(weft_patch PROPERTIES OUTPUT_NAME weft-patch EXPORT_NAME patch CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  target_include_directories(weft_patch PRIVATE "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
  # The checked variants are defined here, not called.
  # Attributes of the declarations, nonnull say, mean nothing to a pointer: that is no matter.
  target_compile_options(weft_patch PRIVATE -ftls-model=initial-exec -U_FORTIFY_SOURCE -Wno-ignored-attributes)
  target_link_libraries(weft_patch PRIVATE ${CMAKE_DL_LIBS} Threads::Threads weft_warnings)
  # Kept although the program names none of its functions but those that libc has too.
  target_link_options(weft_patch INTERFACE -Wl,--no-as-needed)
  set(weft_patch_target weft_patch)
endif()
