#include "client/get_worker.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "proto/names.hpp"
#include "store/part_file.hpp"
#include "store/read_file.hpp"
#include "weft/io/blocking.hpp"
#include "xfer/chunk_ring.hpp"

namespace weft::app {

namespace {

// Requests ahead: few enough that they fit into the buffers of the connection, else both ends could wait to send.
constexpr std::size_t kAskAhead = 64;
constexpr std::size_t kAskAheadNameBytes = 16 * 1024;
constexpr std::size_t kBatchFiles = 64;
constexpr std::size_t kBatchBytes = kChunkBytes;
constexpr unsigned kCorruptTries = 3;

/// A file cannot be stored here while the server is sending it: the connection is given up, the transfer is not.
class Reconnect {};

bool is_small(const GetItem& item) {
  return item.size && *item.size <= kChunkBytes;
}

}  // namespace

void GetWorker::run() {
  while (!job_.work.is_stopped()) {
    try {
      use_connection();
      return;
    } catch (const Reconnect&) {
      return_unanswered();
    } catch (const std::exception& failure) {
      return_unanswered();
      if (job_.stopped.is_set()) return;
      const auto* bye = dynamic_cast<const SaidBye*>(&failure);
      if (bye && bye->code() == Code::Busy && job_.connections.load() > 0) return;
      if (!retry_.wait_after(failure, job_.server, job_.report, job_.stopped)) {
        job_.work.stop();
        return;
      }
    }
  }
}

void GetWorker::use_connection() {
  connection_ = std::make_unique<ServerConnection>(job_.server, job_.options, &job_.sockets);
  retry_.connected();
  job_.connections.fetch_add(1);
  try {
    receive_all();
  } catch (...) {
    job_.connections.fetch_sub(1);
    throw;
  }
  job_.connections.fetch_sub(1);
  connection_->say_close();
}

void GetWorker::receive_all() {
  while (true) {
    ask_ahead();
    if (asked_.empty()) break;
    const bool must_wait = !connection_->wire().wait_input(Deadline::already());
    if (must_wait || pending_.size() >= kBatchFiles || pending_bytes_ >= kBatchBytes) store_pending();
    receive_one();
  }
  store_pending();
  if (job_.work.is_stopped()) throw ConnectionLost("stopped");
}

// ---- asking

void GetWorker::ask_ahead() {
  while (may_ask_more()) {
    // A big file is asked for alone: what we have of it may take a while to hash, and nobody should wait meanwhile.
    const auto one = [&](const std::vector<GetItem>& taken, const GetItem& next) {
      return taken.empty() && (asked_.empty() || is_small(next));
    };
    std::vector<GetItem> next = job_.work.take(one, /*may_wait=*/false);
    if (next.empty()) {
      if (!asked_.empty()) break;
      store_pending();  // nothing else is going on
      next = job_.work.take(one);
    }
    if (next.empty()) break;
    ask(std::move(next.front()));
  }
  connection_->wire().flush();
}

bool GetWorker::may_ask_more() const {
  if (asked_.empty()) return true;
  std::size_t name_bytes = 0;
  for (const Asked& asked : asked_) {
    if (asked.part || asked.is_comparison) return false;
    name_bytes += asked.item.remote.size();
  }
  return asked_.size() < kAskAhead && name_bytes < kAskAheadNameBytes;
}

void GetWorker::ask(GetItem item) {
  Asked asked;
  asked.id = next_id_++;
  asked.item = std::move(item);
  try {
    if (ask_about_existing(asked)) {
      asked_.push_back(std::move(asked));
      return;
    }
    Get get;
    get.id = asked.id;
    get.name = asked.item.remote;
    get.checks = job_.options.checks;
    if (!is_small(asked.item)) open_part(asked, get);
    connection_->wire().queue(get);
    asked_.push_back(std::move(asked));
  } catch (const Refusal& refusal) {
    fail(std::move(asked.item), refusal.code(), refusal.what());
  }
}

void GetWorker::open_part(Asked& asked, Get& get) {
  asked.part =
      weft::blocking([&] { return std::make_unique<LocalPart>(job_.destination, asked.item.local); });
  if (asked.part->size() == 0) return;
  asked.prefix.emplace();
  get.offset =
      hash_prefix(asked.part->fd(), asked.part->size(), *asked.prefix, asked.item.local, [&](std::uint64_t) {
        connection_->wire().queue(Wait{});
        connection_->wire().flush();
      });
  get.prefix_sha256 = asked.prefix->hex();
}

// A file that is here already may be the one that is wanted: then a repeated command has nothing to do.
bool GetWorker::ask_about_existing(Asked& asked) {
  if (job_.options.policy != Policy::Refuse) return false;
  const auto here = weft::blocking([&] { return local_size(job_.destination, asked.item.local); });
  if (!here) return false;
  if (asked.item.size && *asked.item.size != *here) throw AlreadyThere(asked.item.local, *here);
  asked.is_comparison = true;
  connection_->wire().queue(DigestOf{asked.id, asked.item.remote});
  return true;
}

// ---- receiving

void GetWorker::receive_one() {
  const Response response = connection_->recv();
  Asked& asked = asked_.front();
  if (const Failed* failed = std::get_if<Failed>(&response); failed && failed->id == asked.id) {
    if (asked.part && asked.part->size() == 0) asked.part->discard();
    settle_failed(asked, failed->code, failed->text);
  } else if (const Done* done = std::get_if<Done>(&response);
             done && asked.is_comparison && done->id == asked.id) {
    receive_digest(asked, *done);
  } else if (const FileHead* head = std::get_if<FileHead>(&response); head && head->id == asked.id) {
    receive_file(asked, *head);
  } else {
    throw BadMessage("the server answered something else than was asked");
  }
  asked_.pop_front();
  retry_.progressed();
}

void GetWorker::receive_digest(const Asked& asked, const Done& done) {
  const GetItem& item = asked.item;
  try {
    const FileDescriptor file = weft::blocking([&] { return job_.destination.open_file(item.local); });
    Sha256 sha;
    const std::uint64_t size = hash_prefix(file.get(), UINT64_MAX, sha, item.local, [](std::uint64_t) {});
    if (sha.hex() != done.sha256) throw AlreadyThere(item.local, size);
    job_.report.progress().bytes_done.fetch_add(size, std::memory_order_relaxed);
    job_.report.file_same(item.remote, size);
  } catch (const Refusal& refusal) {
    job_.report.file_failed(item.remote, refusal.code(), refusal.what());
  }
}

void GetWorker::receive_file(Asked& asked, const FileHead& head) {
  if (!asked.item.size) job_.report.progress().bytes_known.fetch_add(head.size, std::memory_order_relaxed);
  asked.item.size = head.size;
  if (head.size <= kChunkBytes) {
    if (asked.part) asked.part->discard();
    receive_small(asked, head);
  } else {
    receive_big(asked, head);
  }
}

void GetWorker::receive_small(Asked& asked, const FileHead& head) {
  SmallFile file;
  file.id = asked.id;
  file.name = asked.item.local;
  file.facts = {head.mtime_ns, head.mode};
  file.policy = job_.options.policy;
  file.has_checks = job_.options.checks;
  if (head.size > 0) {
    ChunkHeader chunk;
    if (!receive_chunk_header(head.size, chunk)) throw BadMessage("a small file was given up");
    file.sum = chunk.xxh3;
    file.body.resize(head.size);
    connection_->wire().recv_exactly(std::as_writable_bytes(std::span(file.body)));
  }
  file.sha256 = connection_->recv_answer<End>(asked.id).sha256;
  count(asked.item, head.size, true);
  pending_bytes_ += file.body.size();
  pending_.push_back(std::move(file));
  pending_items_.push_back(std::move(asked.item));
}

// Returns: false when the server gave the file up.
bool GetWorker::receive_chunk_header(std::uint64_t wanted, ChunkHeader& header) {
  header = connection_->wire().recv_chunk_header();
  if (header.length == kAbortedChunk) return false;
  if (header.length < 0 || static_cast<std::uint64_t>(header.length) != wanted) {
    throw BadMessage("a chunk of the wrong length");
  }
  return true;
}

void GetWorker::store_pending() {
  if (pending_.empty()) return;
  std::vector<SmallFile> files = std::exchange(pending_, {});
  std::vector<GetItem> items = std::exchange(pending_items_, {});
  pending_bytes_ = 0;
  const std::vector<SmallResult> results =
      weft::blocking([&] { return store_batch(job_.destination, files, Fsync::None); });
  for (std::size_t i = 0; i < results.size(); ++i) {
    const SmallResult& result = results[i];
    if (result.failed) {
      fail(std::move(items[i]), result.failed->code(), result.failed->what());
    } else {
      const bool is_renamed = result.name != files[i].name;
      job_.report.file_done(items[i].remote, is_renamed ? result.name : "", files[i].body.size(),
                            files[i].sha256);
    }
  }
}

// ---- files of more than one chunk

void GetWorker::receive_big(Asked& asked, const FileHead& head) {
  try {
    Sha256 whole = begin_part(asked, head);
    if (!receive_chunks(asked, head, whole)) {
      const Response why = connection_->recv();
      const Failed* failed = std::get_if<Failed>(&why);
      if (!failed) throw BadMessage("a file was given up without a reason");
      settle_failed(asked, failed->code, failed->text);
      return;
    }
    finish_part(asked, head, whole);
  } catch (const Refusal& refusal) {
    if (asked.part && refusal.code() == Code::NoSpace && asked.part->size() == 0) asked.part->discard();
    settle_failed(asked, refusal.code(), refusal.what());
    throw Reconnect();
  }
}

Sha256 GetWorker::begin_part(Asked& asked, const FileHead& head) {
  if (!asked.part) {
    // It was small when it was listed.
    asked.part =
        weft::blocking([&] { return std::make_unique<LocalPart>(job_.destination, asked.item.local); });
  }
  if (head.offset != 0 && head.offset != asked.part->size())
    throw BadMessage("the server goes on somewhere else");
  Sha256 whole;
  if (head.offset > 0) {
    whole = std::move(asked.prefix).value();
    count(asked.item, head.offset, false);
    job_.report.note(fmt::format("{}: going on at {} of {}", asked.item.remote, bytes_text(head.offset),
                                 bytes_text(head.size)));
  }
  weft::blocking([&] {
    asked.part->cut(head.offset);
    check_room(job_.destination, head.size - head.offset, asked.item.local);
  });
  return whole;
}

// Returns: false when the server gave the file up.
bool GetWorker::receive_chunks(Asked& asked, const FileHead& head, Sha256& whole) {
  const auto sink = [&](const Chunk& chunk) {
    write_fully(asked.part->fd(), {reinterpret_cast<const char*>(chunk.memory.get()), chunk.size},
                chunk.offset, asked.item.local);
  };
  ChunkWriter writer(sink, job_.options.checks ? &whole : nullptr);
  for (std::uint64_t offset = head.offset; offset < head.size;) {
    Chunk* chunk = writer.take_free();
    ChunkHeader header;
    if (!receive_chunk_header(std::min<std::uint64_t>(kChunkBytes, head.size - offset), header)) return false;
    chunk->offset = offset;
    chunk->size = static_cast<std::size_t>(header.length);
    chunk->sum = header.xxh3;
    connection_->wire().recv_exactly(chunk->bytes());
    offset += chunk->size;
    count(asked.item, chunk->size, true);
    writer.submit(chunk);
  }
  writer.finish();
  return true;
}

void GetWorker::finish_part(Asked& asked, const FileHead& head, const Sha256& whole) {
  const End end = connection_->recv_answer<End>(asked.id);
  if (job_.options.checks && end.sha256 != whole.hex()) {
    asked.part->discard();
    throw Refusal(Code::Corrupt, "the SHA-256 of what arrived is not that of what was sent");
  }
  const std::string stored = weft::blocking([&] {
    return asked.part->publish(job_.options.policy, {head.mtime_ns, head.mode});
  });
  const bool is_renamed = stored != asked.item.local;
  job_.report.file_done(asked.item.remote, is_renamed ? stored : "", head.size, end.sha256);
}

// ---- bookkeeping

void GetWorker::count(GetItem& item, std::uint64_t bytes, bool has_moved) {
  item.counted_bytes += bytes;
  job_.report.progress().bytes_done.fetch_add(bytes, std::memory_order_relaxed);
  if (has_moved) job_.report.progress().bytes_moved.fetch_add(bytes, std::memory_order_relaxed);
}

void GetWorker::settle_failed(Asked& asked, Code code, const std::string& why) {
  asked.is_settled = true;
  asked.part.reset();
  fail(std::move(asked.item), code, why);
}

void GetWorker::fail(GetItem item, Code code, const std::string& why) {
  job_.report.progress().bytes_done.fetch_sub(std::exchange(item.counted_bytes, 0),
                                              std::memory_order_relaxed);
  if (code == Code::Corrupt && ++item.corrupt_tries < kCorruptTries) {
    job_.work.put_back(std::move(item));
  } else {
    job_.report.file_failed(item.remote, code, why);
  }
}

void GetWorker::return_unanswered() {
  // Complete small files are worth storing, whatever became of the connection.
  store_pending();
  for (Asked& asked : std::exchange(asked_, {})) {
    if (asked.is_settled) continue;
    asked.part.reset();
    job_.report.progress().bytes_done.fetch_sub(std::exchange(asked.item.counted_bytes, 0),
                                                std::memory_order_relaxed);
    job_.work.put_back(std::move(asked.item));
  }
}

}  // namespace weft::app
