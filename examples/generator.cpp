// Teaches: a function that yields values one at a time, and can be told something in between.
//
// A generator runs only while it is asked: each next() goes on to the next co_yield. So it may be infinite, and what
// nobody asks for is not computed. With send() the co_yield itself gives a value.
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/fiber/generator.hpp>
#include <weft/weft.hpp>

namespace {

weft::Generator<long> fibonacci() {
  for (long a = 0, b = 1;; b += std::exchange(a, b)) co_yield a;
}

/// Yields the average of what it was sent so far.
weft::Generator<double, double> average() {
  double sum = 0;
  for (int count = 0;; ++count) {
    const std::optional<double> sent = co_yield count == 0 ? 0 : sum / count;
    if (!sent) co_return;  // next() instead of send()
    sum += *sent;
  }
}

struct Folder {
  std::string name;
  std::vector<Folder> folders;
};

/// All names, depth first: a generator that delegates to others of its kind.
weft::Generator<std::string> names(const Folder& folder, std::string path) {
  path += folder.name + '/';
  co_yield path;
  for (const Folder& inner : folder.folders) co_yield weft::elements_of(names(inner, path));
}

struct File {
  ~File() { std::printf("the file is closed\n"); }
};

weft::Generator<int> lines() {
  const File file;
  for (int line = 1;; ++line) {
    bool damaged = false;
    try {
      co_yield line;
    } catch (const std::runtime_error& error) {
      std::printf("in line %d the generator is told: %s\n", line, error.what());
      damaged = true;
    }
    if (damaged) co_yield -line;
  }
}

}  // namespace

int main() {
  std::printf("fibonacci:");
  for (const long number : fibonacci()) {
    if (number > 50) break;
    std::printf(" %ld", number);
  }
  std::printf("\n");

  auto mean = average();
  mean.next();  // to its first co_yield, which can then be sent something
  for (const double value : {10.0, 20.0, 60.0}) std::printf("sent %.0f, average %.0f\n", value, *mean.send(value));
  std::printf("told nothing, it %s\n", mean.next() ? "goes on" : "ends");

  const Folder home{"home", {{"ann", {{"music", {}}}}, {"bob", {}}}};
  for (const std::string& name : names(home, "/")) std::printf("%s\n", name.c_str());

  auto reader = lines();
  reader.next();
  std::printf("line %d\n", *reader.next());
  std::printf("it answers %d\n", *reader.throw_(std::runtime_error{"damaged"}));
  reader.close();
  std::printf("closed, it %s\n", reader.next() ? "goes on" : "has ended");
}
