// priority_queue: three orders in which a queue can give what was put.
//
// A PriorityQueue gives the smallest priority first, and equal priorities in the order of their coming. The priority
// stands beside the item, so that items need no order of their own; another comparator turns the order round. A Queue
// gives the oldest item first, a LifoQueue the youngest.
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <weft/queue/lifo_queue.hpp>
#include <weft/queue/priority_queue.hpp>
#include <weft/queue/queue.hpp>

namespace {

struct Patient {  // cannot be compared
  std::string name;
  int priority = 0;
};

const std::vector<Patient> kWaitingRoom = {
    {"Ann, a cold", 3}, {"Bob, a broken arm", 2}, {"Cleo, a heart attack", 1}, {"Dan, a cold", 3}, {"Eve, a burn", 2}};

void show_priorities() {
  weft::PriorityQueue<Patient> doctor;
  for (const Patient& patient : kWaitingRoom) doctor.put(patient.priority, patient);
  std::cout << "PriorityQueue, smallest first, equal ones as they came:\n";
  while (!doctor.empty()) {
    const auto [priority, patient] = doctor.get();
    std::cout << "  " << priority << "  " << patient.name << '\n';
  }
}

void show_another_order() {
  weft::PriorityQueue<std::string, double, std::greater<>> auction;
  auction.put(9.50, "Ann");
  auction.put(12.25, "Bob");
  auction.put(12.25, "Cleo");
  std::cout << "PriorityQueue with std::greater, greatest first:\n";
  while (auto offer = auction.try_get()) std::cout << "  " << offer->priority << "  " << offer->item << '\n';
}

template <class Names>
void show_order(const char* title, Names& names) {
  std::cout << title;
  for (const char* name : {"Ann", "Bob", "Cleo"}) names.put(name);
  while (auto name = names.try_get()) std::cout << ' ' << *name;
  std::cout << '\n';
}

}  // namespace

int main() {
  show_priorities();
  show_another_order();
  weft::Queue<std::string> line;
  weft::LifoQueue<std::string> pile;
  show_order("Queue, oldest first:", line);
  show_order("LifoQueue, youngest first:", pile);
}
