// What the programs of f2 share: a server in a process of its own, on the second core if there is one, and the transfers.
// Arguments: --count transfers, --at-once so many, --repeat.
#pragma once

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace bench {

/// Answers every request on every connection with the same short text, until its parent has gone.
class FetchServer {
 public:
  FetchServer() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener, 1024) != 0) std::abort();
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(listener);
    }
    ::close(listener);
  }
  ~FetchServer() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  FetchServer(const FetchServer&) = delete;
  FetchServer& operator=(const FetchServer&) = delete;

  const std::string& url() const { return url_; }

 private:
  [[noreturn]] static void serve(int listener) {
    static constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const int epoll = ::epoll_create1(0);
    const auto watch = [epoll](int fd) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = fd;
      ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener);
    epoll_event events[128];
    char buffer[4096];
    for (;;) {
      const int count = ::epoll_wait(epoll, events, 128, -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == listener) {
          const int peer = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
          const int on = 1;
          ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          if (peer >= 0) watch(peer);
        } else if (::recv(fd, buffer, sizeof buffer, 0) <= 0) {
          ::close(fd);
        } else {
          [[maybe_unused]] const auto sent = ::send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
        }
      }
    }
  }

  std::string url_;
  pid_t child_ = -1;
};

inline std::size_t count_bytes(char*, std::size_t, std::size_t size, void* sum) {
  *static_cast<std::uint64_t*>(sum) += size;
  return size;
}

/// A handle that is used for one transfer after the other, on one connection.
inline CURL* make_transfer(const std::string& url, std::uint64_t* bytes) {
  CURL* curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, bytes);
  return curl;
}

inline void check(bool right) {
  if (right) return;
  std::fprintf(stderr, "a transfer failed\n");
  std::exit(1);
}

}  // namespace bench
