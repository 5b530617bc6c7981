#pragma once

#include <string>

#include <weft/process/pickle.hpp>

namespace weft::process::detail {

/// The same text for values that Python takes for the same key: 1, True and 1.0, for instance. Throws: PickleError:
/// unhashable.
[[nodiscard]] std::string python_key(const PyValue& value);

}  // namespace weft::process::detail
