// `--name value` arguments of a benchmark program.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// The command line as names and values; whatever does not start with `--` is positional.
/// A name given without a value (`--idle`) has the value "1".
class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (word.rfind("--", 0) != 0) {
        positional_.push_back(word);
      } else if (i + 1 < argc && std::string(argv[i + 1]).rfind("--", 0) != 0) {
        named_[word.substr(2)] = argv[++i];
      } else {
        named_[word.substr(2)] = "1";
      }
    }
  }

  std::uint64_t number(const std::string& name, std::uint64_t otherwise) const {
    const auto found = named_.find(name);
    return found == named_.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
  }

  double real(const std::string& name, double otherwise) const {
    const auto found = named_.find(name);
    return found == named_.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
  }

  std::string text(const std::string& name, const std::string& otherwise) const {
    const auto found = named_.find(name);
    return found == named_.end() ? otherwise : found->second;
  }

  bool has(const std::string& name) const { return named_.count(name) != 0; }

  /// The positional argument at `index`; ends the program with `usage` when it is missing.
  std::string positional(std::size_t index, const char* usage) const {
    if (index >= positional_.size()) {
      std::cerr << "usage: " << usage << "\n";
      std::exit(2);
    }
    return positional_[index];
  }

 private:
  std::vector<std::string> positional_;
  std::map<std::string, std::string> named_;
};

}  // namespace bench
