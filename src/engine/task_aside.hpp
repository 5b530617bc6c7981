#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <weft/detail/task.hpp>

#include "engine/timer_heap.hpp"

namespace weft::detail {

/// What is called at the end of a task.
struct TaskLink {
  LinkFor whom;
  LinkCall call;
  std::uint64_t number = 0;
  std::unique_ptr<TaskLink> next = nullptr;
};

/// A start that is still to come. Its timer is in a heap, or never was, or has been taken out by whoever starts the
/// task.
struct TaskDelay {
  Timer timer;
  Deadline start;
  std::uint32_t process;  // a forked child inherits no heaps
};

/// What few tasks have, so that the others need no room for it.
struct TaskAside {
  std::optional<std::string> name;
  std::unique_ptr<TaskLink> first_link;
  TaskLink* last_link = nullptr;
  std::uint64_t links_made = 0;
  std::unique_ptr<TaskDelay> delay;

  std::uint64_t append(std::unique_ptr<TaskLink> link) noexcept {
    link->number = ++links_made;
    TaskLink* const added = link.get();
    (first_link ? last_link->next : first_link) = std::move(link);
    last_link = added;
    return links_made;
  }

  std::unique_ptr<TaskLink> take_first() noexcept {
    std::unique_ptr<TaskLink> first = std::move(first_link);
    if (first) first_link = std::move(first->next);
    return first;
  }

  std::unique_ptr<TaskLink> take(std::uint64_t number) noexcept {
    TaskLink* before = nullptr;
    std::unique_ptr<TaskLink>* at = &first_link;
    while (*at && (*at)->number != number) {
      before = at->get();
      at = &before->next;
    }
    std::unique_ptr<TaskLink> taken = std::move(*at);
    if (!taken) return nullptr;
    *at = std::move(taken->next);
    if (taken.get() == last_link) last_link = before;
    return taken;
  }
};

}  // namespace weft::detail
