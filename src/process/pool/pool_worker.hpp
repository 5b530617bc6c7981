#pragma once

#include "process/pool/pool_link.hpp"

namespace weft::detail {

/// What a worker of a process pool does: tasks, until it is told that no more will come.
void serve_pool(PoolSeat seat);

}  // namespace weft::detail
