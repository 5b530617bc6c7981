#pragma once

#include <string>

/// Where this build lives, for tests that start programs or read files of the tree.
namespace weft::test {

/// The root of the source tree.
std::string source_dir();

/// The build tree of this preset: apps/weft/weft, examples/NAME and tests/programs/NAME are below it.
std::string build_dir();

}  // namespace weft::test
