// Teaches: a thread as a class of its own, whose run() reads what the constructor was given.
//
// The object must outlive run(): join() it before it goes, or make it with make_thread(), which lets the running thread
// keep it alive.
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

class Downloader : public weft::Thread {
 public:
  Downloader(std::string url, int pieces) : url_{std::move(url)}, pieces_{pieces} {}

  [[nodiscard]] int fetched() const { return fetched_; }

 private:
  void run() override {
    for (int piece = 1; piece <= pieces_; ++piece) {
      weft::sleep_for(20ms);
      ++fetched_;
    }
    std::printf("%s: all %d pieces of %s\n", name().c_str(), fetched_, url_.c_str());
  }

  std::string url_;
  int pieces_;
  int fetched_ = 0;
};

}  // namespace

int main() {
  Downloader film{"films/metropolis", 3};
  film.set_name("film").start();
  film.join();
  std::printf("main has seen %d pieces\n", film.fetched());

  // Nobody holds this one; its own thread does, and the program waits for it as for any other.
  std::printf("main returns\n");
  auto book = weft::make_thread<Downloader>("books/emma", 2);
  book->set_name("book").start();
}
