#include <weft/http/request.hpp>
#include <weft/weft.hpp>

#include <cstdio>

// Nobody listens at a port that was just given back.
int main() {
  const std::uint16_t port = weft::create_server("127.0.0.1", 0).local_address().port();
  const int answer = weft::spawn([&] {
    try {
      return weft::http::get("http://127.0.0.1:" + std::to_string(port) + "/", {.proxy = ""}).status_code;
    } catch (const weft::http::ConnectionError&) {
      return 42;
    }
  }).get();
  std::printf("%d\n", answer);
}
