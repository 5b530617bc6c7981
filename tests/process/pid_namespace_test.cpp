#include <gtest/gtest.h>
#include <sched.h>

#include <string>

#include <weft/base/error.hpp>
#include <weft/process/connection.hpp>
#include <weft/process/event.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/shared_memory.hpp>

#include "support/eventually.hpp"
#include "support/in_child.hpp"

// A process in another pid namespace, such as a container, cannot tell whether the owner of a lock lives: it would take it from one who
// does.
namespace weft::test {
namespace {

using process::Connection;
template <class T>
using ProcessQueue = process::Queue<T>;

constexpr int kNotAllowed = 77;

template <class T>
bool is_refused(Connection& in) {
  try {
    (void)in.recv<T>(Deadline::after(kPatience));
    return false;
  } catch (const ProtocolError& error) {
    return std::string{error.what()}.find("another pid or time namespace") != std::string::npos;
  }
}

int receive_in_another_namespace(Connection& in) {
  if (::unshare(CLONE_NEWPID) != 0) return kNotAllowed;
  return in_child([&] {
    if (!is_refused<process::Lock>(in)) return 1;
    if (!is_refused<process::Event>(in)) return 2;
    if (!is_refused<ProcessQueue<int>>(in)) return 3;
    // In plain memory nobody looks for anybody.
    return in.recv<process::SharedMemory>(Deadline::after(kPatience)).size() == 100 ? 0 : 4;
  });
}

TEST(AnotherPidNamespace, LocksAndQueuesAreNotReceivedThere) {
  auto [out, in] = process::pipe();
  out.send(process::Lock{});
  out.send(process::Event{});
  out.send(ProcessQueue<int>{});
  out.send(process::SharedMemory{100});
  const int end = in_child([&] { return receive_in_another_namespace(in); });
  if (end == kNotAllowed) GTEST_SKIP() << "only root can make a pid namespace";
  EXPECT_EQ(end, 0);
}

}  // namespace
}  // namespace weft::test
