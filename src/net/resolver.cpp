#include <weft/net/resolver.hpp>

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include <weft/sync/event.hpp>

#include "engine/helper_pool.hpp"

namespace weft {

namespace {

// One question and its answer. Shared by the asker, who may give up, and the helper, who cannot.
struct Lookup {
  // Written before it is handed to a helper.
  std::string host;
  std::string service;
  addrinfo hints{};

  // Written by the helper before `done`.
  int code = 0;
  int error = 0;  // errno, when code is EAI_SYSTEM
  std::vector<Address> addresses;

  Event done;
};

void append_unique(std::vector<Address>& addresses, const Address& address) {
  if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
}

void look_up(Lookup& lookup) {
  addrinfo* list = nullptr;
  lookup.code = ::getaddrinfo(lookup.host.empty() ? nullptr : lookup.host.c_str(), lookup.service.c_str(), &lookup.hints,
                              &list);
  lookup.error = errno;
  if (lookup.code != 0) return;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{list, &::freeaddrinfo};
  for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    append_unique(lookup.addresses, Address::from_sockaddr(entry->ai_addr, entry->ai_addrlen));
  }
  if (lookup.addresses.empty()) lookup.code = EAI_NODATA;
}

std::string describe(std::string_view host, std::string_view service) {
  return "resolve " + std::string{host.empty() ? "any host" : host} + (service.empty() ? "" : ":") + std::string{service};
}

std::optional<std::uint16_t> numeric_port(std::string_view service) {
  std::uint16_t port = 0;
  if (service.empty()) return port;
  const auto [end, error] = std::from_chars(service.data(), service.data() + service.size(), port);
  if (error != std::errc{} || end != service.data() + service.size()) return std::nullopt;
  return port;
}

bool is_wanted(const Address& address, Family family) {
  return family == Family::Unspecified || address.family() == family;
}

// The answers that need no look-up; none when one is needed.
std::vector<Address> answer_at_once(std::string_view host, std::uint16_t port, const ResolveOptions& options) {
  std::vector<Address> addresses;
  if (const std::optional<Address> numeric = Address::numeric(host, port)) {
    addresses.push_back(*numeric);
  } else if (host.empty()) {
    addresses.push_back(Address::ipv6(options.passive ? "" : "::1", port));
    addresses.push_back(Address::ipv4(options.passive ? "" : "127.0.0.1", port));
  }
  const bool was_answered = !addresses.empty();
  std::erase_if(addresses, [&](const Address& address) { return !is_wanted(address, options.family); });
  if (was_answered && addresses.empty()) {
    throw ResolveError{describe(host, std::to_string(port)) + ": " + gai_strerror(EAI_ADDRFAMILY), EAI_ADDRFAMILY};
  }
  return addresses;
}

std::vector<Address> ask_helper(std::string_view host, std::string_view service, const ResolveOptions& options) {
  const auto lookup = std::make_shared<Lookup>();
  lookup->host = host;
  lookup->service = service;
  lookup->hints.ai_family = static_cast<int>(options.family);
  lookup->hints.ai_socktype = static_cast<int>(options.type);
  if (options.passive) lookup->hints.ai_flags = AI_PASSIVE;

  detail::resolver_helpers().submit([lookup] {
    try {
      look_up(*lookup);
    } catch (const std::exception&) {
      lookup->code = EAI_MEMORY;
    }
    lookup->done.set();
  });
  if (!lookup->done.wait_until(options.deadline)) throw TimeoutError{describe(host, service) + ": timed out"};
  if (lookup->code == EAI_SYSTEM) throw OSError{lookup->error, describe(host, service)};
  if (lookup->code != 0) {
    throw ResolveError{describe(host, service) + ": " + gai_strerror(lookup->code), lookup->code};
  }
  return std::move(lookup->addresses);
}

}  // namespace

std::vector<Address> getaddrinfo(std::string_view host, std::string_view service, const ResolveOptions& options) {
  // C strings cannot hold a NUL: what follows one would silently be ignored.
  if (host.find('\0') != std::string_view::npos || service.find('\0') != std::string_view::npos) {
    throw ResolveError{describe(host, service) + ": the name holds a NUL", EAI_NONAME};
  }
  if (const std::optional<std::uint16_t> port = numeric_port(service)) {
    std::vector<Address> addresses = answer_at_once(host, *port, options);
    if (!addresses.empty()) return addresses;
  }
  return ask_helper(host, service, options);
}

std::vector<Address> getaddrinfo(std::string_view host, std::uint16_t port, const ResolveOptions& options) {
  std::vector<Address> addresses = answer_at_once(host, port, options);
  return addresses.empty() ? ask_helper(host, std::to_string(port), options) : addresses;
}

}  // namespace weft
