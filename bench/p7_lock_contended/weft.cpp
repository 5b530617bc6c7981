// Threads that compete for one weft::Lock. Arguments: see hammer.hpp.
#include <weft/sync/lock.hpp>

#include "p7_lock_contended/hammer.hpp"

int main(int argc, char** argv) {
  bench::Hammer<weft::Lock>{bench::Arguments(argc, argv)}.run();
}
