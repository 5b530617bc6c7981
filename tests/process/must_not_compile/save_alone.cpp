// weft: this type has a serialize, save or load, but not as they are called
// the culprit: T = Account
#include <weft/process/process.hpp>

struct Account {
  int number;
  long balance;
  template <class Archive>
  void save(Archive& archive) const {
    archive(number);
  }
};

void show(const Account& account);

auto start(const Account& account) { return weft::Process{show, account}; }
