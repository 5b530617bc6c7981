// Teaches: to keep what processes write apart.
//
// Ten processes write a line each, word by word, to one stream. Without a lock the words of different lines are
// mixed; with a lock that all ten share, each line is whole. In which order the lines come is still nobody's choice.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include <weft/process/barrier.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/process.hpp>
#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

constexpr int kProcesses = 10;

weft::process::Lock line{"line"};
weft::process::Barrier start{kProcesses};

// Unbuffered: each word is there at once.
void write(const std::string& word) {
  [[maybe_unused]] const auto bytes = ::write(STDOUT_FILENO, word.data(), word.size());
}

void write_line(int number) {
  write("process");
  const std::string words[] = {" number ", std::to_string(number), " was", " here"};
  for (const std::string& word : words) {
    weft::sleep_for(10ms);
    write(word);
  }
  write("\n");
}

void run_ten(void (*job)(int)) {
  std::vector<weft::Process> processes;
  for (int i = 0; i < kProcesses; ++i) {
    processes.push_back(weft::Process{weft::fork, [job, i] {
                                        start.wait();  // all at once
                                        job(i);
                                      }}.start());
  }
  for (weft::Process& one : processes) one.join();
}

}  // namespace

int main() {
  write("without a lock:\n");
  run_ten(write_line);
  write("with a lock:\n");
  run_ten([](int number) {
    const std::lock_guard guard{line};
    write_line(number);
  });
}
