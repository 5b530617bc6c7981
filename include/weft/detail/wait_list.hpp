#pragma once

// The wait list of an object, guarded by a bit of the object's own state word. Headers of weft only.

#include <atomic>
#include <concepts>
#include <cstdint>

#include <weft/detail/context.hpp>

namespace weft::detail {

/// Pauses the processor, and after a while gives the time slice up: the holder of a list bit may have been preempted.
class Backoff {
 public:
  void pause() noexcept;

 private:
  unsigned rounds_ = 0;
};

/// Holds bit `Bit` of a state word. While it is held nobody else changes the word, provided that every fast path
/// demands the bit to be clear; so the holder changes other bits with plain arithmetic and publishes them on release.
///
/// Orders: acquiring reads what the last holder released (acquire); releasing publishes list and word (release).
template <class Word, Word Bit>
class ListGuard {
 public:
  explicit ListGuard(std::atomic<Word>& state) noexcept : state_{state} {
    Backoff backoff;
    value_ = state_.load(std::memory_order_relaxed);
    for (;;) {
      if (value_ & Bit) {
        backoff.pause();
        value_ = state_.load(std::memory_order_relaxed);
      } else if (state_.compare_exchange_weak(value_, value_ | Bit, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
        return;
      }
    }
  }
  ListGuard(const ListGuard&) = delete;
  ListGuard& operator=(const ListGuard&) = delete;
  ~ListGuard() {
    if (held_) release();
  }

  /// The word without the list bit, as it will be published.
  [[nodiscard]] Word value() const noexcept { return value_; }
  void set_value(Word value) noexcept { value_ = value; }

  /// After this the object may be gone: the last act on it.
  void release() noexcept {
    held_ = false;
    state_.store(value_, std::memory_order_release);
  }

 private:
  std::atomic<Word>& state_;
  Word value_;
  bool held_ = true;
};

/// A doubly linked list of entries; every method is called with the object's list bit held.
class WaitList {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] Entry* front() const noexcept { return head_; }

  void push_back(Entry& entry) noexcept {
    entry.linked = true;
    entry.next = nullptr;
    entry.previous = tail_;
    (tail_ ? tail_->next : head_) = &entry;
    tail_ = &entry;
  }

  void push_front(Entry& entry) noexcept {
    entry.linked = true;
    entry.previous = nullptr;
    entry.next = head_;
    (head_ ? head_->previous : tail_) = &entry;
    head_ = &entry;
  }

  void remove(Entry& entry) noexcept {
    (entry.previous ? entry.previous->next : head_) = entry.next;
    (entry.next ? entry.next->previous : tail_) = entry.previous;
    entry.linked = false;
    entry.next = nullptr;
  }

  /// Unlinks entries from the front until one can be claimed; that one is returned, unlinked. Null: nobody waits.
  /// `outcome` is at most 255: the rest of its bits tell which entry of a select() it was.
  [[nodiscard]] Entry* claim_front(Outcome outcome = kFired) noexcept {
    while (Entry* entry = head_) {
      remove(*entry);
      if (claim(*entry, static_cast<Outcome>(entry->index | outcome))) return entry;
    }
    return nullptr;
  }

  /// Claims all waiters, as a chain for deliver_all().
  [[nodiscard]] Entry* claim_all(Outcome outcome = kFired) noexcept {
    Entry* first = nullptr;
    Entry** last = &first;
    while (Entry* entry = claim_front(outcome)) {
      *last = entry;
      last = &entry->next;
    }
    return first;
  }

 private:
  Entry* head_ = nullptr;
  Entry* tail_ = nullptr;
};

}  // namespace weft::detail
