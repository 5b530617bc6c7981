// weft: a pointer cannot be sent to another process
// the culprit: int*
#include <weft/process/process.hpp>
void use(int*);
void start(int& count) { weft::Process{weft::spawning, use, &count}.start(); }
