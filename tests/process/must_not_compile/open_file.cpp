// weft: a pointer cannot be sent to another process
// the culprit: _IO_FILE*
#include <weft/process/process.hpp>
#include <cstdio>
void use(std::FILE*);
void start(std::FILE* file) { weft::Process{use, file}.start(); }
