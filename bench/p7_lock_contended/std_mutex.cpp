// Threads that compete for one std::mutex. Arguments: see hammer.hpp.
#include "p7_lock_contended/hammer.hpp"

int main(int argc, char** argv) {
  bench::Hammer<std::mutex>{bench::Arguments(argc, argv)}.run();
}
