// Teaches: what a child has of its parent, by start method. Four cases: a variable changed before the start, one changed after it,
// text that a stream has buffered, and a lock that is held. A forked child is a copy: it has the first change and not the second, it has
// the buffered text too, so that it is written twice unless flushed before (standard streams are), and the held lock is held in it by
// its main thread, which may release it, while a thread of its own has to wait. A spawned child, or one of the fork server, begins from
// the beginning: it has what it was sent, and cannot be sent a file or a lock of threads at all: that does not compile.
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>

#include <weft/process/process.hpp>
#include <weft/sync/lock.hpp>
#include <weft/thread/thread.hpp>

using namespace std::chrono_literals;

namespace {

std::string color = "white";
weft::Lock lock{"paint"};
std::FILE* file = nullptr;

void show(const std::string& sent) { std::printf("  the child has %s, and was sent %s\n", color.c_str(), sent.c_str()); }

void write_and_close() {
  if (!file) return;
  std::fputs("child ", file);
  std::fclose(file);
}

void use_lock() {
  const bool held = lock.locked();
  std::printf("  locked in the child: %s\n", held ? "yes" : "no");
  weft::Thread other{[] {
    const std::unique_lock guard{lock, 20ms};
    std::printf("  a new thread gets it at once: %s\n", guard.owns_lock() ? "yes" : "no");
  }};
  other.start();
  other.join();
  if (!held) return;
  lock.unlock();
  std::printf("  the main thread has released it\n");
}

std::string content(const char* path) {
  char text[256] = "";
  std::FILE* written = std::fopen(path, "r");
  if (!written) return text;
  (void)!std::fread(text, 1, sizeof text - 1, written);
  std::fclose(written);
  return text;
}

void run(weft::StartMethod method, const char* path) {
  std::printf("%s\n", std::string{weft::process::to_string(method)}.c_str());

  // Changes before and after the start.
  color = "red";
  weft::Process painter{method, show, color};
  painter.start();
  color = "blue";
  painter.join();

  // What a stream of the program's own has buffered.
  for (const bool flushed : {false, true}) {
    file = std::fopen(path, "w");
    if (!file) return;
    std::fputs("parent ", file);
    if (flushed) std::fflush(file);
    weft::Process writer{method, write_and_close};
    writer.start();
    writer.join();
    std::fclose(file);
    std::printf("  the file %s: %s\n", flushed ? "flushed before" : "not flushed", content(path).c_str());
  }
  file = nullptr;

  // A lock held while starting.
  const std::lock_guard guard{lock};
  weft::Process locker{method, use_lock};
  locker.start();
  locker.join();
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  char path[] = "/tmp/weft_start_methods_XXXXXX";
  const int made = ::mkstemp(path);
  if (made < 0) return 1;
  ::close(made);
  for (const weft::StartMethod method : weft::process::get_all_start_methods()) run(method, path);
  std::remove(path);

  // By fork, everything: `result` itself would do, were it not for its being a copy.
  int result = 1;
  weft::Process closure{weft::fork, [&] { ++result; }};
  closure.start();
  closure.join();
  std::printf("a closure, by fork: %d\n", result);
}
