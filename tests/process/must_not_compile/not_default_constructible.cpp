// weft: a type with its own serialize or load must be default-constructible
#include <weft/process/sendable.hpp>

class Named {
 public:
  explicit Named(int number) : number_{number} {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(number_);
  }

 private:
  int number_;
};
void send(weft::process::Outgoing& out, const Named& value) { out(value); }
