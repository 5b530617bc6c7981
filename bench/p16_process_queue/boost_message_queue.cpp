// Numbers through a boost::interprocess::message_queue of 1,024 messages; it has no other than bounded ones. Arguments:
// see crowd.hpp.
#include <boost/interprocess/ipc/message_queue.hpp>

#include <string>

#include "p16_process_queue/crowd.hpp"

int main(int argc, char** argv) {
  namespace ipc = boost::interprocess;
  const bench::Arguments arguments(argc, argv);
  const std::string name = "weft-bench-" + std::to_string(::getpid());
  ipc::message_queue queue(ipc::create_only, name.c_str(), 1024, sizeof(std::uint64_t));
  ipc::message_queue::remove(name.c_str());  // the children inherit the mapping
  bench::measure_crowd(
      arguments, [&queue](std::uint64_t number) { queue.send(&number, sizeof number, 0); },
      [&queue] {
        std::uint64_t number = 0;
        ipc::message_queue::size_type size = 0;
        unsigned priority = 0;
        queue.receive(&number, sizeof number, size, priority);
        return number;
      });
}
