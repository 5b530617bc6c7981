// Teaches: a lock among processes, and what happens when its holder dies.
//
// Three tickets are left; how many, says a file. Ten buyers, a process each, come as the office opens, look into the file, think for a
// moment, and write what is left when they have bought. Without a lock most of them see all three. With one, three of them
// get a ticket, and the file says none. In the end a buyer is killed at the desk, when he has wiped out the old
// number and not yet written the new one. The next one gets the lock all the same, is told that the one before died
// while he held it, and looks into the books: nothing was sold.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <weft/process/barrier.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/process.hpp>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

constexpr int kTickets = 3;
constexpr int kBuyers = 10;

std::string path;
weft::process::Lock desk{"ticket desk"};

int left() {
  int count = -1;  // of an empty file
  std::ifstream{path} >> count;
  return count;
}

void write_left(int count) { std::ofstream{path} << count; }

bool buy() {
  const int seen = left();
  if (seen <= 0) return false;
  weft::sleep_for(50ms);
  write_left(seen - 1);
  return true;
}

bool buy_at_the_desk() {
  const std::lock_guard guard{desk};
  return buy();
}

bool die_at_the_desk() {
  const std::lock_guard guard{desk};
  write_left(-1);
  ::kill(::getpid(), SIGKILL);
  return false;
}

bool buy_after_a_death() {
  const std::lock_guard guard{desk};
  if (desk.owner_died()) {
    std::printf("one died at the desk: the file says %d\n", left());
    write_left(kTickets);
    desk.recovered();
  }
  return buy();
}

weft::Process start_buyer(std::function<bool()> buyer) {
  return weft::Process{weft::fork, [buyer] { std::exit(buyer() ? 0 : 1); }}.start();
}

int sold_to_ten(bool (*buyer)()) {
  write_left(kTickets);
  weft::process::Barrier opening{kBuyers};
  std::vector<weft::Process> buyers;
  for (int i = 0; i < kBuyers; ++i) {
    buyers.push_back(start_buyer([&] {
      opening.wait();
      return buyer();
    }));
  }
  int sold = 0;
  for (weft::Process& one : buyers) {
    one.join();
    if (one.exitcode() == 0) ++sold;
  }
  return sold;
}

}  // namespace

int main() {
  char name[] = "/tmp/weft-tickets-XXXXXX";
  ::close(::mkstemp(name));
  path = name;

  const int without = sold_to_ten(buy);
  std::printf("without a lock: %d of %d tickets sold\n", without, kTickets);
  const int with = sold_to_ten(buy_at_the_desk);
  std::printf("with a lock: %d of %d tickets sold, %d left\n", with, kTickets, left());

  start_buyer(die_at_the_desk).join();
  weft::Process next = start_buyer(buy_after_a_death);
  next.join();
  std::printf("the next one has %s ticket, %d left\n", next.exitcode() == 0 ? "a" : "no", left());
  ::unlink(name);
}
