// Teaches: a lock among processes, and what happens when its holder dies.
//
// Three tickets are left; how many, says a file. Ten buyers, a process each, look into the file, think for a moment,
// and write what is left when they have bought. Without a lock most of them see all three. With one, three of them
// get a ticket, and the file says none. In the end a buyer is killed at the desk, when he has wiped out the old
// number and not yet written the new one. The next one gets the lock all the same, is told that the one before died
// while he held it, and looks into the books: nothing was sold.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include <weft/process/lock.hpp>
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
  weft::sleep_for(20ms);
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

pid_t start_buyer(bool (*buyer)()) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) std::exit(buyer() ? 0 : 1);
  return pid;
}

/// Waits for its end: whether it has a ticket.
bool has_bought(pid_t buyer) {
  int status = 0;
  return ::waitpid(buyer, &status, 0) == buyer && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int sold_to_ten(bool (*buyer)()) {
  write_left(kTickets);
  std::vector<pid_t> buyers;
  for (int i = 0; i < kBuyers; ++i) buyers.push_back(start_buyer(buyer));
  return static_cast<int>(std::count_if(buyers.begin(), buyers.end(), has_bought));
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

  (void)has_bought(start_buyer(die_at_the_desk));
  const bool next = has_bought(start_buyer(buy_after_a_death));
  std::printf("the next one has %s ticket, %d left\n", next ? "a" : "no", left());
  ::unlink(name);
}
