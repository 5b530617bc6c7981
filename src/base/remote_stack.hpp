#pragma once

#include <string>

namespace weft::detail {

/// The calls that led to a throw in another process. Read only when somebody asks.
class RemoteStack {
 public:
  RemoteStack() = default;
  RemoteStack(const RemoteStack&) = delete;
  RemoteStack& operator=(const RemoteStack&) = delete;
  virtual ~RemoteStack() = default;

  [[nodiscard]] virtual std::string text() const = 0;
};

}  // namespace weft::detail
