#include "process/connection/handshake.hpp"

#include <sys/random.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

#include <weft/base/error.hpp>

namespace weft::process::detail {

namespace {

constexpr std::string_view kChallenge = "#CHALLENGE#", kWelcome = "#WELCOME#", kFailure = "#FAILURE#";
constexpr std::size_t kLegacyChallenge = 20, kLegacyAnswer = 16;  // bytes; what is as long names no digest
constexpr std::size_t kLongestName = 8;

/// A challenge or an answer: which digest it names, if it does, and what follows the name.
struct Named {
  std::optional<Digest> digest;
  std::string_view rest;
};

// Nothing: it is neither of the old form nor of the new one.
std::optional<Named> parse(std::string_view message) {
  if (message.size() == kLegacyAnswer || message.size() == kLegacyChallenge)
    return Named{std::nullopt, message};
  if (!message.starts_with('{')) return std::nullopt;
  const std::size_t end = message.substr(0, kLongestName + 2).find('}');
  if (end == std::string_view::npos) return std::nullopt;
  const auto digest = digest_named(message.substr(1, end - 1));
  if (!digest) return std::nullopt;
  return Named{digest, message.substr(end + 1)};
}

std::string prefix_of(Digest digest) {
  return '{' + std::string{name_of(digest)} + '}';
}

}  // namespace

std::string Handshake::random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t have = 0; have < count;) {
    const ssize_t got = ::getrandom(bytes.data() + have, count - have, 0);
    if (got < 0 && errno != EINTR) throw OSError{errno, "take random bytes from the kernel"};
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  return bytes;
}

Handshake::Handshake(Role role, std::string key, bool require_sha2, std::string random)
    : role_{role},
      require_sha2_{require_sha2},
      key_{std::move(key)},
      challenge_{prefix_of(Digest::Sha256) + random},
      awaits_{role == Role::Listener ? Awaits::Answer : Awaits::Challenge} {
  if (key_.empty())
    throw std::invalid_argument{"authentication: an empty key protects nothing; give a key, or none at all"};
}

std::string Handshake::begin() {
  return role_ == Role::Listener ? challenge() : std::string{};
}

std::string Handshake::take(std::string_view message) {
  switch (awaits_) {
    case Awaits::Challenge:
      return answer(message);
    case Awaits::Answer:
      return judge(message);
    case Awaits::Verdict:
      return heed(message);
    default:
      return fail("the peer goes on after the end of the handshake");
  }
}

std::string Handshake::challenge() {
  return std::string{kChallenge} + challenge_;
}

std::string Handshake::answer(std::string_view message) {
  if (!message.starts_with(kChallenge))
    return fail("the peer did not challenge us; does it use a key at all?");
  message.remove_prefix(kChallenge.size());
  if (message.size() < kLegacyChallenge) return fail("the peer's challenge is too short");
  // By its length alone: one of 20 bytes names no digest.
  const auto named = message.size() == kLegacyChallenge ? Named{std::nullopt, message} : parse(message);
  if (!named) return fail("the peer's challenge names no digest that we know");
  if (require_sha2_ && named->digest.value_or(Digest::Md5) == Digest::Md5) {
    return fail("the peer asks for HMAC-MD5, which require_sha2 refuses");
  }
  awaits_ = Awaits::Verdict;
  return named->digest ? prefix_of(*named->digest) + hmac(*named->digest, key_, message)
                       : hmac(Digest::Md5, key_, message);
}

std::string Handshake::judge(std::string_view message) {
  const auto named = parse(message);
  if (!named) return fail("the peer's answer to our challenge is malformed", kFailure);
  const Digest digest = named->digest.value_or(Digest::Md5);
  if (require_sha2_ && digest == Digest::Md5)
    return fail("the peer answered with HMAC-MD5, which require_sha2 refuses", kFailure);
  if (!equal_in_constant_time(named->rest, hmac(digest, key_, challenge_))) {
    return fail("the peer's answer to our challenge is wrong: its key is not ours", kFailure);
  }
  awaits_ = role_ == Role::Listener ? Awaits::Challenge : Awaits::Nothing;
  return std::string{kWelcome};
}

std::string Handshake::heed(std::string_view message) {
  if (message != kWelcome) {
    return fail(message == kFailure ? "the peer refused our answer: our key is not its"
                                    : "the peer neither welcomed nor refused us");
  }
  awaits_ = role_ == Role::Listener ? Awaits::Nothing : Awaits::Answer;
  return role_ == Role::Listener ? std::string{} : challenge();
}

std::string Handshake::fail(std::string why, std::string_view last_word) {
  awaits_ = Awaits::Nothing;
  failure_ = std::move(why);
  return std::string{last_word};
}

}  // namespace weft::process::detail
