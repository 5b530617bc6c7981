#pragma once

#include <curl/curl.h>

#include <array>
#include <cstddef>
#include <memory>

#include "http/exchange.hpp"

namespace weft::http {

/// The sockets of libcurl, made and closed by whoever runs it.
class SocketKeeper {
 public:
  [[nodiscard]] virtual int open_socket(int family, int type, int protocol) noexcept = 0;
  virtual void close_socket(int fd) noexcept = 0;

 protected:
  ~SocketKeeper() = default;
};

/// One exchange while libcurl works on it. The driver's thread only.
class Transfer {
 public:
  /// `easy` is in its initial state, and again when the transfer is gone. Throws std::bad_alloc.
  Transfer(std::shared_ptr<Exchange> exchange, CURL* easy, SocketKeeper& sockets);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer();

  [[nodiscard]] CURL* easy() const noexcept { return easy_; }
  [[nodiscard]] Exchange& exchange() const noexcept { return *exchange_; }
  [[nodiscard]] std::shared_ptr<Exchange> share() const noexcept { return exchange_; }
  /// What libcurl's verdict means to the caller.
  [[nodiscard]] Failure failure_of(CURLcode code) const;

 private:
  /// Why a callback of ours ended the transfer.
  enum class Refusal : std::uint8_t { None, LongHead, LongBody, OutOfMemory };
  struct FreeList {
    void operator()(curl_slist* list) const noexcept { ::curl_slist_free_all(list); }
  };

  void set_up(SocketKeeper& sockets);
  void set_up_method();
  void set_up_headers();
  void add_header(const std::string& line);

  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept;
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept;
  static int on_connected(void* transfer, char*, char*, int, int) noexcept;
  static curl_socket_t open_socket(void* keeper, curlsocktype purpose, curl_sockaddr* address) noexcept;
  static int close_socket(void* keeper, curl_socket_t fd) noexcept;

  std::shared_ptr<Exchange> exchange_;
  CURL* easy_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  Refusal refusal_ = Refusal::None;
  std::array<char, CURL_ERROR_SIZE> message_{};
};

}  // namespace weft::http
