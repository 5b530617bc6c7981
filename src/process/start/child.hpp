#pragma once

#include <cstdint>
#include <string>

#include <weft/process/process.hpp>

namespace weft::detail {

class ProcessState;

/// What a child learns of itself, at the head of its parcel.
struct Birth {
  std::string name;
  std::string number;  // "1:2": the second child of the first one
  bool daemon = false;
  std::string parent_name;
  std::int32_t parent = 0;
  std::string authkey;
  StartMethod default_method = StartMethod::Forkserver;
  std::string folder;  // the working directory
  bool has_waits = false;  // behind all this comes the descriptor of the family's WaitBoard
};

/// How a child ends: with its static objects destroyed, or not.
enum class WayOut : bool { Exit, QuickExit };

/// In a child of fork(): becomes the process of this state, runs the object or, when null, the work, and ends.
/// `on_fiber`: the present stack is small.
[[noreturn]] void live_forked(ProcessState& state, Process* object, int lifeline, bool on_fiber) noexcept;

/// In a process that was made for it, with its standard input closed: receives what to do from the socket, does it and ends.
[[noreturn]] void live_sent(int socket, WayOut way_out) noexcept;

/// What somebody types is for the parent: from here on, end of file is read.
void close_standard_input() noexcept;

}  // namespace weft::detail
