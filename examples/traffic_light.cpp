// Teaches: an Event, for which any number of threads wait at once.
//
// The light sets the event when it turns green and clears it at yellow. Cars that come at red wait, all for the one
// event; cars that come at green just pass, as waiting for what is set takes no time. A pedestrian waits for a while,
// and then goes on.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

weft::Event green{"green"};
weft::Lock printing{"printing"};

void say(const std::string& text) {
  const std::scoped_lock guard{printing};
  std::printf("%s\n", text.c_str());
}

void light() {
  for (int round = 0; round < 2; ++round) {
    say("light: red");
    weft::sleep_for(300ms);
    say("light: green");
    green.set();
    weft::sleep_for(300ms);
    green.clear();
    say("light: yellow");
    weft::sleep_for(100ms);
  }
  say("light: red");
}

void car(const std::string& name, std::chrono::milliseconds arrival) {
  weft::sleep_for(arrival);
  const bool waits = !green.is_set();
  if (waits) say(name + ": waits");
  green.wait();
  say(name + (waits ? ": drives off" : ": passes"));
}

}  // namespace

int main() {
  std::vector<weft::Thread> threads;
  threads.push_back(weft::Thread{light}.start());
  threads.push_back(weft::Thread{car, "taxi", 100ms}.start());
  threads.push_back(weft::Thread{car, "bus", 200ms}.start());
  threads.push_back(weft::Thread{car, "van", 450ms}.start());
  threads.push_back(weft::Thread{car, "lorry", 850ms}.start());
  weft::sleep_for(50ms);
  if (!green.wait_for(10ms)) say("pedestrian: takes the bridge");
  for (weft::Thread& thread : threads) thread.join();
}
