#pragma once

#include <pthread.h>

#include <thread>
#include <utility>

#include "engine/thread_context.hpp"
#include "port/signals.hpp"

namespace weft::detail {

/// Starts a thread of weft's own: nobody joins it, it gets no signals of the program's, and is in no list of threads. `name`: at
/// most 15 characters. Throws what std::thread does when there are no more to be had.
template <class Body>
void start_engine_thread(const char* name, Body body) {
  const port::SignalsBlocked blocked;  // signals of the program are for its own threads
  std::thread thread{[body = std::move(body)]() mutable {
    mark_engine_thread();
    body();
  }};
  ::pthread_setname_np(thread.native_handle(), name);
  thread.detach();
}

}  // namespace weft::detail
