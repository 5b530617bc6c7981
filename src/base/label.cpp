#include <weft/base/label.hpp>

#include <cstring>

namespace weft {

std::string Label::text() const {
  if (name_) return '"' + std::string{name_} + '"';
  const char* path = site_.file_name();
  const char* slash = std::strrchr(path, '/');
  return "made at " + std::string{slash ? slash + 1 : path} + ':' + std::to_string(site_.line());
}

}  // namespace weft
