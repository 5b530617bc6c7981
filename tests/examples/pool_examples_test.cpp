// The examples of pools of processes print what their texts say.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>

#include "support/program.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

TEST(PoolExamples, ProcessPool) {
  EXPECT_EQ(output_of_example("process_pool"),
            "9592 primes, 9592 as the callbacks counted them\n"
            "done by at most two processes: yes; by this one: no\n"
            "came back as it was thrown: dividing by zero\n"
            "a worker died by signal 9; the next task: 20\n");
}

TEST(PoolExamples, Pool) {
  EXPECT_EQ(output_of_example("pool"),
            "bakery: 6 rolls\n"
            "called back here with \"bakery: 2 loaves\"\n"
            "the last of 1000 squares is 1000000\n"
            "the first ten sum up to 385\n"
            "all of them, in any order, to 333833500\n"
            "bakery: 3 pretzels\n"
            "bakery: 1 cakes\n"
            "join() before close() is an error\n"
            "closed: no more work is taken\n"
            "workers left: 0\n");
}

TEST(PoolExamples, ElasticPool) {
  EXPECT_EQ(output_of_example("elastic_pool"),
            "before there is work: 1 worker\n"
            "eight tasks that wait for the door: 4 workers\n"
            "8 visitors, in 4 processes\n"
            "when they have been idle for a while: 1 worker\n");
}

TEST(PoolExamples, PoolServer) {
  EXPECT_EQ(output_of_example("pool_server"),
            "three clients, 3 processes, this one among them: no\n"
            "the fourth is waiting\n"
            "the first hears \"goodbye\" and leaves\n"
            "the fourth is served, by the process that served the first: yes\n"
            "it hears \"echo\"\n");
}

/// A text corpus, and what is in it.
class Corpus {
 public:
  Corpus() : folder_{std::filesystem::temp_directory_path() / ("weft-words-" + std::to_string(::getpid()))} {
    std::filesystem::create_directories(folder_);
    Random random{42};
    for (int file = 0; file < 60; ++file) {
      std::ofstream out{folder_ / ("part-" + std::to_string(file) + ".txt")};
      for (int i = 0; i < 3000; ++i) {
        std::string word = word_number(std::min(random.below(500), random.below(500)));  // small numbers are frequent
        ++counts_[word];
        ++words_;
        if (i % 11 == 0) word[0] = static_cast<char>(word[0] - 'a' + 'A');
        out << word << (i % 17 == 16 ? ".\n" : i % 5 == 4 ? ", " : " ");
      }
    }
  }
  ~Corpus() { std::filesystem::remove_all(folder_); }
  Corpus(const Corpus&) = delete;
  Corpus& operator=(const Corpus&) = delete;

  [[nodiscard]] std::string folder() const { return folder_.string(); }
  [[nodiscard]] std::string expected() const {
    std::vector<std::pair<long, std::string>> by_count;
    for (const auto& [word, count] : counts_) by_count.emplace_back(-count, word);
    std::sort(by_count.begin(), by_count.end());
    std::string text = std::to_string(words_) + " words in 60 files, " + std::to_string(counts_.size()) + " different\n";
    for (std::size_t i = 0; i < 5; ++i) text += by_count[i].second + ' ' + std::to_string(-by_count[i].first) + '\n';
    return text;
  }

 private:
  static std::string word_number(unsigned number) {
    static constexpr const char* kSyllables[] = {"ba", "ne", "li", "to", "shu", "gra", "pel", "mo"};
    std::string word = kSyllables[number % 8];
    for (number /= 8; number != 0; number /= 8) word += kSyllables[number % 8];
    return word;
  }

  std::filesystem::path folder_;
  std::map<std::string, long> counts_;
  long words_ = 0;
};

TEST(PoolExamples, WordCountOnAllStartMethods) {
  const Corpus corpus;
  for (const char* method : {"fork", "spawn", "forkserver"}) {
    EXPECT_EQ(output_of_example("word_count", {corpus.folder(), method}), corpus.expected()) << method;
  }
}

}  // namespace
}  // namespace weft::test
