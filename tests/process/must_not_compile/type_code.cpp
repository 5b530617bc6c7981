// weft: Python's type codes are c u b B h H i I l L q Q f d
#include <weft/process/ctype.hpp>

weft::process::ctype<'z'> number();
