#include <weft/net/resolver.hpp>

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include <weft/sync/event.hpp>

namespace weft {

namespace {

constexpr std::size_t kMostHelpers = 8;
constexpr std::chrono::seconds kIdleHelperLife{10};

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

// A few threads that do nothing but wait for name servers. Made when there is work and nobody idle, gone after a while
// without work. Never destroyed: a helper may be in a look-up while the program ends.
class HelperPool {
 public:
  // A forked child has none of the threads, and perhaps a mutex that one of them held: it gets a pool of its own.
  static HelperPool& instance() {
    static std::atomic<HelperPool*> current{nullptr};
    HelperPool* pool = current.load(std::memory_order_acquire);
    if (pool && pool->process_ == ::getpid()) return *pool;
    auto fresh = std::unique_ptr<HelperPool>{new HelperPool};
    if (current.compare_exchange_strong(pool, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
    return *pool;
  }

  void submit(std::shared_ptr<Lookup> lookup) {
    const std::lock_guard guard{mutex_};
    waiting_.push_back(std::move(lookup));
    if (idle_ < waiting_.size() && helpers_ < kMostHelpers) start_helper();
    work_came_.notify_one();
  }

 private:
  HelperPool() = default;

  void start_helper() {
    // Signals of the program are not for helpers.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      std::thread{[this] { serve(); }}.detach();
      ++helpers_;
    } catch (const std::system_error&) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      if (helpers_ > 0) return;  // one of them will come to it
      waiting_.pop_back();
      throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void serve() {
    pthread_setname_np(pthread_self(), "weft-resolver");
    while (const std::shared_ptr<Lookup> lookup = next()) {
      try {
        look_up(*lookup);
      } catch (const std::exception&) {
        lookup->code = EAI_MEMORY;
      }
      lookup->done.set();
    }
  }

  // Nothing: this helper has been idle for long and is to end; it is no longer counted.
  std::shared_ptr<Lookup> next() {
    std::unique_lock guard{mutex_};
    ++idle_;
    const bool found = work_came_.wait_for(guard, kIdleHelperLife, [this] { return !waiting_.empty(); });
    --idle_;
    if (!found) {
      --helpers_;
      return nullptr;
    }
    std::shared_ptr<Lookup> lookup = std::move(waiting_.front());
    waiting_.pop_front();
    return lookup;
  }

  const pid_t process_ = ::getpid();
  std::mutex mutex_;
  std::condition_variable work_came_;
  // Guarded by mutex_. Threads that are still on their way to next() count as helpers, not as idle.
  std::deque<std::shared_ptr<Lookup>> waiting_;
  std::size_t helpers_ = 0;
  std::size_t idle_ = 0;
};

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

  HelperPool::instance().submit(lookup);
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
