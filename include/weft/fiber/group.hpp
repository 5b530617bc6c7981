#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/detail/group_state.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/imap.hpp>
#include <weft/fiber/spawn.hpp>

namespace weft {

/// Fibers that belong together: to be waited for, or killed, at once. One that ends is a member no more.
///
///     weft::Group group;
///     for (const std::string& url : urls) group.spawn(fetch, url);
///     group.join();
///     std::vector<long> sizes = group.map(size_of, files);
///
/// Semantics:     after gevent.pool.Group. The members run on when the group is destroyed, as fibers do whose handle is
///                dropped; join() it first if they use what is on the stack. (TaskGroup is for children that must not
///                outlive their scope.) map() and imap() do wait for the fibers they start, also when they throw.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody is inside another method.
/// Blocking:      join, kill_and_join, apply, map; of a Pool also spawn and add.
/// Errors:        the failure of a member is reported on stderr if nobody waits for it, as of any fiber; a join() does
///                not count as waiting for it, join(raise_error) does.
/// Cost:          for a member, three allocations and two short critical sections more than for a fiber.
class Group {
 public:
  Group() : Group{std::make_shared<detail::GroupState>()} {}
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// As weft::spawn(), as a member.
  template <class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, SpawnOptions>) auto spawn(F&& callable, Args&&... args) {
    return start(
        [&] { return detail::make_task(nullptr, std::forward<F>(callable), std::forward<Args>(args)...); });
  }
  template <class F, class... Args>
  auto spawn(const SpawnOptions& options, F&& callable, Args&&... args) {
    return start(
        [&] { return detail::make_task(&options, std::forward<F>(callable), std::forward<Args>(args)...); });
  }

  /// Makes a fiber a member. Nothing, if it is one, or has ended.
  template <class R>
  void add(const Fiber<R>& fiber) {
    detail::Task& task = detail::FiberAccess::task(fiber);
    (void)state_->enter(Deadline::never());
    state_->add(task);
  }
  /// It is a member no more, and runs on. False: it was none.
  template <class R>
  bool discard(const Fiber<R>& fiber) {
    return state_->discard(detail::FiberAccess::task(fiber));
  }
  template <class R>
  [[nodiscard]] bool contains(const Fiber<R>& fiber) const {
    return state_->contains(detail::FiberAccess::task(fiber));
  }

  /// Members, a moment ago.
  [[nodiscard]] std::size_t size() const { return state_->size(); }
  [[nodiscard]] bool empty() const { return size() == 0; }

  /// Waits until there are no members: for those that are added meanwhile, too.
  void join() { (void)state_->join_until(Deadline::never()); }
  /// At most so long. False: some run on.
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return state_->join_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool join_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return state_->join_until(Deadline::at(point));
  }
  [[nodiscard]] bool join_until(Deadline deadline) { return state_->join_until(deadline); }
  /// The same; then throws the first failure of a member that came while it waited.
  void join(RaiseError) { (void)state_->join_or_raise_until(Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout, RaiseError) {
    return state_->join_or_raise_until(Deadline::after(timeout));
  }

  /// Asks all members to end, as Fiber::kill() does. Returns at once.
  void kill() { state_->kill(); }
  /// Kills until there are no members, the caller excepted if it is one.
  void kill_and_join() { (void)state_->kill_and_join_until(Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] bool kill_and_join_for(std::chrono::duration<Rep, Period> timeout) {
    return state_->kill_and_join_until(Deadline::after(timeout));
  }

  /// callable(args...) in a member: its value, or what it threw.
  template <class F, class... Args>
  auto apply(F&& callable, Args&&... args) {
    return spawn(std::forward<F>(callable), std::forward<Args>(args)...).get();
  }

  /// callable(element) for each element, each in a member of its own: the values in the order of the elements, or
  /// nothing when it returns nothing. The first element, in that order, for which it throws ends the map with that
  /// exception: calls that are left are then killed, and waited for. Elements are copied, or moved if the range gives
  /// rvalues; the callable is shared.
  template <class F, std::ranges::input_range Items>
  auto map(F callable, Items&& items) {
    using Result = std::invoke_result_t<F&, std::ranges::range_value_t<Items>>;
    auto results = imap(std::move(callable), std::forward<Items>(items));
    if constexpr (std::is_void_v<Result>) {
      while (results.next()) {
      }
    } else {
      std::vector<detail::ValueOf<Result>> values;
      while (auto value = results.next()) values.push_back(std::move(*value));
      return values;
    }
  }

  /// The same, one by one: `for (Image& image : group.imap(decode, paths)) show(image);`. At most `look_ahead` elements
  /// are begun whose results have not been taken; 0: no such bound. An lvalue range must outlive what is returned.
  template <class F, std::ranges::input_range Items>
  [[nodiscard]] Imap<detail::Mapped<F, Items>> imap(F callable, Items&& items, std::uint32_t look_ahead = 0) {
    return {state_, std::move(callable), std::views::all(std::forward<Items>(items)), look_ahead,
            detail::MapOrder::AsGiven};
  }
  /// In the order in which they are done.
  template <class F, std::ranges::input_range Items>
  [[nodiscard]] Imap<detail::Mapped<F, Items>> imap_unordered(F callable, Items&& items,
                                                              std::uint32_t look_ahead = 0) {
    return {state_, std::move(callable), std::views::all(std::forward<Items>(items)), look_ahead,
            detail::MapOrder::AsEnded};
  }

 protected:
  explicit Group(std::shared_ptr<detail::GroupState> state) : state_{std::move(state)} {}

  [[nodiscard]] detail::GroupState& state() const noexcept { return *state_; }

 private:
  template <class Make>
  auto start(Make make) {
    return detail::start_in(*state_, nullptr, make, [](auto&) {});
  }

  std::shared_ptr<detail::GroupState> state_;
};

}  // namespace weft
