#include "serve/activity.hpp"

#include <fmt/format.h>

#include "base/text.hpp"

namespace weft::app {

std::string Activity::text() const {
  const std::lock_guard guard(lock_);
  if (what_.empty() || size_ == 0) return what_;
  return fmt::format("{}, {} of {}", what_, bytes_text(moved_.load(std::memory_order_relaxed)),
                     bytes_text(size_));
}

}  // namespace weft::app
