#include <weft/detail/queue_core.hpp>

#include <string>

namespace weft::detail {

void throw_queue_shut_down(const char* operation) {
  throw ShutDown{std::string{operation} + " a queue that is shut down"};
}

void throw_task_done_too_often() {
  throw InvalidStateError{"task_done() on a queue: called more often than items were put"};
}

}  // namespace weft::detail
