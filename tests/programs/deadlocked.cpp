// Programs that come to a standstill, each in its way: mixed | noexcept | abort | standstill | idle | selecting.
#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/net/socket.hpp>
#include <weft/queue/select.hpp>
#include <weft/sync/deadlock.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>

using namespace std::chrono_literals;

namespace {

weft::Lock savings{"savings"};
weft::Lock checking{"checking"};

[[gnu::noinline]] void take_both(weft::Lock& first, weft::Lock& second, weft::Event& began, weft::Event& other_began) {
  const std::lock_guard outer{first};
  began.set();
  other_began.wait();
  try {
    const std::lock_guard inner{second};
  } catch (const weft::DeadlockError& error) {
    std::printf("caught: %s\n", error.what());
  }
}

void mixed() {
  static weft::Event audit_began;
  static weft::Event transfer_began;
  std::thread audit{[] {
    ::pthread_setname_np(::pthread_self(), "audit");
    take_both(savings, checking, audit_began, transfer_began);
  }};
  auto transfer = weft::spawn({.name = "transfer"}, [] { take_both(checking, savings, transfer_began, audit_began); });
  transfer.join();
  audit.join();
}

void take_twice() noexcept {
  savings.lock();
  savings.lock();
}

void standstill() {
  weft::Event told;
  static weft::Event never{"never"};
  weft::set_standstill_hook([&](const std::string& report) {
    std::printf("%s\n", report.c_str());
    told.set();
  });
  weft::report_standstill_after(300ms);
  auto patient = weft::spawn({.name = "patient"}, [] { never.wait(); });
  told.wait();
  weft::sleep_for(1s);  // for a second report, which must not come
  std::fflush(stdout);
  weft::set_standstill_hook({});
  never.set();  // nothing is left for a leak checker to find
  patient.join();
}

void idle(bool selecting) {
  weft::report_standstill_after(100ms);
  auto [here, there] = weft::Socket::socketpair();
  static weft::Event never;
  auto server = weft::spawn([&] {
    char byte = 0;
    if (selecting) weft::select(never.on_set([] {}), here.on_readable([] {}));
    (void)here.recv_into(&byte, 1);
  });
  auto waits = weft::spawn([] { never.wait(); });
  std::thread sender{[&] {
    ::usleep(800'000);
    there.send_all("x");
  }};
  server.join();
  sender.join();
  weft::report_standstill_after(0ns);
  never.set();
  waits.join();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "mixed") mixed();
  if (what == "noexcept") take_twice();
  if (what == "abort") {
    weft::set_deadlock_policy(weft::DeadlockPolicy::Abort);
    take_twice();
  }
  if (what == "standstill") standstill();
  if (what == "idle") idle(false);
  if (what == "selecting") idle(true);
  return 0;
}
