// Teaches: processes share no memory. What a thread changes is changed for all; what a child changes, in its own copy: the parent finds
// its variable as it was. To share a value on purpose there is weft::process::Value.
#include <cstdio>

#include <weft/process/process.hpp>
#include <weft/thread/thread.hpp>

namespace {

int money = 100;

void spend() {
  money -= 30;
  std::printf("inside: %d\n", money);
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);

  weft::Thread thread{spend};
  thread.start();
  thread.join();
  std::printf("after a thread has spent 30: %d\n", money);

  // A copy of this process, as it is now.
  weft::Process copy{weft::fork, spend};
  copy.start();
  copy.join();
  std::printf("after a forked child has spent 30: %d\n", money);

  // A process that starts from the beginning.
  weft::Process fresh{weft::spawning, spend};
  fresh.start();
  fresh.join();
  std::printf("after a spawned child has spent 30: %d\n", money);
}
