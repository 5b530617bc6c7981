#include <weft/detail/sent_function.hpp>

#include <elf.h>
#include <link.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <weft/base/error.hpp>

#include "engine/symbols.hpp"
#include "process/sending/code_place.hpp"

namespace weft::detail {
namespace {

struct Code {
  std::uintptr_t begin;
  std::uintptr_t end;

  bool operator==(const Code&) const = default;
};

/// One loaded program or library.
struct Module {
  std::uintptr_t base = 0;
  std::uint64_t identity = 0;  // equal in every process that loaded the same build
  std::vector<Code> code;      // what may be executed
  std::string path;            // empty: the program's own

  [[nodiscard]] bool holds(std::uintptr_t address) const noexcept {
    for (const Code& range : code)
      if (address >= range.begin && address < range.end) return true;
    return false;
  }
  bool operator==(const Module&) const = default;
};

struct Modules {
  std::vector<Module> list;
  const Modules* before = nullptr;  // what was loaded earlier: somebody may still read it
};

class Fingerprint {
 public:
  void add(const void* bytes, std::size_t size) noexcept {
    const auto* byte = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < size; ++i) value_ = (value_ ^ byte[i]) * 0x100000001b3;  // FNV-1a
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

bool add_build_id(const dl_phdr_info& info, const ElfW(Phdr) & header, Fingerprint& fingerprint) {
  const char* at = reinterpret_cast<const char*>(info.dlpi_addr + header.p_vaddr);
  const char* const end = at + header.p_memsz;
  const auto rounded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const char* const name = at + sizeof note;
    const char* const text = name + rounded(note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      fingerprint.add(text, note.n_descsz);
      return true;
    }
    at = text + rounded(note.n_descsz);
  }
  return false;
}

/// For what was linked without a build-id: the file itself.
void add_file(const dl_phdr_info& info, Fingerprint& fingerprint) {
  const char* const path = info.dlpi_name && *info.dlpi_name ? info.dlpi_name : "/proc/self/exe";
  struct stat file {};
  if (::stat(path, &file) != 0) {
    fingerprint.add(path, std::strlen(path));
    return;
  }
  fingerprint.add(&file.st_dev, sizeof file.st_dev);
  fingerprint.add(&file.st_ino, sizeof file.st_ino);
  fingerprint.add(&file.st_size, sizeof file.st_size);
  fingerprint.add(&file.st_mtim, sizeof file.st_mtim);
}

int add_module(dl_phdr_info* info, std::size_t, void* modules) {
  Module module;
  module.base = info->dlpi_addr;
  Fingerprint fingerprint;
  bool identified = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0) {
      module.code.push_back({module.base + header.p_vaddr, module.base + header.p_vaddr + header.p_memsz});
    } else if (header.p_type == PT_NOTE && !identified) {
      identified = add_build_id(*info, header, fingerprint);
    }
  }
  if (module.code.empty()) return 0;
  if (!identified) add_file(*info, fingerprint);
  module.identity = fingerprint.value();
  if (info->dlpi_name) module.path = info->dlpi_name;
  static_cast<std::vector<Module>*>(modules)->push_back(std::move(module));
  return 0;
}

/// What is loaded, as of the last look. A list is never changed or freed once it is here, so that it is read without a lock; a program
/// that loads and unloads libraries keeps a few small ones.
std::atomic<const Modules*> current{nullptr};

// Without a lock, which a child of fork() could find held: two who look at once both publish what they found. What is found as it was is
// not kept once more: there may be many calls of code that no module holds.
const Modules& look_again() {
  auto fresh = std::make_unique<Modules>();
  ::dl_iterate_phdr(add_module, &fresh->list);
  const Modules* const known = current.load(std::memory_order_acquire);
  if (known && known->list == fresh->list) return *known;
  Modules* const modules = fresh.release();
  modules->before = current.load(std::memory_order_relaxed);
  // Release: whoever reads the pointer sees the list.
  while (!current.compare_exchange_weak(modules->before, modules, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return *modules;
}

template <class Matches>
const Module* find_in(const Modules& modules, Matches matches) {
  for (const Module& module : modules.list)
    if (matches(module)) return &module;
  return nullptr;
}

template <class Matches>
const Module* find_module(Matches matches) {
  const Modules* const known = current.load(std::memory_order_acquire);
  const Module* const found = known ? find_in(*known, matches) : nullptr;
  return found ? found : find_in(look_again(), matches);
}

}  // namespace

CodePlace code_place(std::uintptr_t address) {
  const Module* const module = find_module([&](const Module& candidate) { return candidate.holds(address); });
  return module ? CodePlace{module->identity, address - module->base} : CodePlace{0, address};
}

std::uintptr_t address_of(CodePlace place) {
  if (place.module == 0) return 0;
  const Module* const module = find_module([&](const Module& candidate) { return candidate.identity == place.module; });
  return module && module->holds(module->base + place.offset) ? module->base + place.offset : 0;
}

std::string name_of_module(std::uint64_t identity) {
  const Module* const module = find_module([&](const Module& candidate) { return candidate.identity == identity; });
  if (!module) return {};
  return module->path.empty() ? std::string{program_invocation_short_name} : module->path.substr(module->path.rfind('/') + 1);
}

void send_function(process::Outgoing& out, void (*function)()) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  std::uint64_t sent[2] = {0, 0};
  if (function != nullptr) {
    const Module* const module = find_module([&](const Module& candidate) { return candidate.holds(address); });
    if (!module)
      throw InvalidStateError{"sending the function " + symbol(address) +
                              ": it is in no loaded program or library, but in memory made at run time, where another process cannot find it"};
    sent[0] = module->identity;
    sent[1] = address - module->base;
  }
  out.write(sent, sizeof sent);
}

void (*receive_function(process::Incoming& in))() {
  std::uint64_t sent[2];
  in.read(sent, sizeof sent);
  if (sent[0] == 0 && sent[1] == 0) return nullptr;
  const Module* const module = find_module([&](const Module& candidate) { return candidate.identity == sent[0]; });
  if (!module)
    throw ProtocolError{"receiving a function: the program or library that holds it is not loaded in this process, or is another build of it; "
                        "run the same build in both processes, and load the same libraries before"};
  if (!module->holds(module->base + sent[1]))
    throw ProtocolError{"receiving a function: there is no code at its offset; was it sent as another type?"};
  return reinterpret_cast<void (*)()>(module->base + sent[1]);
}

}  // namespace weft::detail
