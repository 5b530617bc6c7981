// Teaches: a lock that its holder may take again.
//
// Each method of the account takes the lock, and transfer() calls two others while it holds it. A Lock would wait there
// for itself; an RLock counts, and is free when it has been given back as often as it was taken.
#include <cstdio>
#include <mutex>

#include <weft/weft.hpp>

namespace {

class Account {
 public:
  void deposit(long amount) {
    const std::scoped_lock guard{lock_};
    balance_ += amount;
  }

  void withdraw(long amount) {
    const std::scoped_lock guard{lock_};
    if (amount > balance_) return;
    balance_ -= amount;
    std::printf("withdraws %ld, the lock taken %d times\n", amount, static_cast<int>(lock_.depth()));
  }

  /// All or nothing, though it is made of two: nobody comes in between.
  void pay_fee_and_withdraw(long amount) {
    const std::scoped_lock guard{lock_};
    withdraw(1);
    withdraw(amount);
  }

  [[nodiscard]] long balance() {
    const std::scoped_lock guard{lock_};
    return balance_;
  }
  [[nodiscard]] weft::RLock& lock() { return lock_; }

 private:
  weft::RLock lock_{"account"};
  long balance_ = 0;
};

}  // namespace

int main() {
  Account account;
  account.deposit(100);
  account.pay_fee_and_withdraw(30);
  std::printf("left: %ld\n", account.balance());

  account.lock().lock();
  account.lock().lock();
  account.lock().unlock();
  weft::Thread other{[&] {
    std::printf("given back once of twice: %s\n", account.lock().try_lock() ? "free" : "taken");
  }};
  other.start();
  other.join();
  account.lock().unlock();
  other = weft::Thread{[&] {
    const std::unique_lock guard{account.lock(), std::try_to_lock};
    std::printf("given back twice: %s\n", guard ? "free" : "taken");
  }};
  other.start();
  other.join();
}
