#pragma once

#include <string>

#include <weft/detail/selectable.hpp>

namespace weft::detail {

class Descriptor;

/// What select() waits for at a descriptor of weft's: that a transfer would not wait, as poll(2) sees it.
class DescriptorWay : public Selectable {
 public:
  enum class Wanted : bool { Readable, Writable };

  explicit DescriptorWay(Wanted wanted) : wanted_{wanted} { outside = true; }

  bool try_now() override;
  bool enlist() noexcept override;
  void withdraw() noexcept override;
  bool accept(Outcome how) noexcept override;

 private:
  /// Null: it holds none.
  [[nodiscard]] virtual Descriptor* find() const noexcept = 0;
  [[nodiscard]] virtual std::string object() const = 0;
  [[nodiscard]] bool poll_once() noexcept;

  const Wanted wanted_;
  Descriptor* descriptor_ = nullptr;  // while enlisted: used, so that its number stays what it is
  int failure_ = 0;                   // of enlist() or accept(), for try_now() to throw
};

}  // namespace weft::detail
