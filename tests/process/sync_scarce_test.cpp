// Where something is missing: futex_waitv, as before Linux 5.16, or descriptors.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <thread>

#include <weft/base/error.hpp>
#include <weft/process/event.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/semaphore.hpp>
#include <weft/sync/deadlock.hpp>

#include "process/memory/process_stamp.hpp"
#include "support/world.hpp"
#include "sync_child.hpp"
#include "told.hpp"

namespace weft::test {
namespace {

/// From now on this process's kernel has no such call.
bool forget_call(std::uint32_t number) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  // For all of its threads.
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

/// Waits of threads and fibers: woken, timed out, killed.
bool waits_work() {
  process::Semaphore forth{0};
  process::Semaphore back{0};
  std::thread thread{[&] {
    forth.acquire();
    back.release();
  }};
  auto fiber = spawn([&] {
    forth.acquire();
    back.release();
  });
  auto killed = spawn([&] { process::Event{}.wait(); });
  sleep_for(5ms);
  forth.release(2);
  back.acquire();
  back.acquire();
  thread.join();
  killed.kill();
  return fiber.join_for(kPatience) && killed.join_for(kPatience) && !back.try_acquire_for(20ms);
}

/// A child dies with the lock.
bool deaths_are_noticed() {
  process::Lock lock;
  const InSharedMemory<std::atomic<bool>> held;
  Child owner{[&] {
    lock.lock();
    *held = true;
    for (;;) ::pause();
    return false;
  }};
  if (!eventually([&] { return held->load(); })) return false;
  auto fiber = spawn([&] {
    const std::lock_guard guard{lock};
    return lock.owner_died();
  });
  if (lock.try_lock_for(30ms)) return false;
  owner.kill();
  lock.lock();
  const bool told = lock.owner_died();
  lock.unlock();
  return fiber.get() && told;
}

/// Of two processes with two locks, of which one has waited for so long that its search for deadlocks sleeps.
bool deadlocks_are_found() {
  set_deadlock_hook([](const std::string&) {});
  report_standstill_after(Duration::zero());  // which keeps the search awake
  process::Lock first;
  process::Lock second;
  const InSharedMemory<std::atomic<bool>> held;
  const auto take = [](process::Lock& lock) {
    try {
      const std::lock_guard guard{lock};
      return false;
    } catch (const DeadlockError&) {
      return true;
    }
  };
  const std::lock_guard guard{first};
  Child other{[&] {
    const std::lock_guard own{second};
    *held = true;
    return !take(first);
  }};
  if (!eventually([&] { return held->load(); }) || !soon_looks_no_more(other.pid())) return false;
  return take(second);  // it blocks last
}

TEST(ProcessSyncWithout, FutexWaitv) {
  Child child{[] { return forget_call(SYS_futex_waitv) && waits_work() && deaths_are_noticed() && deadlocks_are_found(); }};
  EXPECT_EQ(child.join(), 0);
}

TEST(ProcessSyncWithout, PidfdOpen) {
  Child child{[] { return forget_call(SYS_pidfd_open) && waits_work() && deaths_are_noticed() && deadlocks_are_found(); }};
  EXPECT_EQ(child.join(), 0);
}

TEST(ProcessSyncWithout, AnEventfdForTheThreadThatLooks) {
  Child child{[] {
    // The runtime first, which cannot do without.
    spawn([] {}).join();
    return forget_call(SYS_eventfd2) && waits_work() && deaths_are_noticed();
  }};
  EXPECT_EQ(child.join(), 0);
}

TEST(ProcessSyncWithout, DescriptorsAndWithADeadChildThatNobodyHasReaped) {
  Child child{[] {
    process::Lock lock;
    const InSharedMemory<std::atomic<bool>> held;
    const Child owner{[&] {
      lock.lock();
      *held = true;
      for (;;) ::pause();
      return false;
    }};
    if (!eventually([&] { return held->load(); })) return false;
    (void)process::detail::this_process_stamp();  // known once, for ever
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return false;
    owner.kill_unreaped();
    lock.lock();
    return lock.owner_died();
  }};
  EXPECT_EQ(child.join(), 0);
}

}  // namespace
}  // namespace weft::test
