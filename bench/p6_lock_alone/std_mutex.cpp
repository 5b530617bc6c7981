// std::mutex without competition. Arguments: --count N.
#include "p6_lock_alone/lock_alone.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const bench::IdleThread idle;
  bench::measure_lock_alone<std::mutex>(arguments);
}
