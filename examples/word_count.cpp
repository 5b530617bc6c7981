// Teaches: map and reduce over files by a pool of processes, the same on every start method.
//
// word_count FOLDER [fork|spawn|forkserver] counts the words in all files of a folder: each file is a task, whose result, a map, comes back;
// the counts are added up here as they come. Printed are the number of words and the five most frequent.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/process/main.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/start_method.hpp>

namespace {

using Counts = std::map<std::string, long>;

Counts count_words(const std::filesystem::path& path) {
  std::ifstream file{path};
  if (!file) throw std::runtime_error{"cannot read " + path.string()};
  Counts counts;
  std::string word;
  for (std::istreambuf_iterator<char> at{file}, end; at != end; ++at) {
    const auto letter = static_cast<unsigned char>(*at);
    if (std::isalpha(letter) != 0) {
      word += static_cast<char>(std::tolower(letter));
    } else if (!word.empty()) {
      ++counts[std::exchange(word, {})];
    }
  }
  if (!word.empty()) ++counts[word];
  return counts;
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  if (argc < 2) {
    std::fprintf(stderr, "usage: word_count FOLDER [fork|spawn|forkserver]\n");
    return 2;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{argv[1]}) files.push_back(entry.path());

  weft::process::Pool pool{{.start_method = weft::process::start_method_named(argc > 2 ? argv[2] : "forkserver")}};
  Counts total;
  for (const Counts& counts : pool.imap_unordered(count_words, files, {.chunk_size = 4})) {
    for (const auto& [word, count] : counts) total[word] += count;
  }

  long words = 0;
  std::vector<std::pair<long, std::string>> by_count;
  for (const auto& [word, count] : total) {
    words += count;
    by_count.emplace_back(-count, word);
  }
  std::sort(by_count.begin(), by_count.end());
  std::printf("%ld words in %zu files, %zu different\n", words, files.size(), total.size());
  for (std::size_t i = 0; i < by_count.size() && i < 5; ++i) std::printf("%s %ld\n", by_count[i].second.c_str(), -by_count[i].first);
}
