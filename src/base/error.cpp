#include <weft/base/error.hpp>

namespace weft {

namespace {

std::string describe(int error, const std::string& operation, const std::string& object) {
  std::string text = operation;
  if (!object.empty()) text += ' ' + object;
  return text + ": " + std::generic_category().message(error);
}

}  // namespace

OSError::OSError(int error, std::string operation, std::string object)
    : std::system_error{error, std::generic_category()},
      operation_{std::move(operation)},
      object_{std::move(object)},
      what_{describe(error, operation_, object_)} {}

}  // namespace weft
