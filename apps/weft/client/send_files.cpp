// The sending half of SendWorker: how each kind of item goes out.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "base/text.hpp"
#include "client/send_worker.hpp"
#include "store/read_file.hpp"
#include "weft/io/blocking.hpp"
#include "xfer/chunk_ring.hpp"

namespace weft::app {

namespace {

constexpr std::size_t kBatchFiles = 32;
constexpr std::uint64_t kBatchBytes = kChunkBytes;
// Small files on their way, unanswered, on one connection: enough to hide the delay of a long line and of the disk
// at its end.
constexpr std::size_t kWindowFiles = 512;
constexpr std::uint64_t kWindowBytes = 16 * kChunkBytes;
constexpr std::size_t kSendAtBytes = 128 * 1024;

bool is_small(const SendItem& item) {
  return !item.must_compare && !item.file.is_empty_folder && item.file.size <= kChunkBytes;
}

std::int64_t mtime_of(const struct stat& info) {
  return static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
}

FileDescriptor open_local(const LocalFile& local) {
  FileDescriptor file(::open(local.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) throw refusal_of_errno(errno, "open", local.path);
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

bool has_changed(int file, const LocalFile& local) {
  struct stat info {};
  return ::fstat(file, &info) != 0 || static_cast<std::uint64_t>(info.st_size) != local.size ||
         mtime_of(info) != local.mtime_ns;
}

Refusal changed_refusal(const LocalFile& local) {
  return {Code::Changed, fmt::format("\"{}\" changed while it was sent; send it again", escaped(local.path))};
}

struct SmallBody {
  std::string bytes;
  std::string sha256;
  std::uint64_t sum = 0;
  std::optional<Refusal> failed;
};

SmallBody read_small(const LocalFile& local, bool checks) {
  SmallBody body;
  try {
    const FileDescriptor file = open_local(local);
    body.bytes.resize(local.size + 1);  // one more, to notice that it grew
    body.bytes.resize(read_fully(file.get(), std::as_writable_bytes(std::span(body.bytes)), 0, local.path));
    if (body.bytes.size() != local.size) throw changed_refusal(local);
    if (checks) {
      body.sha256 = Sha256::hex_of(body.bytes);
      body.sum = xxh3(body.bytes);
    }
  } catch (const Refusal& refusal) {
    body.failed = refusal;
  }
  return body;
}

Put put_of(const SendItem& item, const ClientOptions& options) {
  Put put;
  put.name = item.file.name;
  put.size = item.file.size;
  put.mtime_ns = item.file.mtime_ns;
  put.mode = item.file.mode;
  put.policy = options.policy;
  put.checks = options.checks;
  return put;
}

}  // namespace

void SendWorker::send_all() {
  while (true) {
    std::uint64_t bytes = 0;
    const auto fits = [&](const std::vector<SendItem>& taken, const SendItem& next) {
      bytes += next.file.size;
      return taken.empty() || (is_small(taken.front()) && is_small(next) && taken.size() < kBatchFiles &&
                               bytes <= kBatchBytes);
    };
    // What is queued goes out before the list is waited for.
    std::vector<SendItem> batch = job_.work.take(fits, /*may_wait=*/false);
    if (batch.empty()) {
      connection_->wire().flush();
      batch = job_.work.take(fits);
    }
    if (!batch.empty()) {
      send_batch(batch);
      continue;
    }
    if (job_.work.is_stopped()) throw ConnectionLost("stopped");
    wait_until_answered();
    if (job_.work.size() == 0) return;  // else an answer put something back
  }
}

void SendWorker::send_batch(std::vector<SendItem>& batch) {
  if (is_small(batch.front())) {
    send_small(batch);
  } else if (batch.front().must_compare) {
    compare(std::move(batch.front()));
  } else if (batch.front().file.is_empty_folder) {
    make_folder(std::move(batch.front()));
  } else {
    send_big(std::move(batch.front()));
  }
}

// One trip to a helper thread reads and hashes the whole batch.
void SendWorker::send_small(std::vector<SendItem>& batch) {
  std::vector<SmallBody> bodies = weft::blocking([&] {
    std::vector<SmallBody> read;
    for (const SendItem& item : batch) read.push_back(read_small(item.file, job_.options.checks));
    return read;
  });
  Wire& wire = connection_->wire();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const SmallBody& body = bodies[i];
    if (body.failed) {
      job_.report.file_failed(batch[i].file.path, body.failed->code(), body.failed->what());
      continue;
    }
    {
      std::unique_lock guard(lock_);
      const auto is_open = [&] {
        return failure_ || (in_flight_.size() < kWindowFiles && in_flight_bytes_ < kWindowBytes);
      };
      if (!is_open()) {
        guard.unlock();
        wire.flush();
        guard.lock();
        changed_.wait(guard, is_open);
      }
      if (failure_) {
        // What is not in flight yet must not be forgotten.
        for (std::size_t rest = i; rest < batch.size(); ++rest) job_.work.put_back(std::move(batch[rest]));
        std::rethrow_exception(failure_);
      }
    }
    Put put = put_of(batch[i], job_.options);
    put.eager = true;
    put.sha256 = body.sha256;
    put.id = begin(std::move(batch[i]), body.sha256);
    wire.queue(put);
    if (!body.bytes.empty()) wire.queue_chunk(body.bytes, body.sum);
    count_sent(put.id, put.size);
    if (wire.queued_bytes() >= kSendAtBytes) {
      try {
        wire.flush();
      } catch (...) {
        for (std::size_t rest = i + 1; rest < batch.size(); ++rest)
          job_.work.put_back(std::move(batch[rest]));
        throw;
      }
    }
  }
}

void SendWorker::make_folder(SendItem item) {
  const std::string name = item.file.name;
  connection_->wire().queue(MakeFolder{begin(std::move(item), {}), name});
}

void SendWorker::compare(SendItem item) {
  const std::string name = item.file.name;
  Sha256 sha;
  try {
    const FileDescriptor file = weft::blocking([&] { return open_local(item.file); });
    hash_prefix(file.get(), item.file.size, sha, item.file.path, [&](std::uint64_t) {
      connection_->wire().queue(Wait{});
      connection_->wire().flush();
    });
  } catch (const Refusal& refusal) {
    job_.report.file_failed(item.file.path, refusal.code(), refusal.what());
    return;
  }
  connection_->wire().queue(DigestOf{begin(std::move(item), sha.hex()), name});
}

// ---- files of more than one chunk

void SendWorker::send_big(SendItem item) {
  FileDescriptor file;
  try {
    file = weft::blocking([&] { return open_local(item.file); });
    if (has_changed(file.get(), item.file)) throw changed_refusal(item.file);
  } catch (const Refusal& refusal) {
    job_.report.file_failed(item.file.path, refusal.code(), refusal.what());
    return;
  }
  Put put = put_of(item, job_.options);
  const LocalFile local = item.file;
  put.id = begin(std::move(item), {});
  connection_->wire().queue(put);
  connection_->wire().flush();
  const std::optional<Ready> ready = wait_ready(put.id);
  if (ready) send_body(put, file.get(), *ready, local);
}

void SendWorker::send_body(const Put& put, int file, const Ready& ready, const LocalFile& local) {
  Wire& wire = connection_->wire();
  Sha256 whole;
  const std::uint64_t offset = agree_on_offset(put, file, ready, whole);
  wire.queue(Go{put.id, offset});
  if (offset > 0) {
    job_.report.note(
        fmt::format("{}: going on at {} of {}", local.name, bytes_text(offset), bytes_text(put.size)));
    count_found(put.id, offset);
  }
  try {
    const bool is_complete =
        put.checks ? send_checked(put, file, offset, whole) : send_unchecked(put, file, offset);
    if (!is_complete) {
      abort_chunks();  // the server has said why
      return;
    }
  } catch (const Refusal& refusal) {
    abort_chunks();
    give_up(put.id, refusal);
    return;
  }
  if (has_changed(file, local)) {
    wire.queue(End{put.id, {}, true});
    wire.flush();
    give_up(put.id, changed_refusal(local));
    return;
  }
  const std::string digest = put.checks ? whole.hex() : std::string();
  note_digest(put.id, digest);
  wire.queue(End{put.id, digest, false});
  wire.flush();
}

std::uint64_t SendWorker::agree_on_offset(const Put& put, int file, const Ready& ready, Sha256& whole) {
  if (ready.offset == 0 || ready.offset > put.size) return 0;
  const std::uint64_t hashed = hash_prefix(file, ready.offset, whole, put.name, [&](std::uint64_t) {
    connection_->wire().queue(Wait{put.id});
    connection_->wire().flush();
  });
  if (hashed == ready.offset && whole.hex() == ready.prefix_sha256) return ready.offset;
  job_.report.note(
      fmt::format("{}: what the server has of it is something else; sending all of it", put.name));
  whole = Sha256();
  return 0;
}

// Returns: false when the server refused the file meanwhile.
bool SendWorker::send_checked(const Put& put, int file, std::uint64_t offset, Sha256& whole) {
  ChunkReader reader(file, {offset, put.size}, &whole, put.name);
  while (Chunk* chunk = reader.next()) {
    if (current_failed()) return false;
    connection_->wire().send_chunk(chunk->bytes(), chunk->sum);
    count_sent(put.id, chunk->size);
    reader.give_back(chunk);
  }
  return true;
}

bool SendWorker::send_unchecked(const Put& put, int file, std::uint64_t offset) {
  while (offset < put.size) {
    if (current_failed()) return false;
    const std::size_t size = std::min<std::uint64_t>(kChunkBytes, put.size - offset);
    connection_->wire().send_file_chunk(file, offset, size);
    count_sent(put.id, size);
    offset += size;
  }
  return true;
}

void SendWorker::abort_chunks() {
  const ChunkHeaderBytes header = pack_chunk_header({kAbortedChunk, 0});
  connection_->wire().queue_bytes({reinterpret_cast<const char*>(header.data()), header.size()});
  connection_->wire().flush();
}

}  // namespace weft::app
