// Teaches: what a process is given, how it is started and waited for, and what its handle is good for.
//
// The function and its arguments are sent to the child, which has nothing else of its parent. join_for() says whether the child ended
// and leaves it running when it did not; exitcode() says how it ended: 0, what it gave to exit(), 1 after an exception, the negative
// number of a signal. A daemonic process is ended with its parent. main() begins with the one line that this way of starting needs.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber/this_fiber.hpp>
#include <weft/process/process.hpp>

using namespace std::chrono_literals;

namespace {

void cook(const std::string& dish, int portions) {
  weft::sleep_for(100ms);
  std::printf("%s, a child of %s, has cooked %d portions of %s\n", weft::process::current_process().name().c_str(),
              weft::process::parent_process()->name().c_str(), portions, dish.c_str());
}

void stay() { weft::sleep_for(1h); }
void leave(int code) { std::exit(code); }
void fail() { throw std::runtime_error{"the oven is cold"}; }

class Waiter : public weft::Process {
 public:
  explicit Waiter(std::string guest) : guest_{std::move(guest)} {}

 protected:
  void run() override { std::printf("%s is served\n", guest_.c_str()); }

 private:
  std::string guest_;
};

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // so that lines of parent and children come in order into a file, too

  weft::Process cooking{cook, "soup", 4};
  std::printf("%s, alive before start: %s\n", cooking.name().c_str(), cooking.is_alive() ? "yes" : "no");
  cooking.start();
  std::printf("alive after start: %s, children: %zu\n", cooking.is_alive() ? "yes" : "no", weft::process::active_children().size());
  if (!cooking.join_for(10ms)) std::printf("after 10 ms the soup is not ready\n");
  cooking.join();
  std::printf("exit code: %d, children: %zu\n", *cooking.exitcode(), weft::process::active_children().size());

  // How children end.
  weft::Process leaving{leave, 3};
  weft::Process failing{fail};
  weft::Process staying{stay};
  failing.set_name("baker");
  leaving.start();
  leaving.join();
  failing.start();
  failing.join();
  staying.start();
  staying.terminate();
  staying.join();
  std::printf("exit codes: %d, %d, %d\n", *leaving.exitcode(), *failing.exitcode(), *staying.exitcode());

  // A class with run(): started by fork, as it exists in this process only.
  Waiter waiter{"Ann"};
  waiter.start();
  waiter.join();

  // The handle of a process is dropped while it runs: it runs on, and the program waits for it at its end; not for the daemon.
  weft::Process{cook, "bread", 2}.start();
  weft::Process daemon{stay};
  daemon.set_daemon(true).start();
  std::printf("main returns\n");
}
