#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <functional>
#include <string>

#include <weft/base/error.hpp>
#include <weft/process/barrier.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/shared_memory.hpp>
#include <weft/process/value.hpp>

#include "process/memory/large_block.hpp"
#include "support/in_child.hpp"
#include "support/program.hpp"

// Under a limit on the size of files (ulimit -f) the kernel does not only refuse what is larger, it sends SIGXFSZ, which ends the process.
// Shared memory counts as a file.
namespace weft::test {
namespace {

/// How making it ends in a process whose files may have so many bytes: with an errno value, 0, or minus a signal.
int made_under(rlim_t most_bytes, const std::function<void()>& make) {
  return in_child([&] {
    const rlimit limit{most_bytes, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 97;
    try {
      make();
    } catch (const OSError& error) {
      return std::string{error.what()}.find("ulimit -f") == std::string::npos ? 96 : error.errno_value();
    }
    return 0;
  });
}

TEST(FileSizeLimit, IsAnErrorForSharedMemoryAndNoSignal) {
  const std::string name = "weft-test-limit-" + std::to_string(::getpid());
  EXPECT_EQ(made_under(1'000'000, [] { (void)process::SharedMemory{1'000'001}; }), EFBIG);
  EXPECT_EQ(made_under(1'000'000, [&] { (void)process::SharedMemory::create(name, 1'000'001); }), EFBIG);
  EXPECT_FALSE(process::SharedMemory::unlink(name));
  EXPECT_EQ(made_under(1'000'000, [] { (void)process::detail::LargeBlock::take(1'000'000); }), EFBIG);
  EXPECT_EQ(made_under(1'000'000, [] { process::detail::LargeBlock::take(100'000).resize(2'000'000); }), EFBIG);
  EXPECT_EQ(made_under(1'000'000, [] { (void)process::SharedMemory{1'000'000}; }), 0);
}

TEST(FileSizeLimit, IsAnErrorForLocksAndTheirLikeAndNoSignal) {
  EXPECT_EQ(made_under(10, [] { (void)process::Lock{}; }), EFBIG);
  EXPECT_EQ(made_under(4096, [] { (void)process::Barrier{1000}; }), EFBIG);
  EXPECT_EQ(made_under(3, [] { (void)process::Value<int>{7}; }), EFBIG);
  EXPECT_EQ(made_under(4096, [] { (void)process::Queue<int>{}; }), EFBIG);
  EXPECT_EQ(made_under(4096, [] { (void)process::Lock{}; }), 0);
}

int said_under(rlim_t most_bytes, const char* what) {
  return in_child([&] {
    const rlimit limit{most_bytes, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 97;
    return run_program("process_ends", {what}).exit_code;
  });
}

// In programs of their own, in which nothing has been shared before.
TEST(FileSizeLimit, LetsTheFirstLockAndProcessOfAProgramBeMade) { EXPECT_EQ(said_under(1'000'000, "first-share"), 0); }
TEST(FileSizeLimit, IsAnErrorForTheFirstWorkerOfAPool) { EXPECT_EQ(said_under(1'000'000, "first-pool"), EFBIG); }

}  // namespace
}  // namespace weft::test
