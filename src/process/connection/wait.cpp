#include <weft/process/wait.hpp>

#include <poll.h>

#include <cerrno>
#include <memory>
#include <string>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "engine/foreign_descriptors.hpp"
#include "engine/thread_context.hpp"
#include "port/socket_calls.hpp"

namespace weft::process {

using namespace weft::detail;

namespace {

[[noreturn]] void fail(int error, std::size_t place, int fd) {
  throw OSError{error, "wait for",
                "object " + std::to_string(place) + " (descriptor " + std::to_string(fd) + ')'};
}

class Crowd {
 public:
  explicit Crowd(std::span<const Waitable> objects) : count_{objects.size()}, polled_(count_ + 1) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (objects[i].fd() < 0) fail(EBADF, i, objects[i].fd());
      polled_[i] = {objects[i].fd(), POLLIN, 0};
    }
  }

  [[nodiscard]] std::vector<std::size_t> look() {
    std::vector<std::size_t> ready;
    const int result = port::sys_ppoll(polled_.data(), count_, 0);
    if (result < 0 && result != -EINTR)
      throw OSError{-result, "wait for", std::to_string(count_) + " objects"};
    for (std::size_t i = 0; i < count_ && result > 0; ++i) {
      if (polled_[i].revents & POLLNVAL) fail(EBADF, i, polled_[i].fd);
      if (polled_[i].revents != 0) ready.push_back(i);
    }
    return ready;
  }

  // False: the deadline has passed. True: look again. Throws what interrupts a wait.
  [[nodiscard]] bool wait(Deadline deadline) {
    Context& self = current_context();
    const Outcome outcome = self.is_fiber() ? wait_on_fiber(self, deadline) : wait_on_thread(self, deadline);
    if (outcome == kInterrupted) throw_interruption();
    return outcome != kTimedOut;
  }

 private:
  static constexpr Wait kRecord{.kind = WaitKind::Select, .outside = true};

  Outcome wait_on_thread(Context& self, Deadline deadline) {
    const std::vector<Outcome> outcomes(count_, kFired);
    Entry entry;
    if (!arm(self, entry, Interruptible::Yes)) throw_interruption();
    return static_cast<ThreadContext&>(self).park_on({polled_.data(), outcomes.data(), count_}, kRecord,
                                                     deadline);
  }

  // Each by its number, in the epoll instance for descriptors that are not weft's: whoever owns it, there it can be
  // waited for beside whatever else is done with it. Which of them it was, another look tells.
  Outcome wait_on_fiber(Context& self, Deadline deadline) {
    if (const int result = watch_foreign_descriptors(); result < 0)
      throw OSError{-result, "wait for", "descriptors"};
    const auto entries = std::make_unique<Entry[]>(count_);
    Entry armed;
    if (!arm(self, armed, Interruptible::Yes)) throw_interruption();
    std::size_t enlisted = 0;
    int failure = 0;
    for (; enlisted < count_ && failure == 0; ++enlisted) {
      share_wait(armed, entries[enlisted], 0);
      failure = enlist(enlisted, entries[enlisted]);
    }
    if (failure != 0) --enlisted;
    const auto withdraw_all = [&] {
      for (std::size_t i = 0; i < enlisted; ++i) ForeignDescriptor::at(number(i))->withdraw(entries[i]);
    };
    if (failure != 0 && disarm(self)) {
      withdraw_all();
      fail(-failure, enlisted, polled_[enlisted].fd);
    }
    // If one could not be enlisted, but another has been granted already: the wait is over before it begins.
    const Outcome outcome = park(self, kRecord, deadline);
    withdraw_all();
    return outcome;
  }

  int enlist(std::size_t place, Entry& entry) {
    ForeignDescriptor* const descriptor = ForeignDescriptor::at(number(place));
    return descriptor ? descriptor->enlist(number(place), entry, POLLIN) : -EMFILE;
  }

  [[nodiscard]] unsigned number(std::size_t place) const { return static_cast<unsigned>(polled_[place].fd); }

  std::size_t count_;
  std::vector<pollfd> polled_;  // and room for one more: see ThreadContext::Polled
};

}  // namespace

std::vector<std::size_t> wait(std::span<const Waitable> objects, Deadline deadline) {
  if (objects.empty()) {
    weft::sleep_until(deadline);
    return {};
  }
  Crowd crowd{objects};
  for (bool in_time = deadline != Deadline::already();; in_time = crowd.wait(deadline)) {
    std::vector<std::size_t> ready = crowd.look();
    if (!ready.empty() || !in_time) return ready;
  }
}

}  // namespace weft::process
