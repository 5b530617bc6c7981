// What a process takes up, as the kernel counts it.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace bench {

struct ProcessMemory {
  std::int64_t resident_bytes = 0;    ///< VmRSS
  std::int64_t page_table_bytes = 0;  ///< VmPTE: invisible in RSS, paid all the same
  std::int64_t mappings = 0;          ///< lines of /proc/PID/maps; the kernel allows vm.max_map_count of them

  /// Of the process `pid`, a number or "self". Mappings are counted only when asked for: it is slow when they are many.
  static ProcessMemory of(const std::string& pid, bool count_mappings = false) {
    ProcessMemory memory;
    std::ifstream status("/proc/" + pid + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("VmRSS:", 0) == 0) memory.resident_bytes = std::stoll(line.substr(6)) * 1024;
      if (line.rfind("VmPTE:", 0) == 0) memory.page_table_bytes = std::stoll(line.substr(6)) * 1024;
    }
    if (count_mappings) {
      std::ifstream maps("/proc/" + pid + "/maps");
      for (std::string line; std::getline(maps, line);) ++memory.mappings;
    }
    return memory;
  }
};

/// The same of one of several processes that share pages, beside what is in proportion its own.
struct SharedOut {
  double proportional_bytes = 0;  ///< Pss: a page that n processes map counts for 1/n
  double private_bytes = 0;       ///< of pages that no other process maps
  double resident_bytes = 0;
  double page_table_bytes = 0;

  static SharedOut of(const std::string& pid) {
    SharedOut memory;
    std::ifstream rollup("/proc/" + pid + "/smaps_rollup");
    for (std::string line; std::getline(rollup, line);) {
      const auto kib = [&](const char* name) {
        const std::string prefix = std::string(name) + ':';
        return line.rfind(prefix, 0) == 0 ? std::stod(line.substr(prefix.size())) * 1024 : 0.0;
      };
      memory.proportional_bytes += kib("Pss");
      memory.private_bytes += kib("Private_Clean") + kib("Private_Dirty");
      memory.resident_bytes += kib("Rss");
    }
    memory.page_table_bytes = static_cast<double>(ProcessMemory::of(pid).page_table_bytes);
    return memory;
  }

  SharedOut& operator+=(const SharedOut& other) {
    proportional_bytes += other.proportional_bytes;
    private_bytes += other.private_bytes;
    resident_bytes += other.resident_bytes;
    page_table_bytes += other.page_table_bytes;
    return *this;
  }
};

}  // namespace bench
