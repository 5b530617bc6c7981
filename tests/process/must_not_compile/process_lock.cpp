// weft: a pointer cannot be sent to another process
// the culprit: weft::Lock*
#include <weft/process/process.hpp>
#include <weft/sync/lock.hpp>
void use(weft::Lock*) {}
void start(weft::Lock& lock) { weft::Process{use, &lock}.start(); }
