#pragma once

#include <cstddef>
#include <string>

#include <weft/process/pickle.hpp>

namespace weft::process::detail {

/// The same text for values that Python takes for the same key: 1, True and 1.0, for instance. Throws: PickleError:
/// unhashable. `written`, when wanted, is told how many bytes that took: the members of a frozenset are written once more
/// for each frozenset around them.
[[nodiscard]] std::string python_key(const PyValue& value, std::size_t* written = nullptr);

}  // namespace weft::process::detail
