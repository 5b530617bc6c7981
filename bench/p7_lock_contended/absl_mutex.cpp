// Threads that compete for one absl::Mutex. Arguments: see hammer.hpp.
#include "common/absl_lock.hpp"
#include "p7_lock_contended/hammer.hpp"

int main(int argc, char** argv) {
  bench::Hammer<bench::AbslLock>{bench::Arguments(argc, argv)}.run();
}
