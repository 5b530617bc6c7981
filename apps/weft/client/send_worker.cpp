#include "client/send_worker.hpp"

#include <fmt/format.h>

#include <mutex>

#include "base/text.hpp"
#include "weft/fiber/spawn.hpp"

namespace weft::app {

namespace {

constexpr unsigned kCorruptTries = 3;

}  // namespace

void SendWorker::run() {
  while (!job_.work.is_stopped()) {
    try {
      use_connection();
      return;
    } catch (const std::exception& failure) {
      const auto* bye = dynamic_cast<const SaidBye*>(&failure);
      // Someone else sends the same file to the same place, and came later. Fighting back would never end.
      const bool is_settled =
          bye && bye->code() == Code::TakenOver &&
          give_up(bye->request(), {Code::TakenOver, "another client goes on with this upload"});
      return_unanswered();
      if (job_.stopped.is_set()) return;
      if (is_settled) continue;
      // The server takes fewer connections than we want: those that stand do the work.
      if (bye && bye->code() == Code::Busy && job_.connections.load() > 0) return;
      if (!retry_.wait_after(failure, job_.server, job_.report, job_.stopped)) {
        job_.work.stop();
        return;
      }
    }
  }
}

void SendWorker::use_connection() {
  connection_ = std::make_unique<ServerConnection>(job_.server, job_.options, &job_.sockets);
  retry_.connected();
  if (!connection_->welcome().may_write) throw SaidBye({Code::Denied, "the token does not allow uploads"});
  {
    const std::lock_guard guard(lock_);
    failure_ = nullptr;
    current_ = {};
  }
  job_.connections.fetch_add(1);
  Fiber<void> receiver = spawn([this] { receive_answers(); });
  bool is_finished = false;
  try {
    send_all();
    connection_->say_close();
    is_finished = true;
  } catch (const std::exception&) {
    // What the receiver met says more than "broken pipe": it may have read a farewell. So it goes first, if it comes.
    (void)receiver.join_for(std::chrono::milliseconds(200));
    fail_connection(std::current_exception());
  }
  receiver.join();
  job_.connections.fetch_sub(1);
  const std::lock_guard guard(lock_);
  if (!is_finished) std::rethrow_exception(failure_);
}

// ---- bookkeeping of what is on its way

RequestId SendWorker::begin(SendItem item, const std::string& sha256) {
  const RequestId id = next_id_++;
  const std::lock_guard guard(lock_);
  in_flight_bytes_ += item.file.size;
  in_flight_.emplace(id, InFlight{std::move(item), sha256});
  current_ = {id, std::nullopt, false};
  return id;
}

void SendWorker::count_sent(RequestId id, std::uint64_t bytes) {
  job_.report.progress().bytes_moved.fetch_add(bytes, std::memory_order_relaxed);
  count_found(id, bytes);
}

void SendWorker::count_found(RequestId id, std::uint64_t bytes) {
  const std::lock_guard guard(lock_);
  const auto it = in_flight_.find(id);
  if (it == in_flight_.end()) return;
  it->second.item.counted_bytes += bytes;
  job_.report.progress().bytes_done.fetch_add(bytes, std::memory_order_relaxed);
}

void SendWorker::note_digest(RequestId id, const std::string& sha256) {
  const std::lock_guard guard(lock_);
  const auto it = in_flight_.find(id);
  if (it != in_flight_.end()) it->second.sha256 = sha256;
}

// The server's answer to it will find nothing in flight, and be ignored.
bool SendWorker::give_up(RequestId id, const Refusal& why) {
  std::optional<SendItem> item;
  {
    const std::lock_guard guard(lock_);
    const auto it = in_flight_.find(id);
    if (it == in_flight_.end()) return false;
    item = std::move(it->second.item);
    in_flight_bytes_ -= item->file.size;
    in_flight_.erase(it);
  }
  job_.report.progress().bytes_done.fetch_sub(item->counted_bytes, std::memory_order_relaxed);
  job_.report.file_failed(item->file.path, why.code(), why.what());
  return true;
}

void SendWorker::wait_until_answered() {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] { return in_flight_.empty() || failure_; });
  if (failure_) std::rethrow_exception(failure_);
}

std::optional<Ready> SendWorker::wait_ready(RequestId id) {
  std::unique_lock guard(lock_);
  changed_.wait(guard,
                [&] { return current_.id != id || current_.ready || current_.has_failed || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  return current_.id == id ? current_.ready : std::nullopt;
}

bool SendWorker::current_failed() const {
  const std::lock_guard guard(lock_);
  return current_.has_failed;
}

void SendWorker::return_unanswered() {
  std::map<RequestId, InFlight> unanswered;
  {
    const std::lock_guard guard(lock_);
    unanswered = std::exchange(in_flight_, {});
    in_flight_bytes_ = 0;
  }
  for (auto& [id, flight] : unanswered) {
    job_.report.progress().bytes_done.fetch_sub(flight.item.counted_bytes, std::memory_order_relaxed);
    flight.item.counted_bytes = 0;
    job_.work.put_back(std::move(flight.item));
  }
}

void SendWorker::fail_connection(std::exception_ptr failure) {
  {
    const std::lock_guard guard(lock_);
    if (!failure_) failure_ = std::move(failure);
    changed_.notify_all();
  }
  connection_->wire().socket().close();
}

// ---- the receiving fiber

void SendWorker::receive_answers() {
  try {
    while (true) handle(connection_->recv());
  } catch (const std::exception&) {
    fail_connection(std::current_exception());
  }
}

void SendWorker::handle(const Response& response) {
  if (const Done* done = std::get_if<Done>(&response)) {
    finish(*done);
  } else if (const Failed* failed = std::get_if<Failed>(&response)) {
    finish(*failed);
  } else if (const Ready* ready = std::get_if<Ready>(&response)) {
    const std::lock_guard guard(lock_);
    if (current_.id == ready->id) current_.ready = *ready;
    note_offset(*ready);
    changed_.notify_all();
  } else {
    throw BadMessage("an answer that no upload has");
  }
}

// With lock_. Bytes that only went into the network are no success yet; bytes that a server has kept are.
void SendWorker::note_offset(const Ready& ready) {
  const auto it = in_flight_.find(ready.id);
  if (it == in_flight_.end() || ready.offset <= it->second.item.last_offset) return;
  it->second.item.last_offset = ready.offset;
  retry_.progressed();
}

void SendWorker::finish(const Done& done) {
  std::optional<InFlight> flight;
  {
    const std::lock_guard guard(lock_);
    const auto it = in_flight_.find(done.id);
    if (it == in_flight_.end()) throw BadMessage("an answer to what was not asked");
    flight = std::move(it->second);
    in_flight_.erase(it);
    in_flight_bytes_ -= flight->item.file.size;
    changed_.notify_all();
  }
  retry_.progressed();
  const LocalFile& file = flight->item.file;
  if (!flight->item.must_compare) {
    job_.report.file_done(file.name, done.name, file.size, flight->sha256);
  } else if (done.sha256 == flight->sha256) {
    job_.report.progress().bytes_done.fetch_add(file.size, std::memory_order_relaxed);
    job_.report.file_same(file.name, file.size);
  } else {
    job_.report.file_failed(file.name, Code::Exists,
                            "exists with other content; use --overwrite or --rename");
  }
}

void SendWorker::finish(const Failed& failed) {
  std::optional<SendItem> item;
  {
    const std::lock_guard guard(lock_);
    if (current_.id == failed.id) current_.has_failed = true;
    const auto it = in_flight_.find(failed.id);
    if (it != in_flight_.end()) {
      item = std::move(it->second.item);
      in_flight_bytes_ -= item->file.size;
      in_flight_.erase(it);
    }
    changed_.notify_all();
  }
  if (!item) return;  // the sender has given this one up, and reported it
  retry_.progressed();
  job_.report.progress().bytes_done.fetch_sub(item->counted_bytes, std::memory_order_relaxed);
  item->counted_bytes = 0;
  const bool may_be_the_same =
      failed.code == Code::Exists && failed.size == item->file.size && !item->must_compare;
  const bool may_try_again = failed.code == Code::Corrupt && ++item->corrupt_tries < kCorruptTries;
  if (may_be_the_same || may_try_again) {
    item->must_compare = may_be_the_same;
    job_.work.put_back(std::move(*item));
  } else {
    job_.report.file_failed(item->file.name, failed.code, failed.text);
  }
}

}  // namespace weft::app
