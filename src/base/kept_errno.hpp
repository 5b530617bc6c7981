#pragma once

namespace weft {

/// Gives errno back at the end of its scope: for destructors and the like, after which somebody may still read it.
/// Out of line, as errno's address must not be remembered over a change of thread.
class KeptErrno {
 public:
  KeptErrno() noexcept;
  ~KeptErrno();
  KeptErrno(const KeptErrno&) = delete;
  KeptErrno& operator=(const KeptErrno&) = delete;

 private:
  int error_;
};

}  // namespace weft
