#pragma once

/// All of weft. Each header can also be included alone; none needs another to be included first.

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/base/unique_function.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/io/blocking.hpp>
#include <weft/net/address.hpp>
#include <weft/net/connect.hpp>
#include <weft/net/frames.hpp>
#include <weft/net/resolver.hpp>
#include <weft/net/server_socket.hpp>
#include <weft/net/socket.hpp>
#include <weft/queue/queue.hpp>
#include <weft/sync/barrier.hpp>
#include <weft/sync/bounded_semaphore.hpp>
#include <weft/sync/condition.hpp>
#include <weft/sync/deadlock.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/local.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/once.hpp>
#include <weft/sync/rlock.hpp>
#include <weft/sync/rwlock.hpp>
#include <weft/sync/scope.hpp>
#include <weft/sync/semaphore.hpp>
#include <weft/sync/singleton.hpp>
#include <weft/thread/current_thread.hpp>
#include <weft/thread/excepthook.hpp>
#include <weft/thread/thread.hpp>
#include <weft/thread/timer.hpp>
