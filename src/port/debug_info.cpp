#include "port/debug_info.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>

namespace weft::port {

namespace {

// Of libdw's interface, which is stable, what is used here. The layouts are those of <elfutils/libdw.h> and <libdwfl.h>.
using Address = std::uint64_t;
struct Die {
  void* address;
  void* unit;
  void* abbreviation;
  long padding;
};
struct Attribute {
  unsigned code;
  unsigned form;
  unsigned char* value;
  void* unit;
};
struct Callbacks {
  int (*find_elf)(void*, void**, const char*, Address, char**, void**);
  int (*find_debuginfo)(void*, void**, const char*, Address, const char*, const char*, unsigned, char**);
  int (*section_address)(void*, void**, const char*, Address, const char*, unsigned, const void*, Address*);
  char** debuginfo_path;
};
constexpr int kInlinedSubroutine = 0x1d;
constexpr unsigned kName = 0x03, kCallFile = 0x58, kCallLine = 0x59, kLinkageName = 0x6e;

// Debug information of its own file only: looking elsewhere may mean asking servers.
int find_no_other_file(void*, void**, const char*, Address, const char*, const char*, unsigned, char**) { return -1; }

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace

struct DebugInfo::Library {
  void* (*begin)(const Callbacks*);
  void (*end)(void*);
  int (*report)(void*, int);
  int (*report_end)(void*, void*, void*);
  void* (*module_of)(void*, Address);
  const char* (*name_of)(void*, Address);
  Die* (*unit_by_table)(void*, Address, Address*);
  Die* (*next_unit)(void*, Die*, Address*);
  int (*has_address)(Die*, Address);
  void* (*line_of)(Die*, Address);
  const char* (*file_of_line)(void*, void*, void*);
  int (*number_of_line)(void*, int*);
  int (*scopes_of_address)(Die*, Address, Die**);
  int (*scopes_of_die)(Die*, Die**);
  int (*tag)(Die*);
  Attribute* (*attribute)(Die*, unsigned, Attribute*);
  Attribute* (*inherited)(Die*, unsigned, Attribute*);
  const char* (*text)(Attribute*);
  int (*number)(Attribute*, std::uint64_t*);
  int (*files)(Die*, void**, std::size_t*);
  const char* (*file)(void*, std::size_t, void*, void*);
  Callbacks callbacks{};

  bool load() {
    void* dw = ::dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!dw) return false;
    callbacks.find_debuginfo = find_no_other_file;
    return find(dw, "dwfl_linux_proc_find_elf", callbacks.find_elf) && find(dw, "dwfl_begin", begin) &&
           find(dw, "dwfl_end", end) && find(dw, "dwfl_linux_proc_report", report) &&
           find(dw, "dwfl_report_end", report_end) && find(dw, "dwfl_addrmodule", module_of) &&
           find(dw, "dwfl_module_addrname", name_of) && find(dw, "dwfl_module_addrdie", unit_by_table) &&
           find(dw, "dwfl_module_nextcu", next_unit) && find(dw, "dwarf_haspc", has_address) &&
           find(dw, "dwarf_getsrc_die", line_of) && find(dw, "dwarf_linesrc", file_of_line) &&
           find(dw, "dwarf_lineno", number_of_line) &&
           find(dw, "dwarf_getscopes", scopes_of_address) && find(dw, "dwarf_getscopes_die", scopes_of_die) &&
           find(dw, "dwarf_tag", tag) && find(dw, "dwarf_attr", attribute) && find(dw, "dwarf_formudata", number) &&
           find(dw, "dwarf_attr_integrate", inherited) && find(dw, "dwarf_formstring", text) &&
           find(dw, "dwarf_getsrcfiles", files) && find(dw, "dwarf_filesrc", file);
  }

  struct Unit {
    Die* die = nullptr;
    Address bias = 0;  // what lies between its addresses and those of the process
  };

  /// The compilation unit of an instruction: by the table of addresses, which Clang does not write, or one after another.
  [[nodiscard]] Unit unit_of(void* module, Address address) const {
    Unit unit;
    unit.die = unit_by_table(module, address, &unit.bias);
    if (unit.die) return unit;
    do {
      unit.die = next_unit(module, unit.die, &unit.bias);
    } while (unit.die && has_address(unit.die, address - unit.bias) <= 0);
    return unit;
  }

  void add_line(Die& unit, Address address, std::vector<SourceLine>& lines) const {
    void* const line = line_of(&unit, address);
    int place = 0;
    if (!line || number_of_line(line, &place) != 0) return;
    if (const char* name = file_of_line(line, nullptr, nullptr)) lines.push_back({name, place, {}});
  }

  /// Where an inlined function was called.
  [[nodiscard]] SourceLine call_site(Die& unit, Die& inlined) const {
    Attribute found{};
    std::uint64_t line = 0;
    std::uint64_t file_number = 0;
    void* all = nullptr;
    std::size_t count = 0;
    if (!attribute(&inlined, kCallLine, &found) || number(&found, &line) != 0) return {};
    if (!attribute(&inlined, kCallFile, &found) || number(&found, &file_number) != 0) return {};
    if (files(&unit, &all, &count) != 0 || file_number >= count) return {};
    const char* name = file(all, file_number, nullptr, nullptr);
    return name ? SourceLine{name, static_cast<int>(line), {}} : SourceLine{};
  }

  [[nodiscard]] std::string name_of_inlined(Die& inlined) const {
    Attribute found{};
    if (inherited(&inlined, kLinkageName, &found)) {
      if (const char* name = text(&found)) return demangled(name);
    }
    const char* name = inherited(&inlined, kName, &found) ? text(&found) : nullptr;
    return name ? name : "";
  }

  void add_call_sites(Die& unit, Address address, std::vector<SourceLine>& lines) const {
    Die* scopes = nullptr;
    if (scopes_of_address(&unit, address, &scopes) <= 0) return;
    Die* around = nullptr;
    const int count = scopes_of_die(&scopes[0], &around);
    for (int i = 0; i < count; ++i) {
      if (tag(&around[i]) != kInlinedSubroutine) continue;
      if (!lines.empty() && lines.back().inlined.empty()) lines.back().inlined = name_of_inlined(around[i]);
      if (SourceLine site = call_site(unit, around[i]); site.line != 0) lines.push_back(std::move(site));
    }
    std::free(around);
    std::free(scopes);
  }

  // Not a static object that is made at its first use: a child of fork() could find that half-way, and wait for ever. Two that come at
  // once both look, and the second one's is dropped.
  static const Library* loaded() {
    static std::atomic<const Library*> known{nullptr};
    static const Library missing{};
    const Library* library = known.load(std::memory_order_acquire);
    if (!library) {
      auto fresh = std::make_unique<Library>();
      const Library* const found = fresh->load() ? fresh.get() : &missing;
      // Release: whoever finds it sees what it holds.
      if (known.compare_exchange_strong(library, found, std::memory_order_acq_rel, std::memory_order_acquire)) {
        library = found;
        if (found != &missing) (void)fresh.release();
      }
    }
    return library == &missing ? nullptr : library;
  }
};

DebugInfo::DebugInfo() : library_{Library::loaded()} {
  if (!library_) return;
  session_ = library_->begin(&library_->callbacks);
  if (!session_) return;
  if (library_->report(session_, ::getpid()) != 0 || library_->report_end(session_, nullptr, nullptr) != 0) {
    library_->end(session_);
    session_ = nullptr;
  }
}

DebugInfo::~DebugInfo() {
  if (session_) library_->end(session_);
}

std::vector<SourceLine> DebugInfo::lines_of(std::uintptr_t address) const {
  std::vector<SourceLine> lines;
  void* module = session_ ? library_->module_of(session_, address) : nullptr;
  if (!module) return lines;
  const Library::Unit unit = library_->unit_of(module, address);
  if (!unit.die) return lines;
  library_->add_line(*unit.die, address - unit.bias, lines);
  library_->add_call_sites(*unit.die, address - unit.bias, lines);
  return lines;
}

std::string DebugInfo::function_of(std::uintptr_t address) const {
  if (void* module = session_ ? library_->module_of(session_, address) : nullptr) {
    if (const char* name = library_->name_of(module, address)) return demangled(name);
  }
  Dl_info info{};
  return ::dladdr(reinterpret_cast<void*>(address), &info) != 0 && info.dli_sname ? demangled(info.dli_sname) : std::string{};
}

std::string demangled(const char* name) {
  int status = 0;
  char* plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string text = plain ? plain : name;
  std::free(plain);
  return text;
}

}  // namespace weft::port
