#include "store/read_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "proto/refusal.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

std::size_t read_fully(int file, std::span<std::byte> buffer, std::uint64_t offset, std::string_view name) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t n =
        ::pread(file, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw refusal_of_errno(errno, "read", name);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::uint64_t hash_prefix(int file, std::uint64_t size, Sha256& sha, std::string_view name,
                          const std::function<void(std::uint64_t)>& after_slice) {
  constexpr std::uint64_t kSliceBytes = 64u << 20;
  constexpr std::size_t kReadBytes = 256 * 1024;  // stays in the cache between reading and hashing
  std::vector<std::byte> buffer(kReadBytes);
  std::uint64_t done = 0;
  bool ended = false;
  while (done < size && !ended) {
    const std::uint64_t slice_end = std::min(size, done + kSliceBytes);
    weft::blocking([&] {
      while (done < slice_end && !ended) {
        const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), slice_end - done);
        const std::size_t n = read_fully(file, std::span(buffer).first(wanted), done, name);
        sha.update(std::span(buffer).first(n));
        done += n;
        ended = n < wanted;
      }
    });
    if (done < size && !ended) after_slice(done);
  }
  return done;
}

}  // namespace weft::app
