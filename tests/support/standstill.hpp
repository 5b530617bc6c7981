#pragma once

#include <chrono>

namespace weft::test {

/// All test programs have what everybody waits for told when nothing has moved for so long.
inline constexpr std::chrono::seconds kStandstillTold{10};

}  // namespace weft::test
