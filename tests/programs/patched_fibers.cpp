// What only libweft-patch.so promises, and only to fibers. Each part ends the program with a message if it does not
// hold.
//
//   patched_fibers PART

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/io/patch.hpp>
#include <weft/sync/event.hpp>

#include "require.hpp"

using namespace std::chrono_literals;

namespace {

struct Pair {
  explicit Pair(int type = SOCK_STREAM) { REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0); }
  ~Pair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int ends[2];
};

void join_all(std::vector<weft::Fiber<void>>& fibers) {
  for (auto& fiber : fibers) fiber.get();
}

/// Whether that is so before long; others run meanwhile.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    weft::sleep_for(100us);
  }
  return true;
}

// A hundred fibers of one worker: each blocks in the way of C programs, all at once.
void many() {
  weft::Runtime runtime{{.workers = 1}};
  const auto begin = std::chrono::steady_clock::now();
  runtime.run([] {
    std::vector<weft::Fiber<void>> fibers;
    for (int i = 0; i < 100; ++i) {
      fibers.push_back(weft::spawn([i] {
        const Pair pair;
        char byte = 0;
        pollfd polled{pair.ends[0], POLLIN, 0};
        const timespec time{0, 50'000'000};
        const timeval timeout{0, 50'000};
        ::setsockopt(pair.ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        switch (i % 5) {
          case 0:
            REQUIRE(::usleep(50'000) == 0);
            break;
          case 1:
            REQUIRE(::nanosleep(&time, nullptr) == 0);
            break;
          case 2:
            REQUIRE(::poll(&polled, 1, 50) == 0);
            break;
          case 3:
            REQUIRE(::recv(pair.ends[0], &byte, 1, 0) == -1 && errno == EAGAIN);
            break;
          default:
            std::this_thread::sleep_for(50ms);
        }
      }));
    }
    join_all(fibers);
  });
  const auto passed = std::chrono::steady_clock::now() - begin;
  REQUIRE(passed >= 50ms);
  REQUIRE(passed < 2500ms);  // one after another: 5 seconds
}

// errno and the thread are those of before the call, though every other wake-up moves.
void pinned() {
  weft::Runtime runtime{{.workers = 3, .migrate_always = true}};
  runtime.run([] {
    std::vector<weft::Fiber<void>> fibers;
    for (int i = 0; i < 24; ++i) {
      fibers.push_back(weft::spawn([i] {
        const Pair pair;
        for (int round = 0; round < 100; ++round) {
          const pid_t before = ::gettid();
          int* const error = &errno;
          auto sender = weft::spawn([&] { REQUIRE(::send(pair.ends[1], "xy", 2, 0) == 2); });
          char byte = 0;
          *error = 4000 + i;
          REQUIRE(::recv(pair.ends[0], &byte, 1, 0) == 1);
          REQUIRE(::gettid() == before && &errno == error);
          REQUIRE(::recv(pair.ends[0], &byte, 1, 0) == 1);
          REQUIRE(::recv(pair.ends[0], &byte, 1, MSG_DONTWAIT) == -1 && *error == EAGAIN);
          REQUIRE(::usleep(20) == 0);
          REQUIRE(::gettid() == before);
          sender.join();
        }
      }));
    }
    join_all(fibers);
  });
}

// Readers and writers of the same descriptors, on several workers; nothing is lost.
void crowd() {
  weft::Runtime runtime{{.workers = 3}};
  runtime.run([] {
    const Pair pair;
    constexpr int kEach = 4, kBytes = 200'000;
    std::atomic<long> received{0};
    std::vector<weft::Fiber<void>> fibers;
    for (int i = 0; i < kEach; ++i) {
      fibers.push_back(weft::spawn([&] {
        const std::string data(kBytes, 'x');
        REQUIRE(::write(pair.ends[0], data.data(), data.size()) == kBytes);
      }));
      fibers.push_back(weft::spawn([&] {
        char buffer[999];
        while (received < long{kEach} * kBytes) {
          const ssize_t size = ::read(pair.ends[1], buffer, sizeof buffer);
          REQUIRE(size >= 0);
          if ((received += size) == long{kEach} * kBytes) REQUIRE(::shutdown(pair.ends[0], SHUT_WR) == 0);
        }
      }));
    }
    join_all(fibers);
    REQUIRE(received == long{kEach} * kBytes);
  });
}

// Who waits for a descriptor that is closed is told so, at whatever it waits.
void closing() {
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([] {
    const std::map<std::string, std::function<void(int)>> ways{
        {"close", [](int fd) { REQUIRE(::close(fd) == 0); }},
        {"dup2", [](int fd) { REQUIRE(::dup2(STDERR_FILENO, fd) == fd && ::close(fd) == 0); }},
        {"dup3", [](int fd) { REQUIRE(::dup3(STDERR_FILENO, fd, O_CLOEXEC) == fd && ::close(fd) == 0); }},
        {"close_range",
         [](int fd) { REQUIRE(::close_range(static_cast<unsigned>(fd), static_cast<unsigned>(fd), 0) == 0); }},
    };
    for (const auto& [name, close_it] : ways) {
      for (int round = 0; round < 30; ++round) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        std::atomic<int> begun{0};
        const auto reading = [&begun](int fd) {
          char byte = 0;
          ++begun;
          return ::recv(fd, &byte, 1, 0) == -1 ? errno : 0;
        };
        const auto polling = [&begun](int fd) {
          pollfd polled{fd, POLLIN, 0};
          ++begun;
          return ::poll(&polled, 1, -1) == 1 ? polled.revents : -1;
        };
        auto reader = weft::spawn(reading, ends[0]);
        auto second = weft::spawn(reading, ends[0]);
        auto poller = weft::spawn(polling, ends[0]);
        REQUIRE(eventually([&] { return begun == 3; }));
        if (round % 2 == 0) weft::sleep_for(100us);  // else one may be only about to wait
        close_it(ends[0]);
        if (name == "dup2" || name == "dup3") {
          // For a moment the number was stderr's: who was late saw that, and was told at the second close.
          const int seen[] = {reader.get(), second.get()};
          for (const int error : seen) REQUIRE(error == EBADF || error == ENOTSOCK);
          REQUIRE(poller.get() > 0);
        } else {
          REQUIRE(reader.get() == EBADF && second.get() == EBADF && poller.get() == POLLNVAL);
        }
        ::close(ends[1]);
      }
    }
  });
}

std::atomic<int> signals{0};

// A handler that runs while fibers wait does not end their calls: EINTR is not invented.
void interrupting() {
  struct sigaction action {};
  action.sa_handler = [](int) { ++signals; };  // no SA_RESTART
  REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
  weft::Runtime runtime{{.workers = 1}};
  runtime.run([] {
    const Pair pair;
    auto reader = weft::spawn([&] {
      char byte = 0;
      return ::recv(pair.ends[0], &byte, 1, 0);
    });
    auto sleeper = weft::spawn([] { return ::usleep(30'000); });
    for (int i = 0; i < 20; ++i) {
      weft::sleep_for(1ms);
      REQUIRE(::raise(SIGUSR1) == 0);
    }
    REQUIRE(::send(pair.ends[1], "x", 1, 0) == 1);
    REQUIRE(reader.get() == 1 && sleeper.get() == 0 && signals == 20);
  });
}

// A fiber that waits with a mutex locked is told of, once a place; others that want the mutex do not block the worker,
// of whatever type it is, though to the mutex they are all one thread.
void mutexes() {
  weft::Runtime runtime{{.workers = 1}};
  runtime.run([] {
    for (const int type : {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK}) {
      pthread_mutexattr_t attributes;
      ::pthread_mutexattr_init(&attributes);
      ::pthread_mutexattr_settype(&attributes, type);
      pthread_mutex_t mutex;
      ::pthread_mutex_init(&mutex, &attributes);
      const Pair pair;
      std::atomic<int> inside{0};
      int rounds = 0;
      weft::Event held;
      std::vector<weft::Fiber<void>> fibers;
      const auto use = [&](bool first) {
        REQUIRE(::pthread_mutex_lock(&mutex) == 0);
        if (type == PTHREAD_MUTEX_RECURSIVE) REQUIRE(::pthread_mutex_lock(&mutex) == 0);
        REQUIRE(++inside == 1);
        if (first) held.set();
        char byte = 0;
        REQUIRE(::recv(pair.ends[0], &byte, 1, 0) == 1);
        ++rounds;
        REQUIRE(--inside == 0);
        if (type == PTHREAD_MUTEX_RECURSIVE) REQUIRE(::pthread_mutex_unlock(&mutex) == 0);
        REQUIRE(::pthread_mutex_unlock(&mutex) == 0);
      };
      fibers.push_back(weft::spawn([&] { use(true); }));
      held.wait();
      for (int i = 0; i < 3; ++i) fibers.push_back(weft::spawn([&] { use(false); }));
      auto taster = weft::spawn([&] {
        REQUIRE(::pthread_mutex_trylock(&mutex) == EBUSY);
        timespec soon{};
        ::clock_gettime(CLOCK_REALTIME, &soon);
        REQUIRE(::pthread_mutex_timedlock(&mutex, &soon) == ETIMEDOUT);
        ::clock_gettime(CLOCK_MONOTONIC, &soon);
        REQUIRE(::pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
      });
      taster.get();
      REQUIRE(::send(pair.ends[1], "1234", 4, 0) == 4);
      join_all(fibers);
      REQUIRE(rounds == 4);
      REQUIRE(::pthread_mutex_trylock(&mutex) == 0 && ::pthread_mutex_unlock(&mutex) == 0);
      REQUIRE(::pthread_mutex_destroy(&mutex) == 0);
    }
    // Without one nothing is told.
    const Pair pair;
    auto reader = weft::spawn([&] {
      std::mutex mutex;
      { const std::lock_guard guard{mutex}; }
      char byte = 0;
      return ::recv(pair.ends[0], &byte, 1, 0);
    });
    weft::yield();
    REQUIRE(::send(pair.ends[1], "x", 1, 0) == 1);
    REQUIRE(reader.get() == 1);
  });
}

// A kill does not tear a C library's call to pieces: it takes effect behind it.
void killing() {
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([] {
    const Pair pair;
    weft::Event begun;
    std::atomic<bool> received{false};
    std::atomic<bool> survived{false};
    auto fiber = weft::spawn([&] {
      char byte = 0;
      begun.set();
      REQUIRE(::recv(pair.ends[0], &byte, 1, 0) == 1);
      received = true;
      weft::yield();
      survived = true;
    });
    begun.wait();
    fiber.kill();
    REQUIRE(::send(pair.ends[1], "x", 1, 0) == 1);
    fiber.join();
    REQUIRE(received && !survived);
  });
}

// Threads of a process in which fibers use the same descriptors and connect all the time never see flags that are
// not theirs.
void flags() {
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([] {
    std::atomic<bool> stop{false};
    std::atomic<int> shared{-1};
    std::atomic<int> wrong{0};
    std::thread watcher{[&] {
      while (!stop) {
        const int fd = shared;
        if (fd < 0) continue;
        const int seen = ::fcntl(fd, F_GETFL);
        if (seen >= 0 && (seen & O_NONBLOCK) != 0) ++wrong;
      }
    }};
    char name[32];
    std::snprintf(name, sizeof name, "weft-flags-%d", static_cast<int>(::getpid()));
    // A number of its own, kept open all the time: its description is each time another one's.
    const int kept = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
    for (int i = 0; i < 300; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      REQUIRE(::dup3(fd, kept, O_CLOEXEC) == kept);
      shared = kept;
      REQUIRE(weft::spawn([fd] {
                char address[16] = {AF_INET, 0, 0, 1, 127, 0, 0, 1};  // a port where nobody listens
                return ::connect(fd, reinterpret_cast<sockaddr*>(address), sizeof address);
              }).get() == -1);
      ::close(fd);
    }
    stop = true;
    watcher.join();
    ::close(kept);
    REQUIRE(wrong == 0);
  });
}

// As many as take turns on a worker, and each has its own.
void forking() {
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([] {
    std::atomic<bool> stop{false};
    std::vector<weft::Fiber<void>> busy;
    for (int i = 0; i < 4; ++i) {
      busy.push_back(weft::spawn([&] {
        const Pair pair;
        while (!stop) {
          auto sender = weft::spawn([&] { REQUIRE(::send(pair.ends[1], "x", 1, 0) == 1); });
          char byte = 0;
          REQUIRE(::recv(pair.ends[0], &byte, 1, 0) == 1);
          ::usleep(50);
          sender.join();
        }
      }));
    }
    for (int i = 0; i < 20; ++i) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        ::alarm(60);
        ::usleep(100);
        const Pair pair;
        REQUIRE((::fcntl(pair.ends[0], F_GETFL) & O_NONBLOCK) == 0);
        const long got = weft::Runtime{{.workers = 1}}.run([&] {
          char byte = 0;
          auto reader = weft::spawn([&] { return ::recv(pair.ends[0], &byte, 1, 0); });
          weft::yield();
          REQUIRE(::send(pair.ends[1], "x", 1, 0) == 1);
          return reader.get();
        });
        ::_exit(got == 1 ? 0 : 1);
      }
      int status = -1;
      while (::waitpid(child, &status, WNOHANG) == 0) ::usleep(200);
      REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    stop = true;
    join_all(busy);
  });
}

}  // namespace

int main(int, char** arguments) {
  const std::map<std::string, void (*)()> parts{{"many", many},
                                                {"pinned", pinned},
                                                {"crowd", crowd},
                                                {"closing", closing},
                                                {"interrupting", interrupting},
                                                {"mutexes", mutexes},
                                                {"killing", killing},
                                                {"flags", flags},
                                                {"forking", forking}};
  REQUIRE(weft::patch::active() && weft::patch::unpatched().empty());
  parts.at(arguments[1])();
  std::puts("done");
}
