#include "support/leaks.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "support/eventually.hpp"

namespace weft::test {

namespace {

void for_each_entry(const std::string& folder, const std::function<void(const std::string&)>& visit) {
  DIR* directory = ::opendir(folder.c_str());
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') visit(folder + "/" + entry->d_name);
  }
  ::closedir(directory);
}

std::string link_target(const std::string& path) {
  char target[512];
  const auto length = ::readlink(path.c_str(), target, sizeof target);
  return length < 0 ? std::string{} : std::string(target, static_cast<std::size_t>(length));
}

/// Sockets and pipes without their numbers.
std::string kind_of(const std::string& target) {
  const auto number = target.find(":[");
  return target.starts_with("anon_inode") || number == std::string::npos ? target : target.substr(0, number);
}

bool no_more_than(const std::map<std::string, int>& now, const std::map<std::string, int>& before) {
  return std::all_of(now.begin(), now.end(), [&](const auto& entry) {
    const auto then = before.find(entry.first);
    return then != before.end() && entry.second <= then->second;
  });
}

Holdings at_begin;

}  // namespace

Holdings Holdings::now() {
  Holdings held;
  for_each_entry("/proc/self/task", [&](const std::string& path) {
    std::string name;
    std::getline(std::ifstream{path + "/comm"}, name);
    if (!name.empty() && !name.starts_with("weft-")) ++held.threads[name];
  });
  for_each_entry("/proc/self/fd", [&](const std::string& path) {
    const std::string target = kind_of(link_target(path));
    // The folder being read, and what was closed meanwhile.
    if (target.empty() || target.ends_with("/fd")) return;
    if (target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]") return;
    // In which the processes of a family tell what they wait for: from the first process lock or child on.
    if (target.starts_with("/memfd:weft-waits")) return;
    ++held.descriptors[target];
  });
  return held;
}

std::string Holdings::describe() const {
  std::string text;
  for (const auto& [name, count] : threads) text += "thread " + name + " x " + std::to_string(count) + "\n";
  for (const auto& [name, count] : descriptors) text += "descriptor " + name + " x " + std::to_string(count) + "\n";
  return text;
}

int count_threads() {
  int count = 0;
  for_each_entry("/proc/self/task", [&](const std::string&) { ++count; });
  return count;
}

int count_descriptors() {
  int count = 0;
  for_each_entry("/proc/self/fd", [&](const std::string&) { ++count; });
  return count - 1;  // the folder itself
}

void LeakFree::SetUpTestSuite() {
  // ThreadSanitizer adds a thread of its own when the program makes its first.
  pid_t id = 0;
  std::thread{[&] { id = ::gettid(); }}.join();
  const std::string entry = "/proc/self/task/" + std::to_string(id);
  // Joined, it may stand there for a moment, and must not be counted as one of those at the beginning.
  ASSERT_TRUE(eventually([&] { return ::access(entry.c_str(), F_OK) != 0; }, 5s));
  at_begin = Holdings::now();
}

void LeakFree::TearDownTestSuite() {
  // A joined thread may stand in /proc for a moment. What was there at the beginning and has gone since is no leak: what an earlier suite
  // used, and weft's own threads had not let go of.
  const auto has_not_grown = [] {
    const Holdings now = Holdings::now();
    return no_more_than(now.threads, at_begin.threads) && no_more_than(now.descriptors, at_begin.descriptors);
  };
  if (eventually(has_not_grown, 5s)) return;
  ADD_FAILURE() << "the suite began with\n" << at_begin.describe() << "and ended with\n" << Holdings::now().describe();
}

}  // namespace weft::test
