// Many blocking commands at once by hiredis: hiredis UNIX_SOCKET COUNT

#include <hiredis/hiredis.h>

#include <cstdlib>
#include <memory>

#include "crowd.hpp"

namespace {

// Waits for an element that nobody pushes, until the server's timeout: 50 ms.
bool wait_in_server(const char* path) {
  const std::unique_ptr<redisContext, decltype(&::redisFree)> redis{::redisConnectUnix(path), &::redisFree};
  if (!redis || redis->err) {
    std::printf("hiredis: %s\n", redis ? redis->errstr : "no memory");
    return false;
  }
  const auto ask = [&](const char* command) {
    return std::unique_ptr<void, decltype(&::freeReplyObject)>{::redisCommand(redis.get(), command),
                                                               &::freeReplyObject};
  };
  const auto nothing = ask("BLPOP nothing 0.05");
  const auto pong = ask("PING");
  const auto* const first = static_cast<redisReply*>(nothing.get());
  const auto* const second = static_cast<redisReply*>(pong.get());
  return first && first->type == REDIS_REPLY_NIL && second && second->type == REDIS_REPLY_STATUS;
}

}  // namespace

int main(int, char** arguments) {
  weft::test::run_crowd(std::atoi(arguments[2]), [&] { return wait_in_server(arguments[1]); });
}
