// Compiled without ThreadSanitizer's instrumentation: see greenlets.hpp.

#include "engine/greenlets.hpp"

#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>

#include "base/cause.hpp"
#include "engine/immortal.hpp"
#include "engine/stack_pool.hpp"
#include "engine/worker.hpp"
#include "port/context_switch.hpp"
#include "port/sanitizer.hpp"
#include "port/stack_memory.hpp"

namespace weft::detail {

// ---- stacks ---------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t kUsualStack = 256 * 1024;
constexpr unsigned kTrimEvery = 256;  // stacks given back

/// Apart from those of fibers, whose pools are searched for fibers, and whose runtimes end.
struct Stacks {
  std::mutex lock;  // over all of it, so that a fork can hold it
  std::vector<std::unique_ptr<StackPool>> pools;
  unsigned given_back = 0;
};
constinit Immortal<Stacks> all_stacks;

StackPool& pool_of(std::size_t bytes) {
  Stacks& stacks = all_stacks.value;
  for (auto& pool : stacks.pools) {
    if (pool->stack_bytes() == bytes) return *pool;
  }
  return *stacks.pools.emplace_back(std::make_unique<StackPool>(bytes));
}

Stack acquire_stack(std::size_t bytes) {
  const std::lock_guard guard{all_stacks.value.lock};
  Stack stack;
  pool_of(bytes).acquire(&stack, 1);
  return stack;
}

void release_stacks(const Stack* stacks, std::size_t count) noexcept {
  Stacks& all = all_stacks.value;
  const std::lock_guard guard{all.lock};
  for (std::size_t i = 0; i < count; ++i) pool_of(stacks[i].bytes).release(&stacks[i], 1);
  all.given_back += static_cast<unsigned>(count);
  if (all.given_back < kTrimEvery) return;
  all.given_back = 0;
  for (auto& pool : all.pools) pool->trim();
}

void* place_of(Stack stack) noexcept { return stack.top() - (sizeof(GreenletStack) + 63) / 64 * 64; }

}  // namespace

void lock_greenlets_for_fork() noexcept { all_stacks.value.lock.lock(); }
void unlock_greenlets_after_fork() noexcept { all_stacks.value.lock.unlock(); }

Stack GreenletHub::take_stack(std::size_t bytes) {
  return bytes == kUsualStack && kept_ > 0 ? kept_stacks_[--kept_] : acquire_stack(bytes);
}

void GreenletHub::keep_stack(Stack stack) noexcept {
  if (stack.bytes == kUsualStack && kept_ < kKeptStacks) {
    kept_stacks_[kept_++] = stack;
  } else {
    release_stacks(&stack, 1);
  }
}

// ---- the hub --------------------------------------------------------------------------------------------------------

/// The first greenlet of a context: the context itself.
struct RootGreenlet final : GreenletCore {
  RootGreenlet(std::uint64_t context_id, GreenletStack& own) noexcept : GreenletCore{context_id, own} {}
  void execute() override {}
  void abandon() noexcept override {}
  void deliver(GreenletCore&) override {}
};

GreenletHub::GreenletHub(Context& host) {
  if (host.is_fiber()) {
    fiber_ = &static_cast<FiberContext&>(host);
    root_stack_.sanitizer = fiber_->sanitizer;
  } else {
    of_thread_ = thread_eh_globals();
    overflow_guard_.emplace();
    if (port::kSanitized) {
      const ThreadStack own = thread_stack();
      port::sanitizer_adopt_thread(root_stack_.sanitizer, own.bottom, own.bytes);
    }
  }
  root_ = new RootGreenlet{host.id, root_stack_};
  current_ = root_;
}

GreenletHub::~GreenletHub() {
  root_->set_state(GreenletCore::State::Dead);
  root_->stack_ = nullptr;
  root_->release();
  release_stacks(kept_stacks_, kept_);
}

void GreenletHub::move_to_thread() noexcept {
  fiber_ = nullptr;
  of_thread_ = thread_eh_globals();
}

namespace {

GreenletHub& hub_of(Context& self) {
  if (!self.greenlets) self.greenlets = new GreenletHub{self};
  return *self.greenlets;
}

}  // namespace

void end_greenlets(Context& self) noexcept {
  // Greenlets that are made by what is unwound find the hub, and are ended by the same loop.
  self.greenlets->unwind_all();
  delete std::exchange(self.greenlets, nullptr);
}

void inherit_greenlets(ThreadContext& heir, Context& former) noexcept {
  heir.greenlets = std::exchange(former.greenlets, nullptr);
  if (heir.greenlets) heir.greenlets->move_to_thread();
}

ThreadStack stack_in_use(const Context& thread) noexcept {
  const GreenletHub* hub = thread.greenlets;
  if (!hub || !hub->stack().bottom) return thread_stack();
  return {hub->stack().bottom + port::page_bytes(), hub->stack().bytes - port::page_bytes()};
}

// ---- switching ------------------------------------------------------------------------------------------------------

inline EhGlobals& GreenletHub::exceptions() noexcept {
  return fiber_ ? fiber_->worker->exceptions_in_flight() : *of_thread_;
}

inline void GreenletHub::switch_to(GreenletCore& to) noexcept {
  GreenletCore& from = *current_;
  GreenletStack& here = *from.stack_;
  GreenletStack& there = *to.stack_;
  current_ = &to;
  left_ = &from;
  EhGlobals& in_flight = exceptions();
  here.exceptions = in_flight;
  in_flight = there.exceptions;
  port::sanitizer_before_turn(here.sanitizer, there.sanitizer, from.dead());
  if (fiber_) fiber_->sanitizer = there.sanitizer;
  port::weft_switch_context(&here.saved, there.saved, this);
  // The fiber may be on another thread now.
  port::sanitizer_after_switch(here.sanitizer);
  arrived();
}

inline void GreenletHub::arrived() noexcept {
  GreenletCore& left = *left_;
  if (!left.to_reap_) [[likely]] return;
  if (left.dead()) {
    bury(left);
  } else {
    unwind(left);
  }
}

void GreenletHub::cross(GreenletCore& to, void* own_inbox, const std::type_info* own_values) {
  if (!to.started()) [[unlikely]] start(to);
  GreenletCore& self = *current_;
  self.inbox_ = own_inbox;
  self.expected_ = own_values;
  switch_to(to);
  if (self.injected_) [[unlikely]] std::rethrow_exception(std::exchange(self.injected_, nullptr));
}

void Crossing::cross(void* own_inbox, const std::type_info& own_values) const {
  hub->cross(*to, own_inbox, &own_values);
}

// ---- the life of a greenlet -----------------------------------------------------------------------------------------

void GreenletHub::start(GreenletCore& core) {
  const Stack stack = take_stack(core.stack_bytes_);
  auto* own = ::new (place_of(stack)) GreenletStack;
  own->stack = stack;
  own->saved = port::make_context(own, &GreenletHub::main);
  port::sanitizer_begin(own->sanitizer, stack.bottom + port::page_bytes(), stack.bytes - port::page_bytes());
  core.stack_ = own;
  core.set_state(GreenletCore::State::Started);
  core.retain();
  core.previous_ = newest_;
  if (newest_) newest_->next_ = &core;
  newest_ = &core;
}

void GreenletHub::main(void* passed) {
  auto& hub = *static_cast<GreenletHub*>(passed);
  GreenletCore& self = *hub.current_;
  port::sanitizer_after_switch(self.stack_->sanitizer);
  hub.arrived();
  self.run();
  hub.finish(self);
}

void GreenletCore::run() noexcept {
  try {
    if (injected_) std::rethrow_exception(std::exchange(injected_, nullptr));
    execute();
  } catch (const GreenletExit&) {
  } catch (...) {
    failure_ = std::current_exception();
  }
  abandon();
}

// The heir gets the result, or the exception. If it cannot even be started, that is its end, and its heir's business.
void GreenletHub::finish(GreenletCore& core) noexcept {
  std::exception_ptr failure = std::move(core.failure_);
  GreenletCore* to = &heir_of(core);
  if (!failure) {
    try {
      core.deliver(*to);
    } catch (...) {
      failure = std::current_exception();
    }
  }
  while (!to->started()) {
    try {
      start(*to);
    } catch (...) {
      failure = std::current_exception();
      to->give_up();
      to = &heir_of(*to);
    }
  }
  to->injected_ = std::move(failure);
  core.set_state(GreenletCore::State::Dead);
  core.to_reap_ = true;
  switch_to(*to);
  __builtin_unreachable();
}

void GreenletHub::bury(GreenletCore& core) noexcept {
  const Stack stack = core.stack_->stack;
  port::sanitizer_end(core.stack_->sanitizer);
  core.stack_ = nullptr;
  keep_stack(stack);
  (core.next_ ? core.next_->previous_ : newest_) = core.previous_;
  if (core.previous_) core.previous_->next_ = core.next_;
  core.release();
}

GreenletCore& GreenletHub::heir_of(const GreenletCore& core) noexcept {
  GreenletCore* heir = core.unwinder_ ? core.unwinder_ : core.parent_;
  while (heir && heir->dead()) heir = heir->parent_;
  return heir ? *heir : *root_;  // none: all of them are from before the context's greenlets were ended
}

namespace {

void report_unwound(const GreenletCore& core, const std::exception_ptr& failure) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const Cancelled&) {
    return;  // a kill of its thread or fiber, which will be told again
  } catch (...) {
  }
  std::fprintf(stderr, "weft: greenlet \"%s\" was destroyed before its end, and threw: %s\n", core.name().c_str(),
               cause_of(failure).c_str());
}

}  // namespace

// Whoever destroys it stands in for its parent, so that its end comes back to here. It may come back earlier, if a
// destructor on that stack switches, in which nothing may be thrown. What others send to whoever stands here is
// dropped.
void GreenletHub::unwind(GreenletCore& core) noexcept {
  GreenletCore& self = *current_;
  GreenletCore* const unwinder = std::exchange(core.unwinder_, &self);
  void* const inbox = std::exchange(self.inbox_, nullptr);
  const std::type_info* const expected = std::exchange(self.expected_, nullptr);
  std::exception_ptr injected = std::exchange(self.injected_, nullptr);
  core.retain();
  core.ending_ = true;
  core.to_reap_ = false;
  while (!core.dead()) {
    if (core.stack_->exceptions.uncaught == 0) core.injected_ = std::make_exception_ptr(GreenletExit{});
    switch_to(core);
    if (self.injected_) report_unwound(core, std::exchange(self.injected_, nullptr));
  }
  core.unwinder_ = unwinder;
  core.release();
  self.inbox_ = inbox;
  self.expected_ = expected;
  self.injected_ = std::move(injected);
}

void GreenletHub::unwind_all() noexcept {
  while (newest_) unwind(*newest_);
}

// ---- GreenletCore ---------------------------------------------------------------------------------------------------

GreenletCore::GreenletCore(const GreenletOptions& options, const std::type_info& values, void* inbox)
    : context_id_{current_context_id()},
      inbox_{inbox},
      expected_{&values},
      stack_bytes_{whole_stack_pages(options.stack_bytes == 0 ? kUsualStack : options.stack_bytes)},
      number_{next_context_id()} {
  if (!options.name.empty()) name_.set(options.name);
  link_parent(&hub_of(current_context()).current());
}

GreenletCore::GreenletCore(std::uint64_t context_id, GreenletStack& own) noexcept
    : state_{State::Started}, context_id_{context_id}, stack_{&own}, number_{context_id} {}

GreenletCore::~GreenletCore() {
  if (parent_) parent_->release();
}

void GreenletCore::link_parent(GreenletCore* parent) noexcept {
  parent->retain();
  if (parent_) parent_->release();
  parent_ = parent;
}

GreenletCore& GreenletCore::current() { return hub_of(current_context()).current(); }

std::string GreenletCore::name() const {
  return name_.empty() ? "Greenlet-" + std::to_string(number_) : name_.get();
}

namespace {

[[noreturn, gnu::cold]] void throw_foreign(const GreenletCore& core) {
  throw InvalidStateError{"switch to greenlet \"" + core.name() +
                          "\": it belongs to another thread or fiber, the one that made it, and runs only there"};
}

bool is_exit(const std::exception_ptr& exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const GreenletExit&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void GreenletCore::throw_mismatch() const {
  throw InvalidStateError{"switch to greenlet \"" + name() + "\": it waits for values of other types than these"};
}

Crossing GreenletCore::way(const std::type_info& values) {
  Context& self = current_context();
  if (self.id != context_id_) [[unlikely]] throw_foreign(*this);
  GreenletHub& hub = hub_of(self);
  if (hub.current().ending_ && std::uncaught_exceptions() == 0) [[unlikely]] throw GreenletExit{};
  GreenletCore& to = dead() ? hub.heir_of(*this) : *this;
  if (&to == &hub.current()) return {};
  return {&hub, &to, to.inbox_for(values)};
}

void GreenletCore::throw_in(std::exception_ptr exception, void* own_inbox, const std::type_info& own_values) {
  Context& self = current_context();
  if (self.id != context_id_) throw_foreign(*this);
  GreenletHub& hub = hub_of(self);
  if (hub.current().ending_ && std::uncaught_exceptions() == 0) throw GreenletExit{};
  if (!started()) give_up();
  GreenletCore* to = this;
  if (dead()) {
    to = &hub.heir_of(*this);
    if (is_exit(exception)) exception = nullptr;
  }
  if (to == &hub.current()) {
    if (exception) std::rethrow_exception(std::move(exception));
    return;
  }
  to->injected_ = std::move(exception);
  hub.cross(*to, own_inbox, &own_values);
}

void GreenletCore::give_up() noexcept {
  set_state(State::Dead);
  injected_ = nullptr;
  abandon();
}

void GreenletCore::end() noexcept {
  if (dead()) return;
  if (!started()) {
    give_up();
    return;
  }
  Context& self = current_context();
  if (self.id != context_id_) return;  // it is ended with its own context
  GreenletHub& hub = *self.greenlets;
  if (&hub.current() != this) {
    hub.unwind(*this);
  } else if (!ending_) {
    ending_ = true;
    to_reap_ = true;  // should one of its destructors switch
  }
}

void GreenletCore::set_parent(GreenletCore& parent) {
  if (!parent_) throw InvalidStateError{"set_parent: the first greenlet of a thread or fiber has no parent"};
  if (parent.context_id_ != context_id_) {
    throw InvalidStateError{"set_parent: greenlets \"" + name() + "\" and \"" + parent.name() +
                            "\" belong to different threads or fibers"};
  }
  for (const GreenletCore* above = &parent; above; above = above->parent_) {
    if (above == this) {
      throw InvalidStateError{"set_parent: greenlet \"" + parent.name() + "\" is \"" + name() +
                              "\" itself, or descends from it"};
    }
  }
  link_parent(&parent);
}

// ---- overflow -------------------------------------------------------------------------------------------------------

bool GreenletHub::is_overflow(const void* address) const noexcept {
  const auto* at = static_cast<const std::byte*>(address);
  const std::byte* bottom = stack().bottom;
  return bottom && at >= bottom && at < bottom + port::page_bytes();
}

void GreenletHub::copy_name_of_current(char* text, std::size_t size) const noexcept {
  char given[ContextName::kMost + 1];
  current_->name_.copy_to(given);
  if (given[0]) {
    std::snprintf(text, size, "%s", given);
  } else {
    std::snprintf(text, size, "Greenlet-%llu", static_cast<unsigned long long>(current_->number_));
  }
}

}  // namespace weft::detail
