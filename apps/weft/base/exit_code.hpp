#pragma once

namespace weft::app {

/// What the program returns to the shell; documented in docs/send.md and in every --help.
enum class ExitCode : int {
  Done = 0,
  Incomplete = 1,    // some files were refused, or could not be read or written; the others are done
  Usage = 2,         // the command line makes no sense
  Unreachable = 3,   // no connection, or it broke and did not come back
  Denied = 4,        // the server wants another token
  Corrupt = 5,       // what arrived is not what was sent
  Interrupted = 130  // Ctrl-C
};

}  // namespace weft::app
