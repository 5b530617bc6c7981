#pragma once

#include <cstdint>
#include <source_location>

#include <weft/process/semaphore.hpp>

namespace weft::process {

/// A process::Semaphore that never has more permits than it began with: giving back one that was not taken is an error. And one that
/// knows which process has which permits, so that they do not end with it.
///
/// Semantics:     after Python multiprocessing.BoundedSemaphore: release() throws InvalidStateError instead of
///                exceeding the first value, and adds nothing. It gives back what the calling process acquired; if that has
///                nothing, what its parent has, and at last what any other has.
/// Death:         permits of a process that ends, killed or not, are given back, and holder_died() tells it: what they
///                stand for may be half changed. That stays so until recovered(). Noticed as soon as the process has ended if
///                somebody has waited for a permit for some 20 ms, else in at most 0.1 s, or by who tries in vain. The end of
///                the thread that acquired it, in a process that goes on, is not, nor a call of exec. Who acquires a permit for
///                another process to release has it till then; if that is not his child, and others have permits, it may be theirs
///                that is given back, and known as theirs no longer. (System V's semaphores do this with SEM_UNDO, and do not
///                tell; Python's do not.) Of one with more than 1,024 permits those of the dead are lost.
/// Thread-safety, blocking, ordering: those of process::Semaphore. Processes must be of one pid namespace and one time
///                namespace; received in another one it is a ProtocolError.
/// Cost:          uncontended calls are one atomic operation, and a look at each permit that is taken, or, to release one, that is
///                another process's; a page of shared memory or three, a mapping and a descriptor in each process.
class BoundedSemaphore : public Semaphore {
 public:
  /// Throws: InvalidStateError for a count above max_value(); OSError when there is no memory or no descriptor to be
  /// had.
  explicit BoundedSemaphore(std::uint32_t permits = 1, const char* name = nullptr,
                            std::source_location site = std::source_location::current())
      : Semaphore{Bounded::Yes, permits, name, site} {}

  /// Whether a process ended that had permits, since the last recovered().
  [[nodiscard]] bool holder_died() const noexcept;
  /// What the permits stand for is whole again.
  void recovered() noexcept;

 private:
  friend struct Transfer<BoundedSemaphore>;

  using Semaphore::Semaphore;
};

template <>
struct Transfer<BoundedSemaphore> {
  static void send(Outgoing& out, const BoundedSemaphore& semaphore);
  static BoundedSemaphore receive(Incoming& in);
};

}  // namespace weft::process
