#include "patch/message.hpp"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace weft::patch {

void Message::add(const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  const int added = std::vsnprintf(text_ + size_, sizeof text_ - size_, format, arguments);
  va_end(arguments);
  if (added > 0) size_ = std::min(size_ + static_cast<std::size_t>(added), sizeof text_ - 1);
}

void Message::add_place(const void* address) noexcept {
  Dl_info info{};
  if (::dladdr(address, &info) == 0 || !info.dli_fname) return add("%p", address);
  const char* const slash = std::strrchr(info.dli_fname, '/');
  const char* const object = slash ? slash + 1 : info.dli_fname;
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  if (info.dli_sname) {
    add("%s(%s+%#zx)", object, info.dli_sname,
        static_cast<std::size_t>(at - reinterpret_cast<std::uintptr_t>(info.dli_saddr)));
  } else {
    add("%s+%#zx", object, static_cast<std::size_t>(at - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
  }
}

// Past our own write(): the message is about a fiber that is in the midst of something.
void Message::write() const noexcept {
  ::syscall(SYS_write, STDERR_FILENO, text_, size_);
}

bool is_quiet() noexcept {
  const char* const wish = std::getenv("WEFT_PATCH");
  return wish && std::strcmp(wish, "quiet") == 0;
}

}  // namespace weft::patch
