// Teaches: pieces of code that switch to each other by name.
//
// A greenlet has a stack of its own. switch_to() leaves the one that runs where it stands and goes on in the other;
// no scheduler chooses. Values go along, and come back when somebody switches back.
#include <cstdio>
#include <string>

#include <weft/fiber/greenlet.hpp>
#include <weft/weft.hpp>

namespace {

void two_that_take_turns() {
  weft::Greenlet<> second;
  weft::Greenlet<> first{[&] {
    std::printf("12 ");
    second.switch_to();
    std::printf("34 ");
    second.switch_to();
  }};
  second = weft::Greenlet<>{[&] {
    std::printf("56 ");
    first.switch_to();
    std::printf("78\n");
  }};
  first.switch_to();  // comes back when `second` has ended: its parent is who made it
  std::printf("first is %s, second is %s\n", first.dead() ? "dead" : "waiting", second.dead() ? "dead" : "waiting");
}  // `first` still waits for `second`: it is ended here, and its stack unwound

/// An ordinary function, deep in calls of its own, that waits for events which another piece of code delivers one by
/// one.
std::string read_word(weft::Greenlet<char>& source) {
  std::string word;
  for (auto key = source.switch_to('?'); key && *key != ' '; key = source.switch_to('?')) word += *key;
  return word;
}

void a_reader_that_is_fed() {
  weft::Greenlet<char> reader{[](weft::Greenlet<char>& self, char) {
    auto source = self.parent();
    const std::string verb = read_word(source);
    const std::string object = read_word(source);
    std::printf("verb \"%s\", object \"%s\"\n", verb.c_str(), object.c_str());
  }};
  reader.switch_to(' ');
  for (const char key : std::string{"open door "}) reader.switch_to(key);
  std::printf("the reader is %s\n", reader.dead() ? "dead" : "waiting");
}

void what_goes_wrong_reaches_the_parent() {
  weft::Greenlet<int> dividing{[](weft::Greenlet<int>& self, int by) {
    for (;;) {
      if (by == 0) throw std::string{"divided by zero"};
      by = *self.parent().switch_to(100 / by);
    }
    return 0;
  }};
  try {
    std::printf("100 / 4 = %d\n", *dividing.switch_to(4));
    dividing.switch_to(0);
  } catch (const std::string& what) {
    std::printf("%s\n", what.c_str());
  }
}

}  // namespace

int main() {
  two_that_take_turns();
  a_reader_that_is_fed();
  what_goes_wrong_reaches_the_parent();
}
