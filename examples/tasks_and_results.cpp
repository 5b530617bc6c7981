// tasks_and_results: worker processes between two queues.
//
// A process puts the tasks into one queue and ends: they are in shared memory, so nobody need have taken any. Three
//                                                   workers take
// tasks from there and put their results, lines of text, into the other queue. They are daemons: they work for ever,
// and end with this program. join() on the queue of tasks waits until a worker has said task_done() for each; then all
// results are there, and are parsed.
#include <cstdio>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/joinable_queue.hpp>
#include <weft/process/main.hpp>
#include <weft/process/process.hpp>
#include <weft/process/queue.hpp>

namespace {

struct Task {
  int number = 0;
  std::string text;
};

using Tasks = weft::process::JoinableQueue<Task>;
using Results = weft::process::Queue<std::string>;

void produce(Tasks tasks) {
  const std::string words[] = {"a queue", "between processes", "holds what was put",
                               "as soon as put returns"};
  for (int i = 0; i < 20; ++i) tasks.put({i, words[i % 4]});
}

// Runs until the program ends.
void work(Tasks tasks, Results results) {
  for (;;) {
    const Task task = tasks.get();
    results.put(std::to_string(task.number) + ": " + std::to_string(task.text.size()) + " characters");
    tasks.task_done();
  }
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  Tasks tasks;
  Results results;

  weft::Process producer{produce, tasks};
  producer.start();
  producer.join();
  std::cout << "the producer has ended, " << tasks.qsize() << " tasks are in the queue\n";

  std::vector<weft::Process> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back(work, tasks, results);
    workers.back().set_daemon(true);
    workers.back().start();
  }
  tasks.join();
  std::cout << "every task is done, " << results.qsize() << " results are in the other queue\n";

  std::set<int> numbers;
  int characters = 0;
  while (const auto line = results.try_get()) {
    int number = 0, count = 0;
    if (std::sscanf(line->c_str(), "%d: %d characters", &number, &count) != 2) return 1;
    numbers.insert(number);
    characters += count;
  }
  std::cout << "parsed: tasks " << *numbers.begin() << " to " << *numbers.rbegin() << ", " << numbers.size()
            << " of them, " << characters << " characters in all\n";
  try {
    tasks.task_done();
  } catch (const weft::InvalidStateError& error) {
    std::cout << "once more: " << error.what() << '\n';
  }
}
