# The library: position-independent objects compiled once, archived as libweft.a and linked as libweft.so.
# It links nothing but libc, libstdc++ and pthread; Boost.Context where there is no context switch of our own.

find_package(Threads REQUIRED)
# Its headers alone, by which <weft/process/sendable.hpp> takes aggregates apart.
find_path(WEFT_PFR_INCLUDE_DIR boost/pfr/core.hpp)
if(NOT WEFT_PFR_INCLUDE_DIR)
  message(FATAL_ERROR "weft needs the headers of Boost.PFR (boost/pfr/core.hpp, Boost 1.75 or later); on Debian: apt-get install "
    "libboost1.81-dev, which replaces libboost1.74-dev, or run tools/setup")
endif()

file(GLOB_RECURSE weft_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp" "${PROJECT_SOURCE_DIR}/src/*.S")
list(FILTER weft_sources EXCLUDE REGEX "^${PROJECT_SOURCE_DIR}/src/http/")  # a library of its own: WeftHttp.cmake
list(FILTER weft_sources EXCLUDE REGEX "/src/patch/")  # a library of its own: WeftPatch.cmake
list(FILTER weft_sources EXCLUDE REGEX "/src/keeper/")  # a program within the library: WeftKeeper.cmake
if(NOT weft_sources)
  # An empty tree still configures; CMake refuses a library without sources.
  file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/generated/empty.cpp" CONTENT "")
  set(weft_sources "${PROJECT_BINARY_DIR}/generated/empty.cpp")
endif()

add_library(weft_objects OBJECT ${weft_sources})
set_target_properties(weft_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_include_directories(weft_objects
  PUBLIC "${PROJECT_SOURCE_DIR}/include"
  PRIVATE "${PROJECT_SOURCE_DIR}/src")
# initial-exec: the current context is one load away even inside libweft.so (its few thread-locals fit in the static
# reserve, so dlopen still works). no-semantic-interposition: calls within libweft.so may be inlined.
target_compile_options(weft_objects PRIVATE -ftls-model=initial-exec -fno-semantic-interposition)
target_link_libraries(weft_objects PUBLIC Threads::Threads PRIVATE weft_warnings)
set(weft_links Threads::Threads)
if(WEFT_BOOST_CONTEXT)
  find_package(Boost 1.81 REQUIRED COMPONENTS context)
  list(APPEND weft_links Boost::context)
  target_compile_definitions(weft_objects PRIVATE WEFT_BOOST_CONTEXT)
  target_link_libraries(weft_objects PRIVATE Boost::context)
endif()

# What only a child of fork() calls is bound as the program starts: else each child would look it up anew, by tables of all libraries that
# it has to be given page by page, which takes it as long as all the rest.
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/process/start/child.cpp" "${PROJECT_SOURCE_DIR}/src/process/start/lifeline.cpp"
  PROPERTIES COMPILE_OPTIONS -fno-plt)

include(WeftKeeper)

# Full debug information in one file: its types are all that the debugger script needs (tools/gdb/weft-gdb.py).
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/engine/scheduler.cpp" PROPERTIES COMPILE_OPTIONS -g)

# ThreadSanitizer sees the fibers of one worker as unordered threads; the few sources through which they take turns with
# the worker's own data are not instrumented, and state the order between fibers by annotations (src/engine/worker.hpp).
# scope.cpp: std::stop_callback relies on who runs on one OS thread being ordered, which fibers that take turns there are.
# -O2: what they call from the standard library's headers must be inlined, not shared with instrumented callers.
if(WEFT_SANITIZE STREQUAL "thread")
  target_compile_definitions(weft_objects PRIVATE WEFT_TSAN)
  foreach(source engine/worker engine/scheduler engine/stall engine/greenlets sync/scope)
    set_property(SOURCE "${PROJECT_SOURCE_DIR}/src/${source}.cpp" APPEND PROPERTY
      COMPILE_OPTIONS -fno-sanitize=thread -O2)
  endforeach()
endif()

foreach(kind STATIC SHARED)
  set(name weft)
  if(kind STREQUAL SHARED)
    set(name weft_shared)
  endif()
  add_library(${name} ${kind} $<TARGET_OBJECTS:weft_objects>)
  add_library(weft::${name} ALIAS ${name})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME weft LINKER_LANGUAGE CXX)
  target_include_directories(${name} PUBLIC
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_link_libraries(${name} PUBLIC ${weft_links})
endforeach()
# What libweft-patch.so, preloaded, finds the engine by, in a program that contains it.
target_link_options(weft INTERFACE -Wl,--export-dynamic-symbol=weft_foreign_calls)
set_target_properties(weft_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
