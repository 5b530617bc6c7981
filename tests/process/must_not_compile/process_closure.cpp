// weft: this type cannot be sent to another process: a closure with captures
// the culprit: <lambda()>
#include <weft/process/process.hpp>
void start(int& count) { weft::Process{weft::forkserver, [&count] { ++count; }}.start(); }
