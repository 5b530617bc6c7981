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

}  // namespace bench
