// Looking names up: on a helper thread, where the resolver may wait as it likes.

#include <netdb.h>

#include <cerrno>
#include <memory>
#include <new>

#include "patch/call.hpp"
#include "patch/real.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(getaddrinfo);
WEFT_PATCH_REAL(getnameinfo);
WEFT_PATCH_REAL(gethostbyname);
WEFT_PATCH_REAL(gethostbyname2);
WEFT_PATCH_REAL(gethostbyaddr);
WEFT_PATCH_REAL(gethostbyname_r);
WEFT_PATCH_REAL(gethostbyname2_r);
WEFT_PATCH_REAL(gethostbyaddr_r);

namespace {

/// The result of those that keep it for the caller until its next call: one a thread, changed only while the fiber
/// that asked is running there, so that another fiber's question in between cannot overwrite what this one has not
/// read yet.
struct KeptHost {
  hostent host{};
  std::unique_ptr<char[]> room;
};
thread_local KeptHost kept;

/// `look_up` is one of the _r family, but for the buffer. h_errno and errno become what it leaves.
template <class LookUp>
hostent* keep(const Call& call, LookUp look_up) noexcept {
  constexpr std::size_t kEnough = 1024 * 1024;
  KeptHost found;
  hostent* result = nullptr;
  int error_of_host = NETDB_INTERNAL;
  const int error = call.on_helper(
      [&] {
        for (std::size_t size = 1024; size <= kEnough; size *= 2) {
          found.room.reset(new (std::nothrow) char[size]);
          if (!found.room) return ENOMEM;
          const int outcome = look_up(&found.host, found.room.get(), size, &result, &error_of_host);
          if (outcome != ERANGE) return outcome;
        }
        return ERANGE;
      },
      Helpers::Resolver);
  h_errno = error_of_host;
  if (error != 0) errno = error;
  if (!result) return nullptr;
  kept = std::move(found);
  return &kept.host;
}

template <class LookUp>
int on_resolver(const Call& call, LookUp look_up) noexcept {
  return call.on_helper(look_up, Helpers::Resolver);
}

}  // namespace

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** result) {
  // Numbers need nobody to ask.
  const bool immediate = hints && (hints->ai_flags & AI_NUMERICHOST);
  if (immediate || !on_fiber()) return real_getaddrinfo(name, service, hints, result);
  WEFT_PATCH_CALL("getaddrinfo");
  return on_resolver(call, [=] { return real_getaddrinfo(name, service, hints, result); });
}

WEFT_PATCHES int getnameinfo(const sockaddr* address, socklen_t size, char* host, socklen_t host_size, char* service,
                             socklen_t service_size, int flags) {
  if ((flags & NI_NUMERICHOST) || !on_fiber()) {
    return real_getnameinfo(address, size, host, host_size, service, service_size, flags);
  }
  WEFT_PATCH_CALL("getnameinfo");
  return on_resolver(call,
                     [=] { return real_getnameinfo(address, size, host, host_size, service, service_size, flags); });
}

WEFT_PATCHES hostent* gethostbyname(const char* name) {
  if (!on_fiber()) return real_gethostbyname(name);
  WEFT_PATCH_CALL("gethostbyname");
  return keep(call, [=](hostent* host, char* room, std::size_t size, hostent** result, int* error) {
    return real_gethostbyname_r(name, host, room, size, result, error);
  });
}

WEFT_PATCHES hostent* gethostbyname2(const char* name, int family) {
  if (!on_fiber()) return real_gethostbyname2(name, family);
  WEFT_PATCH_CALL("gethostbyname2");
  return keep(call, [=](hostent* host, char* room, std::size_t size, hostent** result, int* error) {
    return real_gethostbyname2_r(name, family, host, room, size, result, error);
  });
}

WEFT_PATCHES hostent* gethostbyaddr(const void* address, socklen_t address_size, int family) {
  if (!on_fiber()) return real_gethostbyaddr(address, address_size, family);
  WEFT_PATCH_CALL("gethostbyaddr");
  return keep(call, [=](hostent* host, char* room, std::size_t size, hostent** result, int* error) {
    return real_gethostbyaddr_r(address, address_size, family, host, room, size, result, error);
  });
}

WEFT_PATCHES int gethostbyname_r(const char* name, hostent* host, char* room, std::size_t size, hostent** result,
                                 int* error) {
  if (!on_fiber()) return real_gethostbyname_r(name, host, room, size, result, error);
  WEFT_PATCH_CALL("gethostbyname_r");
  return on_resolver(call, [=] { return real_gethostbyname_r(name, host, room, size, result, error); });
}

WEFT_PATCHES int gethostbyname2_r(const char* name, int family, hostent* host, char* room, std::size_t size,
                                  hostent** result, int* error) {
  if (!on_fiber()) return real_gethostbyname2_r(name, family, host, room, size, result, error);
  WEFT_PATCH_CALL("gethostbyname2_r");
  return on_resolver(call, [=] { return real_gethostbyname2_r(name, family, host, room, size, result, error); });
}

WEFT_PATCHES int gethostbyaddr_r(const void* address, socklen_t address_size, int family, hostent* host, char* room,
                                 std::size_t size, hostent** result, int* error) {
  if (!on_fiber()) return real_gethostbyaddr_r(address, address_size, family, host, room, size, result, error);
  WEFT_PATCH_CALL("gethostbyaddr_r");
  return on_resolver(
      call, [=] { return real_gethostbyaddr_r(address, address_size, family, host, room, size, result, error); });
}
