// weft: a pointer to a member cannot be sent to another process
// the culprit: T = int (Account::*)() const
#include <weft/process/process.hpp>

struct Account {
  int balance() const { return 7; }
};

void show(int (Account::*what)() const);

auto start() { return weft::Process{show, &Account::balance}; }
