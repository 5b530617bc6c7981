// As the library is loaded: what did it fail to replace?

#include <dlfcn.h>
#include <pthread.h>

#include <cstdio>

#include "patch/call.hpp"
#include "patch/flags.hpp"
#include "patch/locks.hpp"
#include "patch/message.hpp"

namespace weft::patch {

namespace {

// clang-format off
constexpr const char* kNames[] = {
    "connect", "accept", "accept4",
    "read", "__read_chk", "readv", "write", "writev", "sendfile", "sendfile64",
    "recv", "__recv_chk", "recvfrom", "__recvfrom_chk", "recvmsg", "recvmmsg",
    "send", "sendto", "sendmsg", "sendmmsg",
    "poll", "__poll_chk", "ppoll", "__ppoll_chk", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "sleep", "usleep", "nanosleep", "clock_nanosleep",
    "getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname2", "gethostbyaddr",
    "gethostbyname_r", "gethostbyname2_r", "gethostbyaddr_r",
    "close", "dup2", "dup3", "close_range", "closefrom", "fcntl", "fcntl64", "ioctl",
    "pthread_mutex_lock", "pthread_mutex_trylock", "pthread_mutex_timedlock", "pthread_mutex_clocklock",
    "pthread_mutex_unlock",
};
// clang-format on
constexpr std::size_t kCount = sizeof kNames / sizeof *kNames;

const char* unpatched[kCount];
std::size_t unpatched_count = 0;

const void* object_of(const void* address, const char** file = nullptr) noexcept {
  Dl_info info{};
  if (!address || ::dladdr(address, &info) == 0) return nullptr;
  if (file) *file = info.dli_fname;
  return info.dli_fbase;
}

/// A sanitizer's function calls the next one of its name, which is ours. It has a second name beside.
bool is_sanitizers(const char* name, const void* object) noexcept {
  char second[64];
  std::snprintf(second, sizeof second, "__interceptor_%s", name);
  const void* const found = ::dlsym(RTLD_DEFAULT, second);
  return found && object_of(found) == object;
}

void say_inactive() noexcept {
  Message message;
  message.add(
      "weft-patch: inactive, as there is no weft in this program whose fibers it could serve. One that contains "
      "libweft.a has to export the engine: link it with -Wl,--export-dynamic-symbol=weft_foreign_calls (weft::weft of "
      "CMake and "
      "pkg-config do), or with libweft.so. WEFT_PATCH=quiet silences this\n");
  message.write();
}

void check_names() noexcept {
  const void* const self = object_of(reinterpret_cast<const void*>(&check_names));
  Message message;
  message.add(
      "weft-patch: these calls will block the workers of fibers, as another definition comes before the patched one:");
  for (const char* const name : kNames) {
    const char* file = "an unknown place";
    const void* const object = object_of(::dlsym(RTLD_DEFAULT, name), &file);
    if (object == self || is_sanitizers(name, object)) continue;
    message.add("%s %s (%s)", unpatched_count == 0 ? "" : ",", name, file);
    unpatched[unpatched_count++] = name;
  }
  message.add(". Preload libweft-patch.so, or link it before them. WEFT_PATCH=quiet silences this\n");
  if (unpatched_count > 0 && !is_quiet()) message.write();
}

void forget_parent() noexcept {
  FlagRoom::forget();
  WaitingWithLocks::forget_all();
}

[[gnu::constructor]] void start() noexcept {
  ::pthread_atfork(nullptr, nullptr, forget_parent);
  if (!engine()) {
    if (!is_quiet()) say_inactive();
    return;
  }
  check_names();
  engine()->patched(unpatched, unpatched_count);
}

}  // namespace

}  // namespace weft::patch
