#pragma once

namespace weft::process {

/// The one line that start methods Spawn and Forkserver need, first in main():
///
///     int main(int argc, char** argv) {
///       weft::process::main(argc, argv);
///       ...
///
/// Semantics: in an ordinary run it notes the arguments and returns. In a process that weft has started from this program it does
///            what that was started for, and never returns: so nothing of main() runs there. What static objects do as the program
///            starts happens in each; they should start no threads, as a fork server that finds a second thread in itself refuses.
/// Errors:    without this line Process::start() throws InvalidStateError, before anything is started.
void main(int argc, char** argv);

}  // namespace weft::process
